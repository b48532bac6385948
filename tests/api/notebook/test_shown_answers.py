"""What a notebook shows of answers: HTML that is escaped, bears the stamp, and is the same over HTTP."""

import inspect
import io
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import voxel_atlas as va
from voxel_atlas.api.notebook.answer_pictures import FLAT_WIDTH
from voxel_atlas.api.notebook.shown_atlas import NotebookAtlas, ServedAtlas
from voxel_atlas.atlas.client import ATLAS_QUESTIONS, MODEL_QUESTIONS
from voxel_atlas.atlas.search.tables.answer_html import answer_html
from voxel_atlas.schemas.errors import NotFoundError

Opened = NotebookAtlas | ServedAtlas
HOSTILE = '<img src=x onerror="document.title=1">'
ANSWERS: dict[str, Callable[[Opened], Any]] = {
    "model": lambda it: it.model(),
    "hits": lambda it: it.model().similar("cake", first=12),
    "map": lambda it: it.model().map("cake"),
    "plain map": lambda it: it.desk.model(it.model().model_id).map("cake"),
    "metric": lambda it: it.model().map(metric="r2"),
    "table": lambda it: it.model().roi_table(["cake", "face"]),
    "band": lambda it: it.model().null_band(),
    "pair": lambda it: va.compare(it.model().map("cake"), it.model().map("face")),
    "labels": lambda it: it.model().labels(first=50),
    "contrast": lambda it: it.model().contrast("cake", "face", significant=False),
    "regions": lambda it: it.model().contrast_regions("cake", "face", significant=False),
    "matrix": lambda it: it.model().concept_matrix(["cake", "face"]),
    "voxel": lambda it: it.model().voxel(7),
}
"""What a notebook is asked to show."""


class _Reader(HTMLParser):
    """Collects tags and texts, and sees that what is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_shows_itself_the_same_from_a_file_as_over_http(opened: dict[str, Opened], name: str) -> None:
    here, there = (ANSWERS[name](opened[where])._repr_html_() for where in ("file", "http"))
    assert here == there
    read = _Reader(here)
    assert read.open == []
    assert "SIMULATED" in read.text
    assert "simulated/T1/toy" in read.text
    # Nothing is fetched, nothing runs, and colours of texts are the page's own.
    assert {tag for tag, _ in read.tags} <= {
        "div",
        "span",
        "b",
        "br",
        "img",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert all(str(attributes["src"]).startswith("data:image/") for tag, attributes in read.tags if tag == "img")
    assert all(set(attributes) <= {"style", "src", "alt"} for _, attributes in read.tags)
    assert len(here) < 250_000


@pytest.mark.parametrize("name", [name for name in ANSWERS if name not in ("plain map", "band")])
def test_an_answer_has_a_picture_which_is_the_same_over_http(opened: dict[str, Opened], name: str) -> None:
    here, there = (ANSWERS[name](opened[where])._repr_png_() for where in ("file", "http"))
    assert here == there
    with Image.open(io.BytesIO(here)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_hits_stand_out_of_the_map_by_which_they_are_ranked(opened: dict[str, Opened]) -> None:
    model = opened["file"].model()
    hits = model.similar("cake", first=3)
    wanted = model.map("cake").plot(width=FLAT_WIDTH, focus=hits.frame["voxel"]).content
    assert hits._repr_png_() == wanted != model.similar("cake", first=9)._repr_png_()
    assert (
        model.similar(voxel=7, first=3)._repr_png_()
        == model.map(metric="r2").plot(width=FLAT_WIDTH, focus=model.similar(voxel=7, first=3).frame["voxel"]).content
    )


def test_answers_without_a_notebook_have_no_picture_and_atlases_say_where_they_are(opened: dict[str, Opened]) -> None:
    model = opened["file"].model()
    assert opened["file"].desk.model(model.model_id).similar("cake")._repr_png_() is None
    for atlas in opened.values():
        assert atlas._repr_png_() == model._repr_png_()
        assert repr(atlas).startswith(f"<{type(atlas).__name__} ")


def test_a_label_that_is_html_is_shown_as_text(opened: dict[str, Opened]) -> None:
    model = opened["file"].model()
    for shown in (model.voxel(7)._repr_html_(), model.labels("<img")._repr_html_()):
        assert HOSTILE in _Reader(shown).text
        assert HOSTILE not in shown


def test_an_atlas_shows_its_models(opened: dict[str, Opened]) -> None:
    for atlas in opened.values():
        read = _Reader(atlas._repr_html_())
        assert "simulated/T1/toy" in read.text
        assert "SIMULATED" in read.text


def test_measured_responses_bear_no_stamp() -> None:
    assert "SIMULATED" not in answer_html("hits", frame=pl.DataFrame({"voxel": [1]}), simulated=False)


def test_a_long_table_says_how_many_rows_it_leaves_out() -> None:
    frame = pl.DataFrame(
        {"voxel": range(25), "value": [None, float("nan"), -0.5, *range(22)], "rois": [["FFA", "EBA"]] * 25}
    )
    read = _Reader(answer_html("map", frame=frame, simulated=True))
    assert "15 more rows in .frame" in read.text
    assert "−0.5" in read.text
    assert "FFA, EBA" in read.text
    assert "None" not in read.text
    assert "nan" not in read.text


@pytest.mark.parametrize("where", ["file", "http"])
def test_a_voxel_is_its_card(opened: dict[str, Opened], where: str) -> None:
    voxel = opened[where].model().voxel(3)
    with Image.open(io.BytesIO(voxel._repr_png_())) as card:
        assert card.width == 1240
    assert voxel._repr_png_() == opened["file"].model().voxel(3)._repr_png_()
    assert voxel.labels["rank"].to_list() == [1, 2, 3, 4, 5]
    assert voxel.about["voxel"].to_list() == [3]
    with pytest.raises(NotFoundError, match="has not fitted voxel 4000"):
        opened[where].model().voxel(4000)


@pytest.mark.parametrize("where", ["file", "http"])
def test_completion_offers_every_question_with_its_documentation(opened: dict[str, Opened], where: str) -> None:
    atlas, model = opened[where], opened[where].model()
    for asked, questions in (
        (atlas, [*ATLAS_QUESTIONS, "model", "volume"]),
        (model, [*MODEL_QUESTIONS, "map", "voxel"]),
    ):
        for name in questions:
            assert name in dir(asked)
            assert len(inspect.getdoc(getattr(asked, name)) or "") > 20
            assert "self" not in inspect.signature(getattr(asked, name)).parameters
    assert "min_z" in inspect.signature(model.similar).parameters
