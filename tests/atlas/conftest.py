"""Fixtures of the atlas's tests."""

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from addresses import KINDS, opened
from lakes import new_database, running_postgres
from toy_atlas import (
    AFFINE,
    SURFACE,
    VOLUME,
    WORDS,
    Toy,
    concept_rows,
    label_rows,
    model_rows,
    put,
    random_weights,
    run_rows,
    subject_rows,
    words_rows,
)

from voxel_atlas.atlas.release.export import export
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.tables import label_id


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "atlas.duckdb")


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    with Store.open(address) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server on loopback without the database's name, started for these tests."""
    with running_postgres() as server:
        if server is None:
            pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
        yield server.url


@pytest.fixture
def database(request: pytest.FixtureRequest, kind: str) -> str:
    """URL of a new PostgreSQL database, where the kind of store needs one."""
    if kind != "ducklake-postgres":
        return ""
    return new_database(request.getfixturevalue("postgres"))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def any_store(kind: str, tmp_path: Path, database: str) -> Iterator[Store]:
    """An empty store on each kind of address."""
    with opened(kind, tmp_path, database) as store:
        yield store


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
def atlas(store: Store, tmp_path: Path, toy: Toy) -> Atlas:
    """Subject simulated/S1 with 120 voxels and model simulated/S1/toy/aaaaaa."""
    fill_first(store)
    return Atlas(store, home=tmp_path / "home", load_backbone=lambda name, home: toy)


@cache
def first_rows() -> tuple[dict[str, list[dict[str, Any]]], ...]:
    labels = {v: [(WORDS[v % 6], 0.7), (WORDS[(v + 1) % 6], 0.3)] for v in range(60)}
    return (
        subject_rows("simulated/S1", 120),
        model_rows(VOLUME, "simulated/S1", random_weights(120)),
        concept_rows(VOLUME, random_weights(120)),
        words_rows(),
        label_rows(VOLUME, labels),
        run_rows(VOLUME),
    )


def fill_first(store: Store) -> None:
    put(store, *first_rows(), key="first")


@pytest.fixture
def both(atlas: Atlas) -> Atlas:
    """The small atlas, and a model of 40 vertices with images, captions, pictures and a hostile label."""
    fill_second(atlas.store)
    return atlas


def fill_second(store: Store) -> None:
    hostile = "<b>&\"cake'"
    put(
        store,
        subject_rows("nod/01", 40, space="surface", shape=(25, 30)),
        model_rows(SURFACE, "nod/01", random_weights(40, 1)),
        words_rows([hostile]),
        label_rows(SURFACE, {v: [(hostile if v % 2 else "cake", 0.9)] for v in range(30)}),
        run_rows(SURFACE, day=2),
        {
            "stimulus": [
                {"stimulus_id": f"nod/{n}", "dataset": "nod", "uri": f"/i/{n}.png", "sha256": "0" * 64}
                for n in range(4)
            ],
            "split": [{"model_id": SURFACE, "stimulus_id": f"nod/{n}", "part": "train"} for n in range(3)],
            "top_image": [
                {"model_id": SURFACE, "voxel": 0, "rank": 1, "stimulus_id": "nod/0", "box": [], "response": 2.0},
                {
                    "model_id": SURFACE,
                    "voxel": 0,
                    "rank": 2,
                    "stimulus_id": "nod/1",
                    "box": [0, 0, 4, 4],
                    "response": 1.0,
                },
            ],
            "caption": [
                {"stimulus_id": "nod/0", "box": [], "captioner": "c", "text": "a cake"},
                {"stimulus_id": "nod/1", "box": [0, 0, 4, 4], "captioner": "c", "text": "a face"},
                {"stimulus_id": "nod/1", "box": [], "captioner": "c", "text": "not shown by any voxel"},
            ],
            "synthetic_image": [
                {
                    "label_id": label_id("cake"),
                    "generator": "g",
                    "ordinal": 0,
                    "seed": 1,
                    "uri": "/a",
                    "sha256": "1" * 64,
                }
            ],
            "planting": [
                {"subject_id": "simulated/S1", "voxel": 0, "concept": "cake", "category": "food", "weight": 1.0}
            ],
            "dropped": [{"model_id": SURFACE, "voxel": 41, "reason": "nan"}],
            "learning_curve": [
                {"model_id": SURFACE, "voxel": v, "n_blocks": n, "n_train": 2 * n, "r2": n / 100, "r": n / 50}
                for v in range(40)
                for n in (5, 34)
            ],
        },
        key="surface",
    )


@pytest.fixture(scope="session")
def written_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of `both`, made once for all tests."""
    folder = tmp_path_factory.mktemp("release")
    with Store.open(str(folder / "atlas.duckdb")) as store:
        fill_first(store)
        fill_second(store)
        atlas = Atlas(store, home=folder, load_backbone=lambda name, home: Toy())
        return export(atlas, folder / "release", concepts=["cake", "cake - face"], affine_of=lambda _: AFFINE)


@pytest.fixture
def release(written_release: Path, tmp_path: Path) -> Path:
    """A release of `both` that a test may damage."""
    return Path(shutil.copytree(written_release, tmp_path / "release"))
