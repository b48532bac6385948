"""Standard cortices: drawn without a download, against nilearn's own reading of the same files."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import fetch_surf_fsaverage
from nilearn.surface import vol_to_surf

from voxel_atlas.schemas.errors import SpaceMismatchError
from voxel_atlas.viz.surfaces.surface import Grid, Surface, load_surface
from voxel_atlas.viz.surfaces.user_maps import join


@pytest.fixture(scope="module")
def fs_lr(cache: Path) -> Surface:
    """The HCP's group surfaces."""
    return load_surface("fs_LR", None, cache)


def test_fs_lr_has_its_meshes_and_a_flat_map_on_which_the_left_hemisphere_lies_left(fs_lr: Surface) -> None:
    assert fs_lr.shape == (32492, 32492)
    assert fs_lr.kinds >= {"flat", "inflated", "wm", "pia"}
    pixels = fs_lr.pixel_map(400)
    rows, columns = np.nonzero(pixels.inside)
    left = pixels.index[rows, columns] < 32492
    assert columns[left].max() < columns[~left].min() + 20
    # Anterior is towards the outer edges, the occipital pole towards the middle.
    y = fs_lr.mesh("wm").points[pixels.index[rows, columns], 1]
    assert y[left][columns[left] < 100].mean() > y[left][columns[left] > 150].mean()


@pytest.mark.parametrize(("name", "n"), [("fsaverage6", 40962), ("fsaverage", 163842)])
def test_denser_fsaverage_is_drawn_on_the_first_vertices(name: str, n: int, fsaverage5: Surface, cache: Path) -> None:
    dense = load_surface(name, None, cache)
    assert dense.shape == (n, n)
    assert dense.n_cells == 2 * n
    few, many = fsaverage5.pixel_map(300), dense.pixel_map(300)
    expected = np.where(few.index >= 10242, few.index - 10242 + n, few.index)
    assert np.array_equal(many.index, expected)
    assert many.n_cells == 2 * n
    seen, view = fsaverage5.view(200), dense.view(200)
    assert np.array_equal(view.index, np.where(seen.vertex >= 10242, seen.vertex - 10242 + n, seen.vertex))
    values = np.arange(2 * n, dtype=np.float32)
    assert np.array_equal(join(values[:n], values[n:], dense)[many.index[many.inside]], many.index[many.inside])


def test_a_users_own_dense_mesh_is_taken_where_there_is_one(store: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "fsaverage6").symlink_to(store / "spheres")
    assert load_surface("fsaverage6", None, cache, tmp_path).shape == (642, 1026)


def test_a_volume_in_mni152_lies_where_nilearn_samples_it(cache: Path) -> None:
    affine = np.array([[-4.0, 0, 0, 90], [0, 4, 0, -126], [0, 0, 4, -72], [0, 0, 0, 1]])
    shape = (46, 55, 46)
    surface = load_surface("fsaverage5", "MNI152", cache, grid=Grid(shape[::-1], tuple(affine.ravel().tolist())))
    numbers = np.arange(np.prod(shape), dtype=np.float32).reshape(shape[::-1]).T  # each voxel its place in (z, y, x)
    files = fetch_surf_fsaverage("fsaverage5")
    image = nib.Nifti1Image(numbers, affine)
    theirs = [
        vol_to_surf(
            image,
            files[f"pial_{side}"],
            inner_mesh=files[f"white_{side}"],
            kind="depth",
            depth=[0.5],
            interpolation="nearest_most_frequent",
        )
        for side in ("left", "right")
    ]
    ours = surface.vertex_cells()
    assert (ours == np.concatenate(theirs)).mean() > 0.99  # ties of rounding fall otherwise


def test_two_volumes_in_mni152_do_not_share_what_was_worked_out(cache: Path) -> None:
    fine = Grid((91, 109, 91), (-2.0, 0, 0, 90, 0, 2.0, 0, -126, 0, 0, 2.0, -72, 0, 0, 0, 1))
    coarse = Grid((46, 55, 46), (-4.0, 0, 0, 90, 0, 4.0, 0, -126, 0, 0, 4.0, -72, 0, 0, 0, 1))
    one, other = (load_surface("fsaverage5", "MNI152", cache, grid=grid) for grid in (fine, coarse))
    assert one.pixel_map(100).index.max() > other.n_cells > other.pixel_map(100).index.max()


def test_mni152_without_an_affine_is_refused(cache: Path) -> None:
    with pytest.raises(SpaceMismatchError, match="Nothing says where the volume lies"):
        load_surface("fsaverage5", "MNI152", cache)
