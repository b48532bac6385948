"""Concepts in regions: means of similarities that `map` gives, over the voxels that pass."""

import numpy as np
import polars as pl
import pytest

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.errors import BadInputError, NotFoundError


@pytest.mark.parametrize("how", [{}, {"readout": "pattern", "baseline": "none"}, {"by": "labels"}])
@pytest.mark.parametrize("significant", [True, False])
def test_a_row_is_the_mean_of_a_region_s_voxels_on_the_map(
    atlas: Atlas, how: dict[str, str], significant: bool
) -> None:
    model = atlas.model()
    table = model.roi_table(["cake", "face - cake"], significant=significant, **how)
    assert table.frame.select("roi", "concept").rows() == [
        (roi, concept) for roi in ("FFA", "PPA", "empty") for concept in ("cake", "face - cake")
    ]
    voxels = model.voxels(range(120)).select("voxel", "rois", "q")
    for row in table.frame.iter_rows(named=True):
        own = model.map(row["concept"], **how).frame.join(voxels, on="voxel")
        own = own.filter(pl.col("rois").list.contains(row["roi"]) & ((pl.col("q") <= 0.05) | (not significant)))
        values = own["similarity"].to_numpy().astype(float)
        assert row["n_voxels"] == len(values)
        if not len(values):
            assert (row["mean"], row["sd"], row["specific"]) == (None, None, None)
            continue
        assert row["mean"] == pytest.approx(values.mean(), abs=1e-9)
        assert row["sd"] == pytest.approx(values.std(ddof=1), abs=1e-9)
        assert row["specific"] == own["specific"].cast(float).mean()


def test_a_table_names_its_concepts_as_columns_and_its_warnings_once(atlas: Atlas) -> None:
    table = atlas.model().roi_table(["cake", "cake", "qqxzv"], rois=["PPA", "FFA"], readout="half")
    assert table.wide.columns == ["roi", "cake", "qqxzv"]
    assert table.wide["roi"].to_list() == ["PPA", "FFA"]
    assert (table.readout, table.baseline) == ("half", "vocabulary")
    assert len(table.warnings) == len(set(table.warnings))
    alone = atlas.model().roi_table("cake", rois=["PPA"], readout="half")
    np.testing.assert_array_equal(alone.wide["cake"], table.wide["cake"][:1])


@pytest.mark.parametrize("concepts", [[], [f"word {n}" for n in range(101)]])
def test_no_concept_and_too_many_are_refused(atlas: Atlas, concepts: list[str]) -> None:
    with pytest.raises(BadInputError, match="name 1 to 100"):
        atlas.model().roi_table(concepts)


def test_an_unknown_region_is_told_with_those_that_there_are(atlas: Atlas) -> None:
    with pytest.raises(NotFoundError, match=r"'FAF'.*FFA"):
        atlas.model().roi_table(["cake"], rois=["FAF"])
