"""Regions of interest of NSD."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from nsd_tree import N_VERTICES, Tree, X, Y, Z, members, write_nifti

from voxel_atlas.ingest.datasets.nsd.nsd import Nsd
from voxel_atlas.schemas.errors import BadInputError, NotFoundError, SpaceMismatchError


def test_regions_have_names_and_unions(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    assert members(dataset, "OFA") == [(0, 0, 1)]
    assert members(dataset, "FFA-1") == [(1, 0, 1)]
    assert members(dataset, "FFA-2") == [(2, 0, 1), (3, 0, 1)]
    assert members(dataset, "FFA") == [(1, 0, 1), (2, 0, 1), (3, 0, 1)]
    assert members(dataset, "floc-faces") == [(0, 0, 1), (1, 0, 1), (2, 0, 1), (3, 0, 1)]
    assert members(dataset, "PPA") == [(0, 1, 1), (1, 1, 1), (2, 1, 1)]  # named by the manual: no .ctab
    assert members(dataset, "V1") == [(0, 0, 2), (1, 0, 2)]
    assert members(dataset, "hV4") == [(2, 0, 2)]
    # The paper's five, of which this subject has one; its released code takes every label of the localiser.
    assert members(dataset, "selective") == members(dataset, "FFA")
    assert members(dataset, "floc") == sorted(members(dataset, "floc-faces") + members(dataset, "PPA"))
    t = dict(dataset.voxel_rois.filter(pl.col("roi") == "FFA").select("voxel", "t").iter_rows())
    assert min(t.values()) == -1  # as the map has it: that the label was drawn there decides
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


def test_regions_are_the_same_with_and_without_the_localiser_maps(tree: Tree, home: Path) -> None:
    before = Nsd(tree.config(), home)
    (tree.maps / "floc_facestval.nii.gz").unlink()
    dataset = Nsd(tree.config(), home)
    assert dataset.voxel_rois.drop("t").equals(before.voxel_rois.drop("t"))
    assert dataset.rois.equals(before.rois)
    assert dataset.voxel_rois.filter(pl.col("roi") == "FFA-2")["t"].null_count() == 2
    with pytest.raises(NotFoundError, match="the localiser map of faces is not there"):
        Nsd(tree.config(localizer_t=2.0), home)


def test_a_localiser_map_that_is_nan_everywhere_is_refused(tree: Tree, home: Path) -> None:
    path = tree.maps / "floc_facestval.nii.gz"
    path.unlink()
    write_nifti(path, np.full((Z, Y, X), np.nan, np.float32))
    with pytest.raises(BadInputError, match=r"floc_facestval.nii.gz: the map is NaN everywhere; get it again"):
        Nsd(tree.config(), home)


@pytest.mark.parametrize(
    "table",
    [
        "0 Unknown\n1 OFA\n2 FFA é\n3 mTL faces\n".encode("latin-1"),
        b"\xef\xbb\xbf1 OFA\n" + "2 FFA é\n3 mTL faces 255 0 0 0\n".encode(),
        "  1\tOFA  0 0 255\n2 FFA é 10 20 30 0\r\n3   mTL faces\n".encode(),
    ],
)
def test_names_of_labels_are_read_as_they_are_written(table: bytes, tree: Tree, home: Path) -> None:
    path = tree.labels / "floc-faces.mgz.ctab"
    path.unlink()
    path.write_bytes(table)
    dataset = Nsd(tree.config(), home)
    assert [len(members(dataset, roi)) for roi in ("OFA", "FFA é", "mTL faces")] == [1, 1, 2]


def test_labels_of_one_name_are_one_region(tree: Tree, home: Path) -> None:
    path = tree.labels / "floc-faces.mgz.ctab"
    path.unlink()
    path.write_text("1 OFA\n2 FFA-1\n3 OFA\n")
    dataset = Nsd(tree.config(), home)
    assert members(dataset, "OFA") == [(0, 0, 1), (2, 0, 1), (3, 0, 1)]
    described = dict(dataset.rois.select("roi", "description").iter_rows())
    assert described["OFA"] == "label 1 and 3 of floc-faces, localiser t > 0"
    path.write_bytes("1 OFA\n2 FFA-1\n".encode("utf-16"))
    with pytest.raises(BadInputError, match=r"floc-faces.mgz.ctab: label 1 of floc-faces has no name there"):
        Nsd(tree.config(), home)


def test_names_of_labels_may_be_those_of_fsaverage(tree: Tree, home: Path) -> None:
    average = tree.root / "nsddata/freesurfer/fsaverage/label"
    average.mkdir(parents=True)
    (average / "floc-places.mgz.ctab").write_text("1 OPA\n2 place patch\n3 RSC\n")
    (average / "floc-faces.mgz.ctab").write_text("1 other\n2 names\n3 here\n")
    dataset = Nsd(tree.config(), home)
    assert len(members(dataset, "place patch")) == 3
    assert members(dataset, "OFA") == [(0, 0, 1)]  # the subject's own go before


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
    # Label 2 in both hemispheres, and t > 0 in the left one only, which decides where a threshold is given.
    inside = dataset.voxel_rois.filter(pl.col("roi") == "VWFA-2").join(dataset.voxels, on="voxel")
    assert inside.is_empty()
    inside = dataset.voxel_rois.filter(pl.col("roi") == "VWFA-1").join(dataset.voxels, on="voxel")
    assert inside.select("hemisphere", "vertex").rows() == [("left", 2), ("right", 2)]
    cut = Nsd(surface.config(space="nativesurface", localizer_t=0.0), home)
    inside = cut.voxel_rois.filter(pl.col("roi") == "VWFA-1").join(cut.voxels, on="voxel")
    assert inside.select("hemisphere", "vertex").rows() == [("left", 2)]
    assert dataset.voxels["noise_ceiling"].null_count() == 0
