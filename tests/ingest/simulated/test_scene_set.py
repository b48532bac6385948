"""Sets of scenes on disk, collages for words, and the calibration that is made of them."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_pictures import disc, toy_pictures

from voxel_atlas.api.cli.demo import CONFIG
from voxel_atlas.atlas.backbones import load
from voxel_atlas.atlas.backbones.lite.lite import ALIGNMENT, is_current
from voxel_atlas.ingest.encoding.split import split_by
from voxel_atlas.ingest.simulated import alignment
from voxel_atlas.ingest.simulated.alignment import _ridge, _without, calibrate
from voxel_atlas.ingest.simulated.collage import N_NEAREST, CollageGenerator
from voxel_atlas.ingest.simulated.scenes import scene_set
from voxel_atlas.ingest.simulated.scenes.cutouts import CutOut
from voxel_atlas.ingest.simulated.scenes.picture_library import PictureLibrary
from voxel_atlas.schemas.errors import BadInputError


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_set, "load_pictures", lambda *_: toy_pictures())


def test_pictures_are_named_by_their_content(tmp_path):
    for scene in scene_set.scene_set(tmp_path, "B", 12, 0):
        assert hashlib.sha256(scene.path.read_bytes()).hexdigest() == scene.sha256
        assert scene.sha256 in scene.path.name
        assert scene.image().shape == (256, 256, 3)


def test_a_set_is_read_back_as_it_was_made(tmp_path, monkeypatch):
    made = scene_set.scene_set(tmp_path, "B", 12, 0)
    monkeypatch.setattr(scene_set, "compose", None)
    assert scene_set.scene_set(tmp_path, "B", 12, 0) == made


def test_pictures_to_test_on_show_cut_outs_that_no_other_shows(tmp_path):
    scenes = scene_set.scene_set(tmp_path, "B", 80, 0)
    train, test = split_by(CONFIG, len(scenes))
    shown = [{thing.name for row in rows for thing in scenes[row].things} for rows in (train, test)]
    assert all(shown)
    assert not shown[0] & shown[1]


def test_a_scene_depends_on_its_number_and_not_on_the_set(tmp_path):
    few, many = scene_set.scene_set(tmp_path, "A", 3, 0), scene_set.scene_set(tmp_path, "A", 6, 0)
    assert [scene.sha256 for scene in many[:3]] == [scene.sha256 for scene in few]


def test_sets_take_their_things_from_their_own_half(tmp_path):
    names = {
        half: {t.name for s in scene_set.scene_set(tmp_path, half, 20, 0) for t in s.things} for half in ("A", "B")
    }
    halves = {half: {c.name for c in toy_pictures().of_half(half)} for half in ("A", "B")}
    assert names["A"] <= halves["A"]
    assert names["B"] <= halves["B"]


def test_a_set_that_was_not_finished_is_made_again(tmp_path, monkeypatch):
    compose, n_made = scene_set.compose, 0

    def killed(*arguments, **named):
        nonlocal n_made
        n_made += 1
        if n_made == 3:
            raise KeyboardInterrupt
        return compose(*arguments, **named)

    monkeypatch.setattr(scene_set, "compose", killed)
    with pytest.raises(KeyboardInterrupt):
        scene_set.scene_set(tmp_path, "B", 12, 0)
    monkeypatch.setattr(scene_set, "compose", compose)
    assert len(scene_set.scene_set(tmp_path, "B", 12, 0)) == 12


class _Letters:
    """A text tower whose vectors count letters; each text's with a rounding error of its own, as processors make."""

    fingerprint = "letters"

    def __init__(self, rounding: int | None = None) -> None:
        self._rounding = rounding

    def text(self, texts):
        counts = np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], float)
        vectors = counts / np.linalg.norm(counts, axis=1, keepdims=True).clip(1e-9)
        if self._rounding is None:
            return vectors
        return vectors + np.random.default_rng(self._rounding).uniform(-1e-6, 1e-6, vectors.shape)


SHADES = tuple(range(20, 240, 10))


def many_equals() -> PictureLibrary:
    """Twice as many cut-outs of one description as a word may have, told apart by their shade, and some others."""
    equals = [CutOut(f"letter/{n}", "letter", "letter", (disc((n, 255, 255 - n)),)) for n in (*SHADES, *range(1, 19))]
    return PictureLibrary((*toy_pictures().cutouts, *equals), (), "")


@pytest.fixture
def collages() -> CollageGenerator:
    return CollageGenerator(toy_pictures(), _Letters())


def test_collages_are_one_for_each_seed_and_the_same_for_the_same(collages):
    (first, second), nothing = collages.generate([("dessert number", [7, 8]), ("zzz", [1])])
    (again,) = collages.generate([("dessert number", [8])])
    assert nothing is None, "no cut-out is near to this word"
    assert not (first == second).all()
    assert (again[0] == second).all()


