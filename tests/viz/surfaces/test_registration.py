from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from voxel_atlas.schemas.errors import BadInputError, NotFoundError
from voxel_atlas.viz.surfaces import registration

SHAPE, SIZES = (10, 12, 8), (2.0, 1.5, 3.0)


@pytest.fixture
def functional(tmp_path: Path) -> Path:
    affine = np.diag([-2.0, 1.5, 3.0, 1.0])
    affine[:3, 3] = 9, -8, -12
    path = tmp_path / "functional.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.float32), affine), path)
    return path


def test_tkregister_coordinates_are_nibabels() -> None:
    header = nib.freesurfer.mghformat.MGHHeader()
    header.set_data_shape(SHAPE)
    header.set_zooms(SIZES)
    assert np.allclose(registration.tkregister(SHAPE, np.array(SIZES)), header.get_vox2ras_tkr())


def test_a_register_dat_takes_surface_points_to_voxels(functional: Path, tmp_path: Path) -> None:
    turn = np.array([[0.0, -1, 0, 4], [1, 0, 0, -2], [0, 0, 1, 3], [0, 0, 0, 1]])
    rows = "\n".join(" ".join(f"{number:.6f}" for number in row) for row in turn)
    register = tmp_path / "register.dat"
    register.write_text(f"subj01\n2.000000\n3.000000\n0.150000\n{rows}\nround\n", encoding="utf-8")
    matrix = registration.from_register(register, functional)
    voxel = np.array([3.0, 7.0, 2.0, 1.0])
    functional_mm = registration.tkregister(SHAPE, np.array(SIZES)) @ voxel
    surface_mm = np.linalg.inv(turn) @ functional_mm
    assert np.allclose(matrix @ surface_mm, voxel)


def test_images_that_lie_on_each_other_need_no_register(functional: Path, tmp_path: Path) -> None:
    affine = np.array([[-1.0, 0, 0, 8], [0, 0, 1, -9], [0, -1, 0, 7], [0, 0, 0, 1]])
    anatomy = tmp_path / "orig.mgz"
    nib.save(nib.MGHImage(np.zeros((16, 16, 16), np.float32), affine), anatomy)
    matrix = registration.from_headers(anatomy, functional)
    place = np.array([5.0, 6.0, 7.0, 1.0])  # a voxel of the anatomy
    surface_mm = registration.tkregister((16, 16, 16), np.ones(3)) @ place
    expected = np.linalg.inv(nib.load(functional).affine) @ affine @ place
    assert np.allclose(matrix @ surface_mm, expected, atol=1e-4)


def test_a_matrix_is_read_from_text(tmp_path: Path) -> None:
    path = tmp_path / "matrix.txt"
    np.savetxt(path, np.arange(16.0).reshape(4, 4))
    assert np.array_equal(registration.read_matrix(path), np.arange(16.0).reshape(4, 4))


@pytest.mark.parametrize("text", ["", "1 2 3 4", "a b c d\n" * 4, "1 2 3 4\n" * 5])
def test_what_is_no_matrix_is_refused(functional: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.dat"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError, match=r"broken\.dat"):
        registration.read_matrix(path)
    with pytest.raises(BadInputError, match=r"broken\.dat"):
        registration.from_register(path, functional)


def test_missing_and_broken_files_are_named(functional: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="none"):
        registration.read_matrix(tmp_path / "none")
    with pytest.raises(NotFoundError, match=r"orig\.mgz"):
        registration.from_headers(tmp_path / "orig.mgz", functional)
    broken = tmp_path / "broken.mgz"
    broken.write_bytes(b"\xff\xfe nothing")
    with pytest.raises(BadInputError, match=r"broken\.mgz"):
        registration.from_headers(broken, functional)
    with pytest.raises(BadInputError, match="not a text file"):
        registration.read_matrix(broken)
