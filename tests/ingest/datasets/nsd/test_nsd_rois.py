"""Regions of interest of NSD."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from nsd_tree import N_VERTICES, Tree, X, Y, Z, members, write_nifti

from voxel_atlas.ingest.datasets.nsd.nsd import Nsd
from voxel_atlas.schemas.errors import BadInputError, NotFoundError, SpaceMismatchError


def test_regions_have_names_unions_and_the_localiser_threshold(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    # t is −1 at (2, 0, 1): the voxel has label 3 (FFA-2) and is not in it.
    assert members(dataset, "OFA") == [(0, 0, 1)]
    assert members(dataset, "FFA-1") == [(1, 0, 1)]
    assert members(dataset, "FFA-2") == [(3, 0, 1)]
    assert members(dataset, "FFA") == [(1, 0, 1), (3, 0, 1)]
    assert members(dataset, "floc-faces") == [(0, 0, 1), (1, 0, 1), (3, 0, 1)]
    assert members(dataset, "PPA") == [(0, 1, 1), (1, 1, 1), (2, 1, 1)]  # named by the manual: no .ctab
    assert members(dataset, "V1") == [(0, 0, 2), (1, 0, 2)]
    assert members(dataset, "hV4") == [(2, 0, 2)]
    assert members(dataset, "selective") == sorted(members(dataset, "floc-faces") + members(dataset, "PPA"))
    t = dict(dataset.voxel_rois.filter(pl.col("roi") == "FFA").select("voxel", "t").iter_rows())
    assert min(t.values()) == pytest.approx(1.5)
    sources = dict(dataset.rois.select("roi", "source").iter_rows())
    assert (sources["FFA"], sources["V1"]) == ("localiser", "drawn")
    assert dataset.voxel_rois.filter(pl.col("roi") == "V1")["t"].null_count() == 2
    assert set(dataset.rois["roi"]) == set(dataset.voxel_rois["roi"])


def test_localiser_maps_are_of_every_voxel(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    maps = dataset.localisers()
    assert set(maps) == {"faces", "places"}  # those whose files are there
    assert {len(t) for t in maps.values()} == {dataset.voxels.height}
    place = dataset.voxels.filter(i=2, j=0, k=1)["voxel"][0]
    assert maps["faces"][place] == -1  # no region has it


def test_a_higher_threshold_shrinks_the_regions(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(localizer_t=2.0), home)
    assert members(dataset, "FFA") == [(3, 0, 1)]
    assert "PPA" not in dataset.rois["roi"]


def test_without_a_localiser_map_the_labels_stand_as_they_were_drawn(tree: Tree, home: Path) -> None:
    (tree.maps / "floc_facestval.nii.gz").unlink()
    dataset = Nsd(tree.config(), home)
    assert members(dataset, "FFA-2") == [(2, 0, 1), (3, 0, 1)]
    assert dataset.voxel_rois.filter(pl.col("roi") == "FFA-2")["t"].null_count() == 2
    with pytest.raises(NotFoundError, match="the localiser map of faces is not there"):
        Nsd(tree.config(localizer_t=2.0), home)


@pytest.mark.parametrize("kind", ["nifti", "list", "array"])
def test_food_joins_the_selective_region(kind: str, written: Tree, home: Path, tmp_path: Path) -> None:
    mask = np.zeros((Z, Y, X), np.uint8)
    mask[2, 3, 1], mask[1, 2, 0], mask[0, 0, 0] = 1, 1, 1  # the last is not cortex
    if kind == "nifti":
        write_nifti(path := tmp_path / "food.nii.gz", mask)
    elif kind == "array":
        np.save(path := tmp_path / "food.npy", mask.T)
    else:
        (path := tmp_path / "food.txt").write_text("1 3 2\n0 2 1\n\n0 0 0\n")
    dataset = Nsd(written.config(food=str(path)), home)
    assert members(dataset, "FOOD") == [(0, 2, 1), (1, 3, 2)]
    assert set(members(dataset, "FOOD")) < set(members(dataset, "selective"))
    assert dict(dataset.rois.select("roi", "source").iter_rows())["FOOD"] == "user"


def test_food_of_another_space_is_refused(written: Tree, home: Path, tmp_path: Path) -> None:
    write_nifti(tmp_path / "food.nii.gz", np.ones((Z, Y, X + 1), np.uint8))
    with pytest.raises(
        SpaceMismatchError, match=r"food.nii.gz: the image is 6 × 4 × 3 voxels, the responses are 5 × 4 × 3"
    ):
        Nsd(written.config(food=str(tmp_path / "food.nii.gz")), home)
    (tmp_path / "food.txt").write_text("1 2\n")
    with pytest.raises(BadInputError, match="not a list of voxels"):
        Nsd(written.config(food=str(tmp_path / "food.txt")), home)
    with pytest.raises(NotFoundError, match="no such food region"):
        Nsd(written.config(food=str(tmp_path / "none.txt")), home)


def test_an_atlas_region_is_named_with_its_atlas(tree: Tree, home: Path) -> None:
    labels = np.where(np.arange(X * Y * Z).reshape(Z, Y, X) == 59, 2, 0).astype(np.int16)
    write_nifti(tree.maps / "roi" / "HCP_MMP1.nii.gz", labels)
    (tree.labels / "HCP_MMP1.mgz.ctab").write_text("0 ???\n1 V1\n2 MST\n")
    dataset = Nsd(tree.config(), home)
    assert members(dataset, "HCP_MMP1:MST") == [(4, 3, 2)]
    (tree.labels / "HCP_MMP1.mgz.ctab").write_text("1 V1\n")
    with pytest.raises(BadInputError, match="label 2 of HCP_MMP1 has no name"):
        Nsd(tree.config(), home)


def test_a_region_of_another_shape_is_refused(tree: Tree, home: Path) -> None:
    path = tree.maps / "roi" / "floc-faces.nii.gz"
    path.unlink()
    write_nifti(path, np.zeros((Z, Y, X + 1), np.int16))
    with pytest.raises(SpaceMismatchError, match=r"floc-faces.nii.gz: the image is 6 × 4 × 3"):
        Nsd(tree.config(), home)


def test_surface_voxels_and_regions_know_their_hemisphere(surface: Tree, home: Path) -> None:
    dataset = Nsd(surface.config(space="nativesurface"), home)
    assert dataset.voxels["hemisphere"].to_list() == ["left"] * 7 + ["right"] * 6
    assert dataset.voxels["vertex"].to_list() == [*range(7), *range(6)]
    assert dataset.voxels["i"].null_count() == sum(N_VERTICES)
    # Label 2 in both hemispheres, and t > 0 in the left one only.
    inside = dataset.voxel_rois.filter(pl.col("roi") == "VWFA-2").join(dataset.voxels, on="voxel")
    assert inside.is_empty()
    inside = dataset.voxel_rois.filter(pl.col("roi") == "VWFA-1").join(dataset.voxels, on="voxel")
    assert inside.select("hemisphere", "vertex").rows() == [("left", 2)]
    assert dataset.voxels["noise_ceiling"].null_count() == 0