@settings(max_examples=20, deadline=None)
@given(rounding=st.integers(0, 2**32), label=st.sampled_from(["letter", "printed word on a sign", "dessert number"]))
def test_the_last_digits_of_a_processor_change_no_collage(rounding, label):
    exact, rounded = (CollageGenerator(many_equals(), tower) for tower in (_Letters(), _Letters(rounding)))
    for one, other in zip(*(made.generate([(label, [1, 2, 3])])[0] for made in (exact, rounded)), strict=True):
        assert (one == other).all()


def test_cut_outs_of_one_description_share_its_pictures():
    (pictures,) = CollageGenerator(many_equals(), _Letters()).generate([("letter", list(range(80)))])
    of_half = {cutout.name for cutout in many_equals().of_half("A")}
    equals = [n for n in SHADES if f"letter/{n}" in of_half]
    drawn = [n for n in equals if any((picture == (n, 255, 255 - n)).all(axis=2).any() for picture in pictures)]
    assert drawn == equals
    assert len(equals) > N_NEAREST


def test_an_empty_label_is_refused_and_the_name_tells_the_cut_outs(collages):
    with pytest.raises(BadInputError, match="label to draw is empty"):
        collages.generate([("", [1])])
    assert collages.name == CollageGenerator(toy_pictures(), _Letters()).name
    assert collages.name.startswith("collage@")
    fewer = replace(toy_pictures(), cutouts=toy_pictures().cutouts[1:])
    assert collages.name != CollageGenerator(fewer, _Letters()).name


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("calibrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_set, "load_pictures", lambda *_: toy_pictures())
        assert calibrate(home, n_scenes=8) == home / ALIGNMENT
    return home


def test_calibration_is_made_once_and_lite_loads_it(calibrated):
    path = calibrated / ALIGNMENT
    assert is_current(path)
    written = path.stat().st_mtime_ns
    assert calibrate(calibrated, n_scenes=8) == path
    assert path.stat().st_mtime_ns == written
    lite = load("lite", home=calibrated, device="cpu")
    assert lite.features([np.full((30, 40, 3), 128, np.uint8)]).shape == (1, 384)


def test_a_calibration_is_named_by_what_it_is_made_of_and_not_by_its_last_digits(calibrated, tmp_path, monkeypatch):
    name = load("lite", home=calibrated, device="cpu").fingerprint
    with np.load(calibrated / ALIGNMENT) as file:
        arrays = dict(file)
    rounded = tmp_path / "rounded.npz"
    np.savez(rounded, **{**arrays, "map": np.nextafter(arrays["map"], np.float32(1))})
    assert load("lite", home=tmp_path, weights=rounded, device="cpu").fingerprint == name
    # Reading a thousand names and descriptions is most of the work, and they are the same.
    classes = np.random.default_rng(0).normal(size=(2, 1000, 384))
    monkeypatch.setattr(alignment, "_class_texts", lambda _: (classes[0], classes[1]))
    other = calibrate(tmp_path, n_scenes=7)
    assert load("lite", home=tmp_path, weights=other, device="cpu").fingerprint != name


def test_features_do_not_depend_on_what_else_is_in_the_batch(calibrated, tmp_path):
    lite = load("lite", home=calibrated, device="cpu")
    images = [scene.image() for scene in scene_set.scene_set(tmp_path, "B", 12, 0)]
    weights = np.random.default_rng(0).normal(size=(7, 384)).astype(np.float32)
    assert (lite.features(images) == np.concatenate([lite.features([image]) for image in images])).all()
    together = lite.local_features(images)
    assert (together == np.concatenate([lite.local_features([image]) for image in images])).all()
    maps = lite.activation_maps(together[0], weights)
    assert (maps == np.concatenate([lite.activation_maps(together[0], row[None]) for row in weights])).all()


def test_a_file_of_another_recipe_is_made_anew(tmp_path):
    path = tmp_path / ALIGNMENT
    path.parent.mkdir(parents=True)
    np.savez(path, map=np.zeros((1280, 384)))
    assert not is_current(path)
    assert not is_current(tmp_path / "nowhere.npz")


def test_a_regression_without_a_direction_does_not_see_it():
    rng = np.random.default_rng(0)
    x, y, direction = rng.normal(size=(200, 12)), rng.normal(size=(200, 4)), rng.normal(size=12)
    direction /= np.linalg.norm(direction)
    fitted = _ridge(_without(x, direction), y, 3.0)
    np.testing.assert_allclose(direction @ fitted, 0, atol=1e-10)
    reduced = _without(x, direction)
    gradient = reduced.T @ (reduced @ fitted - y) + 3.0 * fitted
    np.testing.assert_allclose(gradient, 0, atol=1e-9)
