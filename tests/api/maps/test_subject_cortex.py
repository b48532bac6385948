"""Which surface a subject is shown on: the one that it names, or its own where the user's store has it."""

from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest
from nibabel.affines import apply_affine
from pydantic import SecretStr
from toy_server import Fill

from tests.viz.conftest import MATRIX, SHAPE, spheres_meshes
from voxel_atlas.api.maps.subject_cortex import CortexCache, LoadSurface, on_its_surface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.datasets.interface import Subject
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import NotFoundError
from voxel_atlas.schemas.stage import Stage
from voxel_atlas.viz.surfaces.surface import Surface
from voxel_atlas.viz.surfaces.surface_import import write_subject, write_transform


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home and a pycortex store with the surfaces of one NSD subject and one functional space."""
    settings = Settings(home=tmp_path / "home", cortex_filestore=tmp_path / "store", token=SecretStr(""))
    made = write_subject("nsd-subj05", spheres_meshes(), tmp_path / "store", tmp_path / "home")
    reference = tmp_path / "mean.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros(SHAPE[::-1], np.int16), np.linalg.inv(MATRIX)), reference)
    write_transform(made, "func1pt8mm", MATRIX, reference)
    return settings


def nsd(**changes: object) -> Subject:
    known: dict[str, object] = {
        "subject_id": "nsd/subj05",
        "dataset": "nsd",
        "simulated": False,
        "space": "volume",
        "surface": None,
        "transform": None,
        "shape": SHAPE,
        "description": "",
        "own_surface": "nsd-subj05",
    }
    return Subject(**{**known, **changes})  # type: ignore[arg-type] - fields of a test's own choice


def test_a_subject_that_names_none_is_shown_on_its_own_by_the_transform_of_its_volume(settings: Settings) -> None:
    shown = on_its_surface(nsd(), settings)
    assert (shown.surface, shown.transform, shown.shape) == ("nsd-subj05", "func1pt8mm", SHAPE)
    vertices = on_its_surface(nsd(space="surface", shape=(642, 1026)), settings)
    assert (vertices.surface, vertices.transform) == ("nsd-subj05", None)


@pytest.mark.parametrize("changes", [{"shape": (9, 9, 9)}, {"own_surface": "nsd-subj06"}, {"own_surface": ""}])
def test_a_subject_without_one_for_its_responses_is_shown_on_none(
    changes: dict[str, object], settings: Settings
) -> None:
    assert on_its_surface(nsd(**changes), settings) == nsd(**changes)


def test_a_surface_that_is_named_comes_first(settings: Settings) -> None:
    named = nsd(space="surface", shape=(10_242, 10_242), surface="fsaverage5")
    assert on_its_surface(named, settings).surface == "fsaverage5"


def test_voxels_without_an_affine_lie_where_their_surface_s_transform_says(
    atlas: Atlas, surfaces: LoadSurface, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, token=SecretStr(""))
    subject, to_voxels = atlas.model().subject_id, surfaces("toy", "toy", tmp_path, None, None).transform_matrix()
    voxels = atlas.model().voxels([3, 299, 7])
    placed = CortexCache(atlas, settings, surfaces).placed(voxels, subject)
    found = placed.select("x_mm", "y_mm", "z_mm").to_numpy()
    np.testing.assert_allclose(apply_affine(to_voxels, found), voxels.select("i", "j", "k").to_numpy(), atol=1e-4)

    def none(*_: object) -> Surface:
        raise NotFoundError("There is no such subject.")

    nowhere = CortexCache(atlas, settings, none).placed(voxels, subject)
    assert nowhere.select(pl.col("x_mm", "y_mm", "z_mm").null_count()).row(0) == (3, 3, 3)


def test_places_that_an_ingest_tells_later_are_taken_up(
    fill_atlas: Fill, surfaces: LoadSurface, tmp_path: Path
) -> None:
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        fill_atlas(store, tmp_path / "stimuli")
        subject = Atlas(store, home=tmp_path).model().subject_id
        store.change([("UPDATE subject SET surface = NULL", None)])
        cortices = CortexCache(Atlas(store, home=tmp_path), Settings(home=tmp_path), surfaces)
        assert np.isnan(cortices.millimetres(subject)).all()
        told = [("UPDATE subject SET surface = 'toy'", None)]
        store.amend(told, {}, run_id="again", stage=Stage.SUBJECT, key=subject)
        assert np.isfinite(cortices.millimetres(subject)).all()
