"""A model's voxels as arrays: what passes a filter, and what is told of a voxel."""

import numpy as np
import pytest

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.filters import Filters

MODEL = "simulated/S1/toy/aaaaaa"


@pytest.mark.parametrize("rois", [(), ("FFA",), ("FFA", "empty")])
@pytest.mark.parametrize("min_r2", [None, 0.3])
def test_what_is_kept_of_a_filter_belongs_to_the_voxels_that_are_searched(
    atlas: Atlas, rois: tuple[str, ...], min_r2: float | None
) -> None:
    table = atlas.model(MODEL).tables.voxels()
    searched = [np.array(numbers) for numbers in (range(120), [7, 400, 3, 3, 119], range(119, -1, -1), [2], [1], [])]
    for voxels in searched * 2:
        for significant in (True, False):
            filters = Filters(rois=rois, significant=significant, min_r2=min_r2, semantic=False)
            rows, passes = table.among(voxels, filters)
            allowed = set(table.voxels[table.mask(filters)].tolist())
            assert rows.tolist() == [voxel if voxel < 120 else -1 for voxel in voxels]
            assert passes.tolist() == [voxel in allowed for voxel in voxels]


def test_what_no_question_changes_is_worked_out_once(atlas: Atlas) -> None:
    table = atlas.model(MODEL).tables.voxels()
    rows, passes = table.among(table.voxels, Filters())
    again = table.among(table.voxels, Filters())
    assert again[0] is rows
    assert again[1] is passes


def test_a_voxel_s_regions_are_those_of_the_database_by_name(atlas: Atlas) -> None:
    voxels = [119, 0, 40, 40, 61]
    in_database = atlas.sql("SELECT voxel, roi FROM voxel_roi WHERE subject_id = 'simulated/S1'")
    expected = [sorted(in_database.filter(voxel=voxel)["roi"].to_list()) for voxel in voxels]
    assert atlas.model(MODEL).voxels(voxels)["rois"].to_list() == expected
    assert len({len(regions) for regions in expected}) > 1
    assert atlas.model(MODEL).voxels([])["rois"].to_list() == []
