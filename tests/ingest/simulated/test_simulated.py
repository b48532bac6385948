"""The simulated subject: its scenes, its voxels' places, and responses that come from what is in the scenes."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scene_pictures import toy_pictures

from voxel_atlas.ingest.datasets import check_dataset, open_dataset
from voxel_atlas.ingest.simulated.planting import EARLY, PREFERRED, Cortex
from voxel_atlas.ingest.simulated.scenes import scene_set
from voxel_atlas.ingest.simulated.scenes.categories import CATEGORY_OF
from voxel_atlas.ingest.simulated.subject import Simulated, save_world
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import NotFoundError

N_SCENES, N_VOXELS = 120, 700


@pytest.fixture(scope="module")
def cortex() -> Cortex:
    mask = np.zeros((10, 30, 30), bool)
    mask[1:9, 2:28, 2:28] = True
    rois = {}
    for number, name in enumerate((*EARLY, *[roi for roi in PREFERRED if roi not in ("VWFA", "FOOD")])):
        y, x = divmod(number, 3)
        roi = np.zeros_like(mask)
        roi[3:6, 3 + 8 * y : 6 + 8 * y, 3 + 8 * x : 6 + 8 * x] = True
        rois[name] = roi
    return Cortex(mask, rois, "toy", "toy")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulated")


@pytest.fixture(scope="module")
def make(cortex: Cortex, home: Path) -> Iterator[Callable[..., Simulated]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_set, "load_pictures", lambda *_: toy_pictures())
        yield lambda **changes: Simulated(home, cortex, n_scenes=N_SCENES, n_voxels=N_VOXELS, **changes)


@pytest.fixture(scope="module")
def subject(make: Callable[..., Simulated]) -> Simulated:
    return make()


def all_voxels(subject):
    return np.arange(subject.voxels.height)


def test_it_says_that_it_is_simulated(subject):
    assert subject.subject.simulated
    assert subject.subject.description.startswith("Simulated")
    sources = dict(subject.rois.select("roi", "source").iter_rows())
    assert {roi for roi, source in sources.items() if source == "simulated"} == {"VWFA", "FOOD"}


def test_stimuli_are_files_named_by_their_content(subject):
    assert subject.stimuli.height == N_SCENES
    for uri, sha256 in subject.stimuli.select("uri", "sha256").head(5).iter_rows():
        assert hashlib.sha256(Path(uri).read_bytes()).hexdigest() == sha256
    assert subject.image(3).dtype == np.uint8
    assert subject.image(3).shape == (256, 256, 3)


def test_voxels_lie_in_the_cortex_and_their_regions(subject, cortex):
    i, j, k = (subject.voxels[axis].to_numpy() for axis in "ijk")
    assert subject.voxels.height >= N_VOXELS
    assert cortex.mask[k, j, i].all()
    assert subject.voxels["voxel"].to_list() == list(range(subject.voxels.height))
    of_ffa = subject.voxel_rois.filter(pl.col("roi") == "FFA")["voxel"].to_numpy()
    assert cortex.rois["FFA"][k[of_ffa], j[of_ffa], i[of_ffa]].all()
    assert len(of_ffa) == cortex.rois["FFA"].sum()


def test_responses_are_the_noise_free_ones_with_noise(subject):
    responses, noise_free = subject.responses_of(all_voxels(subject)), subject.noise_free
    assert responses.shape == noise_free.shape == (N_SCENES, subject.voxels.height)
    assert responses.dtype == np.float32
    explained = np.array([np.corrcoef(a, b)[0, 1] ** 2 for a, b in zip(responses.T, noise_free.T, strict=True)])
    ceiling = subject.voxels["noise_ceiling"].to_numpy()
    assert np.corrcoef(explained, ceiling)[0, 1] > 0.9
    assert ceiling.min() > 0
    assert ceiling.max() < 1


def test_some_voxels_are_those_columns(subject):
    some = np.array([5, 2, 90])
    np.testing.assert_array_equal(subject.responses_of(some), subject.responses_of(all_voxels(subject))[:, some])


def test_a_voxel_answers_to_scenes_with_its_concept(subject, home):
    planting = subject.planting()
    concept = "fruit"
    voxel = planting.filter((pl.col("weight") > 0.99) & (pl.col("concept") == concept))["voxel"][0]
    scenes = scene_set.scene_set(home, "B", N_SCENES, 0)
    shows = np.array([any(thing.concept == concept and thing.area > 0.02 for thing in s.things) for s in scenes])
    response = subject.noise_free[:, voxel]
    assert response[shows].mean() > response[~shows].mean() + 1


def test_contents_name_the_categories_that_a_scene_shows(subject, home):
    contents = subject.contents()
    scenes = scene_set.scene_set(home, "B", N_SCENES, 0)
    for row in (0, 7):
        stimulus_id = subject.stimuli["stimulus_id"][row]
        shown = {CATEGORY_OF[thing.concept] for thing in scenes[row].things} - {"other"}
        assert set(contents.filter(stimulus_id=stimulus_id)["category"]) == shown
    assert "other" not in contents["category"]


def test_planting_rows_name_the_subject(subject):
    assert subject.planting().columns == ["subject_id", "voxel", "concept", "category", "weight"]
    assert subject.planting()["subject_id"].unique().to_list() == ["simulated/S1"]


def test_the_same_seed_is_the_same_subject_and_another_is_not(subject, make):
    again, other = make(), make(seed=1)
    assert again.fingerprint == subject.fingerprint
    np.testing.assert_array_equal(again.responses_of(all_voxels(again)), subject.responses_of(all_voxels(subject)))
    assert other.fingerprint != subject.fingerprint
    assert not other.planting().equals(subject.planting())


def test_a_subject_is_opened_by_its_name_as_any_other(subject, cortex, home):
    config = IngestConfig(dataset="simulated", subject="S1")
    save_world(home, cortex, N_SCENES, N_VOXELS)
    opened = open_dataset(config, home)
    assert opened.fingerprint == subject.fingerprint
    assert opened.subject == subject.subject
    for name in ("stimuli", "voxels", "rois", "voxel_rois"):
        assert getattr(opened, name).equals(getattr(subject, name)), name
    np.testing.assert_array_equal(opened.responses_of(all_voxels(opened)), subject.responses_of(all_voxels(subject)))
    found = check_dataset(config.model_copy(update={"rois": ("FFA",)}), home, 384)
    assert not found.problems
    assert (found.size.n_images, found.size.n_trials) == (N_SCENES, N_SCENES)
    assert found.size.n_voxels == subject.voxel_rois.filter(pl.col("roi") == "FFA").height


def test_without_the_demos_files_a_subject_is_one_sentence(cortex, tmp_path):
    config = IngestConfig(dataset="simulated", subject="S1")
    with pytest.raises(NotFoundError, match="there is no simulated cortex here; run `voxel-atlas demo`"):
        open_dataset(config, tmp_path)
    save_world(tmp_path, cortex, N_SCENES, N_VOXELS)
    with pytest.raises(NotFoundError, match="pictures of simulated/S1 are not on this machine; run `voxel-atlas demo`"):
        open_dataset(config, tmp_path)
    assert check_dataset(config, tmp_path, 384).problems
    assert not (tmp_path / "scenes").exists()
