"""Finding cut-outs: stamps with their descriptions, emoji of a true font where there is one, and what is missing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PIL_Image

from voxel_atlas.ingest.progress import Silent
from voxel_atlas.ingest.simulated.scenes import emoji
from voxel_atlas.ingest.simulated.scenes import picture_library as pictures
from voxel_atlas.ingest.simulated.scenes.categories import CATEGORY_OF
from voxel_atlas.ingest.simulated.scenes.stamps import stamp_cutouts
from voxel_atlas.schemas.errors import NotFoundError


def stamp(root: Path, name: str, text: str | None = None) -> None:
    path = root / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((400, 400, 4), np.uint8)
    picture[100:300, 150:250] = (200, 30, 30, 255)
    PIL_Image.fromarray(picture).save(path)
    if text is not None:
        path.with_suffix(".txt").write_text(f"{text}\nfr.utf8=Une chose.\n", encoding="utf-8")


def test_stamps_bear_their_description_or_their_files_name(tmp_path):
    stamp(tmp_path, "food/fruit/apple_red", "A red apple.")
    stamp(tmp_path, "food/vegetables/broccoli", "Eat your broccoli before you play!")
    stamp(tmp_path, "food/vegetables/sweet_corn2")
    stamp(tmp_path, "food/nuts/walnut", "A walnut.")
    stamp(tmp_path, "food/fruit/apple_red_mirror", "A red apple.")
    found = {(cutout.description, cutout.concept) for cutout in stamp_cutouts(tmp_path)}
    assert found == {("red apple", "fruit"), ("broccoli", "vegetable"), ("sweet corn", "vegetable")}


def test_a_cutout_is_cut_to_what_is_visible_and_not_too_large(tmp_path):
    stamp(tmp_path, "food/fruit/apple", "An apple.")
    picture = stamp_cutouts(tmp_path)[0].picture(np.random.default_rng(0))
    assert picture.shape == (192, 96, 4)
    assert (picture[..., 3] > 200).mean() > 0.95


class _Bitmap:
    def __init__(self, data: bytes) -> None:
        self.imageData = data


class _Ligature:
    def __init__(self, rest: list[str], glyph: str) -> None:
        self.Component, self.LigGlyph = rest, glyph


class _Font:
    """As much of fontTools' TTFont as is read: a woman, a skin colour, a ligature of them, and an apple."""

    def __init__(self, tables: dict[str, object]) -> None:
        self._tables = tables

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def __contains__(self, name):
        return name in self._tables

    def __getitem__(self, name):
        return self._tables[name]

    def getBestCmap(self):  # noqa: N802 - the library's name
        return {0x1F469: "woman", 0x1F3FB: "light", 0x1F34E: "apple", 0x2764: "heart"}


def _named(**values):
    return type("Named", (), values)()


@pytest.fixture
def font(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    table = _named(ligatures={"woman": [_Ligature(["light"], "woman_light")]})
    gsub = _named(table=_named(LookupList=_named(Lookup=[_named(LookupType=4, SubTable=[table])])))
    bitmaps = {name: _Bitmap(name.encode()) for name in ("woman", "woman_light", "apple", "heart")}
    tables = {"CBDT": _named(strikeData=[bitmaps]), "GSUB": gsub}
    monkeypatch.setattr(emoji, "TTFont", lambda *_, **__: _Font(tables))
    return tables


NAMES = """# group: People & Body
# subgroup: person
1F469                                      ; fully-qualified     # W E0.6 woman
1F469 1F3FB                                ; fully-qualified     # W E1.0 woman: light skin tone
1F469 1F3FF                                ; fully-qualified     # W E1.0 woman: dark skin tone
# subgroup: heart
2764 FE0F                                  ; fully-qualified     # H E0.6 red heart
# subgroup: food-fruit
1F34E                                      ; fully-qualified     # A E0.6 red apple
1F34E                                      ; unqualified         # A E0.6 red apple again
"""


def test_emoji_of_one_name_are_one_cutout_with_a_picture_for_each_skin_colour(font, tmp_path):
    (tmp_path / "names").write_text(NAMES, encoding="utf-8")
    found = {c.name: c for c in emoji.emoji_cutouts(tmp_path / "font", tmp_path / "names")}
    assert set(found) == {"emoji/woman", "emoji/red apple"}
    assert found["emoji/woman"].sources == (b"woman", b"woman_light")
    assert found["emoji/woman"].description == "the face of a woman"
    assert found["emoji/red apple"].concept == "fruit"


def test_without_unicodes_list_python_names_the_characters(font, tmp_path):
    found = {c.description: c.concept for c in emoji.emoji_cutouts(tmp_path / "font", None)}
    assert found == {"the face of a woman": "woman's face", "red apple": "fruit"}


def test_a_font_without_bitmaps_has_no_cutouts(font, tmp_path):
    del font["CBDT"]
    assert emoji.emoji_cutouts(tmp_path / "font", None) == []


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "package_root", lambda *_: None)
    monkeypatch.setattr(pictures, "_OTHER_FONTS", ())


def test_without_any_picture_the_error_says_what_to_install(nothing_installed, tmp_path):
    with pytest.raises(NotFoundError, match="fonts-noto-color-emoji"):
        pictures.load_pictures(tmp_path)


def test_what_is_missing_is_said_in_one_sentence(nothing_installed, font, tmp_path, monkeypatch):
    (tmp_path / "font.ttf").touch()
    monkeypatch.setattr(pictures, "_OTHER_FONTS", (tmp_path / "font.ttf",))
    said: list[str] = []

    class Listener(Silent):
        def note(self, message: str) -> None:
            said.append(message)

    found = pictures.load_pictures(tmp_path, Listener())
    assert said == [found.note]
    assert "tuxpaint-stamps-default" in found.note
    assert found.note.count(".") == 1
    assert {path.stem for path in found.photographs} == {"brick", "grass", "gravel"}
    assert {CATEGORY_OF[cutout.concept] for cutout in found.cutouts} <= set(CATEGORY_OF.values())
    assert pictures.read_photograph(found.photographs[0]).shape[2] == 3
