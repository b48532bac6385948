"""One object for an atlas wherever it is: on a file, served, and over HTTP the answers are the same frames."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from addresses import server as process_that_serves
from toy_server import Serve, Server

import voxel_atlas as package
from voxel_atlas.api.http.access.tokens import Scope, Tokens
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import CortexCache, LoadSurface
from voxel_atlas.atlas.client import ATLAS_QUESTIONS, MODEL_QUESTIONS, RemoteAtlas
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import AtlasError, BadInputError, NotFoundError, StoreError

PICTURE = np.full((24, 32, 3), (200, 30, 30), np.uint8)
Opened = Atlas | RemoteAtlas

ASKED: dict[str, Callable[[Opened], Any]] = {
    "subjects": lambda it: it.subjects(),
    "rois": lambda it: it.rois("simulated/T1"),
    "models": lambda it: it.models(),
    "places": lambda it: it.places("simulated/T1"),
    "runs": lambda it: it.runs(),
    "stages": lambda it: it.stages(),
    "similar": lambda it: it.model().similar("cake - face", rois=["FOOD", "FFA"], min_r2=0.1, first=250),
    "similar by labels": lambda it: it.model().similar("kitchen", by="labels", significant=False, first=30),
    "similar of an image": lambda it: it.model().similar(image=PICTURE, first=7),
    "similar, second page": lambda it: it.model().similar(voxel=3, significant=False, first=9, after=(0.5, 4)),
    "neighbours": lambda it: it.model().neighbours([5, 2], first=3),
    "map": lambda it: it.model().map("cake", readout="pattern"),
    "roi_table": lambda it: it.model().roi_table(["cake", "face - cake"], rois=["FFA", "FOOD"]),
    "null_band": lambda it: it.model().null_band(readout="weights"),
    "concept_matrix": lambda it: it.model().concept_matrix(["cake", "face", "house"], rois=["FFA"]),
    "contrast": lambda it: it.model().contrast("cake", "face - house", significant=False),
    "contrast_regions": lambda it: it.model().contrast_regions("cake", "face", rois=["FFA", "FOOD"]),
    "metric_map": lambda it: it.model().metric_map("label_probability:cake"),
    "predict": lambda it: it.model().predict(PICTURE, rois=["FFA"]),
    "nearest_concepts": lambda it: it.model().nearest_concepts(PICTURE, first=4),
    "voxels": lambda it: it.model().voxels(range(1, 8, 2)),
    "voxel_labels": lambda it: it.model().voxel_labels(np.array([1, 7]), first=2),
    "top_images": lambda it: it.model().top_images([3], first=4),
    "labels": lambda it: it.model("simulated/T1").labels("a", first=9),
    "label": lambda it: it.model().label("cake"),
    "label_voxels": lambda it: it.model().label_voxels("cake", first=5),
    "label_neighbours": lambda it: it.model().label_neighbours("cake", first=3),
    "label_rois": lambda it: it.model().label_rois("cake"),
    "roi_top_labels": lambda it: it.model().roi_top_labels("PPA", first=3),
    "compare": lambda it: it.model().compare("brainlmm-eq2", "brainlmm-eq2"),
}


@pytest.fixture(scope="module")
def opened(
    home: Path, atlas: Atlas, server: Server, surfaces: LoadSurface, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Opened]]:
    """The small atlas as a file, as one that another process serves, and over HTTP."""
    copy = tmp_path_factory.mktemp("served") / "atlas.duckdb"
    copy.write_bytes((home / "atlas.duckdb").read_bytes())
    with process_that_serves(str(copy)), package.open(str(copy), home=home) as served, package.open(server.url) as http:
        served.located.told_by(CortexCache(served, Settings(home=home), surfaces).millimetres)
        yield {"file": atlas, "served": served, "http": http}


def test_every_question_of_a_server_is_asked_here() -> None:
    assert {name.partition(" ")[0].rstrip(",") for name in ASKED} == {*ATLAS_QUESTIONS, *MODEL_QUESTIONS}


def test_a_model_of_a_server_has_the_attributes_of_the_file_s(opened: dict[str, Opened]) -> None:
    here, there = opened["file"].model(), opened["http"].model()
    for column in opened["file"].models().columns:
        assert getattr(here, column) == getattr(there, column)
    assert here.settings == there.settings


def test_what_a_server_does_not_answer_is_no_attribute(opened: dict[str, Opened]) -> None:
    with pytest.raises(AttributeError, match="'sql' is not answered over HTTP; models, places, rois"):
        opened["http"].sql("SELECT 1")
    with pytest.raises(AttributeError, match="unit_vectors"):
        opened["http"].model().unit_vectors()
    with pytest.raises(TypeError, match="frist"):
        opened["http"].model().similar("cake", frist=5)


@pytest.mark.parametrize("name", ASKED)
def test_answers_are_the_same_wherever_the_atlas_is(opened: dict[str, Opened], name: str) -> None:
    answers = {where: ASKED[name](it) for where, it in opened.items()}
    frames = {where: getattr(answer, "frame", answer) for where, answer in answers.items()}
    assert frames["file"].height > 0
    for where in ("served", "http"):
        assert frames[where].schema == frames["file"].schema
        assert frames[where].equals(frames["file"]), where
        for told in set(vars(answers["file"])) - {"frame"} if hasattr(answers["file"], "frame") else ():
            assert getattr(answers[where], told) == getattr(answers["file"], told), told


@pytest.mark.parametrize(
    ("ask", "kind", "words"),
    [
        (lambda it: it.model().similar("cake", rois=["XYZ"]), NotFoundError, "FFA"),
        (lambda it: it.model().similar(""), BadInputError, "empty"),
        (lambda it: it.model().similar("cake", first=0), BadInputError, "0 rows"),
        (lambda it: it.model().similar("cake", min_z=float("nan")), BadInputError, "min_z is a number"),
        (lambda it: it.model().similar("cake", max_q=float("inf")), BadInputError, "max_q is a number"),
        (lambda it: it.model().metric_map("weights"), BadInputError, "no metric"),
        (lambda it: it.model().label_voxels("zebra"), NotFoundError, "zebra"),
    ],
)
def test_failures_are_the_same_wherever_the_atlas_is(
    opened: dict[str, Opened], ask: Callable[[Opened], Any], kind: type[AtlasError], words: str
) -> None:
    said = set()
    for it in opened.values():
        with pytest.raises(kind, match=words) as failure:
            ask(it)
        said.add(str(failure.value))
    assert len(said) == 1


def test_addresses_that_are_no_server_are_said(server: Server) -> None:
    with pytest.raises(StoreError, match="voxel-atlas serve"):
        package.open("http://127.0.0.1:9")
    with pytest.raises(BadInputError, match="not the address"):
        package.open("http://[::")
    with pytest.raises(StoreError, match="no server of an atlas"):
        package.open(f"{server.url}/nothing/")


def test_a_token_is_sent_and_its_lack_is_said(
    atlas: Atlas, tmp_path: Path, serve: Serve, surfaces: LoadSurface
) -> None:
    token = Tokens(tmp_path).make("ada", Scope.READ)
    with serve(create_app(atlas, Settings(home=tmp_path), load=surfaces)) as server:
        with package.open(server.url, token=token) as it:
            assert it.subjects().height == 1
        with pytest.raises(StoreError, match="wants a token"):
            package.open(server.url)


@pytest.mark.parametrize(
    ("question", "body", "status"),
    [
        ("sql", {"statement": "SELECT 1"}, 404),
        ("close", {}, 404),
        ("__init__", {}, 404),
        ("labels", {"first": "many"}, 400),
        ("labels", {"first": 10**9}, 400),
        ("labels", {"store": 1}, 400),
        ("labels", {"model": "nsd/subj09"}, 404),
        ("label_table", {}, 404),
        ("voxels", {"voxels": [-1], "model": None}, 400),
        ("voxels", {}, 400),
        ("similar", {"image": "no picture"}, 400),
        ("similar", {"image": 5}, 400),
        ("labels", [], 400),
    ],
)
def test_only_questions_with_their_own_arguments_are_answered(
    server: Server, question: str, body: Any, status: int
) -> None:
    response = server.client.post(f"/frames/{question}", json=body)
    assert response.status_code == status
    (error,) = response.json()["errors"]
    assert "\n" not in error["message"]
    assert error["extensions"]["code"] == {400: "BAD_INPUT", 404: "NOT_FOUND"}[status]


def test_frames_are_polars(opened: dict[str, Opened]) -> None:
    assert all(isinstance(it.models(), pl.DataFrame) for it in opened.values())
