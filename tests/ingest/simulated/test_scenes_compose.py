"""Scenes are what their lists say."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageFont
from scene_pictures import disc, toy_pictures

from voxel_atlas.ingest.simulated.scenes.categories import CATEGORIES, CATEGORY_OF, portrait, stamp_concept
from voxel_atlas.ingest.simulated.scenes.compose import SIZE, choose, compose
from voxel_atlas.ingest.simulated.scenes.cutouts import CutOut
from voxel_atlas.ingest.simulated.scenes.drawn_words import _font, lettering_cutouts

PICTURES = toy_pictures()


def scene(seed: int):
    rng = np.random.default_rng(seed)
    return compose(choose(PICTURES.cutouts, rng), rng)


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_boxes_lie_in_the_scene_and_areas_are_shares_of_it(seed):
    made = scene(seed)
    assert made.image.shape == (SIZE, SIZE, 3)
    assert 1 <= len(made.things) <= 3
    assert sum(thing.area for thing in made.things) <= 1
    for thing in made.things:
        left, top, right, bottom = thing.box
        assert 0 <= left < right <= SIZE
        assert 0 <= top < bottom <= SIZE
        assert 0 <= thing.area <= (right - left) * (bottom - top) / SIZE**2 + 1e-6


def test_a_seed_is_a_scene():
    assert (scene(3).image == scene(3).image).all()
    assert scene(3).things == scene(3).things
    assert not (scene(3).image == scene(4).image).all()


def test_the_area_is_what_is_to_be_seen_of_a_thing():
    red = CutOut("red", "red disc", "thing", (disc((255, 0, 0)),))
    made = compose([red], np.random.default_rng(0))
    left, top, right, bottom = made.things[0].box
    assert made.things[0].area == pytest.approx(np.pi / 4 * (right - left) * (bottom - top) / SIZE**2, rel=0.05)
    assert (made.image[(top + bottom) // 2, (left + right) // 2] == (255, 0, 0)).all()


def test_a_thing_behind_another_has_less_area():
    square = np.full((50, 50, 4), 255, np.uint8)
    full = CutOut("full", "square", "thing", (lambda _: square,))
    made = [compose([full] * 3, np.random.default_rng(seed)) for seed in range(30)]
    hidden = [
        1 - t.area * SIZE**2 / ((t.box[2] - t.box[0]) * (t.box[3] - t.box[1])) for m in made for t in m.things[:2]
    ]
    in_front = [
        1 - m.things[2].area * SIZE**2 / np.prod(np.subtract(m.things[2].box[2:], m.things[2].box[:2])) for m in made
    ]
    assert max(hidden) > 0.05
    assert max(in_front) == pytest.approx(0, abs=1e-6)


def test_planted_categories_come_about_equally_often():
    rng = np.random.default_rng(0)
    counts = Counter(CATEGORY_OF[cutout.concept] for _ in range(1500) for cutout in choose(PICTURES.cutouts, rng))
    assert set(counts) == set(CATEGORIES)
    assert max(counts.values()) < 2 * min(counts.values())


def test_concepts_that_no_cutout_shows_are_left_out():
    fruit = [cutout for cutout in PICTURES.cutouts if cutout.concept == "fruit"]
    rng = np.random.default_rng(0)
    assert {cutout.concept for _ in range(20) for cutout in choose(fruit, rng)} == {"fruit"}


def test_halves_share_no_cutout_and_hold_every_lettered_concept():
    halves = {half: {c.name for c in PICTURES.of_half(half)} for half in ("A", "B")}
    assert not halves["A"] & halves["B"]
    assert len(halves["A"] | halves["B"]) == len(PICTURES.cutouts)
    for half in ("A", "B"):
        concepts = {cutout.concept for cutout in PICTURES.of_half(half)}
        assert set(CATEGORIES["word"]) <= concepts


def test_drawn_words_can_be_told_from_their_paper():
    for cutout in lettering_cutouts()[::40]:
        picture = cutout.picture(np.random.default_rng(1)).astype(int)
        ink = picture[picture[..., 3] > 0][:, :3].sum(axis=1)
        assert picture.shape[2] == 4
        assert (picture[..., 3] == 0).any() or np.ptp(ink) > 200


def test_drawn_words_do_not_hang_on_the_systems_layout_of_text(monkeypatch):
    def drawn():
        _font.cache_clear()
        return [cutout.picture(np.random.default_rng(1)) for cutout in lettering_cutouts()[::20]]

    def laid_out_otherwise(path, size, *arguments, layout_engine):
        """Raqm, as far as a test can have it everywhere: letters take another room."""
        return getfont(path, size + 3 * (layout_engine == ImageFont.Layout.RAQM), *arguments, layout_engine=0)

    getfont = ImageFont.core.getfont
    monkeypatch.setattr(ImageFont.core, "getfont", laid_out_otherwise)
    monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", False)
    without = drawn()
    monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", True)
    assert all(np.array_equal(one, other) for one, other in zip(drawn(), without, strict=True))


@pytest.mark.parametrize(
    ("name", "concept"),
    [
        ("woman cook", "woman's face"),
        ("man: beard", "man's face"),
        ("person: beard", None),
        ("pregnant woman", None),
        ("woman feeding baby", None),
        ("prince", "man's face"),
    ],
)
def test_portraits_are_of_whom_their_names_say(name, concept):
    assert portrait(name) == concept


@pytest.mark.parametrize(
    ("folder", "concept"),
    [
        ("food/fruit/cartoon", "fruit"),
        ("food", "meal"),
        ("food/nuts", None),
        ("town/houses/cartoon", "building"),
        ("town/flags", None),
        ("symbols/math", "number"),
        ("symbols/math/operators", None),
    ],
)
def test_stamps_show_what_their_folder_says(folder, concept):
    assert stamp_concept(folder) == concept
    assert concept is None or concept in CATEGORY_OF
