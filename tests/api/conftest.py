"""A small atlas in a real DuckDB file, a backbone with a deterministic text tower, and a real server over HTTP."""

import asyncio
import hashlib
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from browser_page import CHROMIUM
from numpy.typing import NDArray
from PIL import Image
from plugin_package import installed
from toy_atlas import vocabulary_rows
from toy_network import DIM, TOPICS, text_vector
from toy_server import Fill, Grow, Run, Serve, Server, serving

from voxel_atlas.api.cli.main import main
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.backbones.products import unit_rows
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.baseline import Vocabulary, nouns
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import IngestConfig, Settings
from voxel_atlas.schemas.tables import label_id
from voxel_atlas.viz.surfaces.pixel_map import PixelMap
from voxel_atlas.viz.surfaces.raster import Mesh
from voxel_atlas.viz.surfaces.surface import Grid, Surface

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SHAPE = (6, 10, 10)
N_VOXELS = 300
SUBJECT = "simulated/T1"
LABELS = [word for words in TOPICS.values() for word in words]
METHOD = "brainlmm-eq2"
EVIDENCE = ((50, 0.8, 4.1, 1e-5, 1e-6), (50, 0.52, 0.4, 0.35, 0.4), (2, None, None, None, None))
"""n, AUC, t, p and q of each voxel's first three labels; the others are not held against responses."""
STABILITY = (0.75, 0.25, 0.0, None, None)
"""Of each voxel's labels by BrainLMM."""
HOSTILE_LABEL = '<img src=x onerror="document.title=1">'


class ToySurface(Surface):
    """Two ellipses, each pixel of which shows a voxel."""

    def pixel_map(self, width: int) -> PixelMap:
        self._require_flat()
        height = width // 2
        y, x = np.mgrid[0:height, 0:width]
        inside = np.zeros((height, width), bool)
        for middle in (0.25, 0.75):
            inside |= ((x / width - middle) / 0.23) ** 2 + ((y / height - 0.5) / 0.46) ** 2 < 1
        column = np.clip((x / width * 30).astype(int), 0, 29)
        row = np.clip((y / height * 20).astype(int), 0, 19)
        index = np.where(inside, column * 20 + row, -1).astype(np.int32)
        curvature = (127 + 60 * np.sin(x / width * 60) * np.cos(y / height * 40)).astype(np.uint8)
        return PixelMap(index, curvature, inside, self.n_cells)

    def roi_outlines(self) -> dict[str, list[NDArray[np.float32]]]:
        turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        middles = {name: (0.1 + 0.17 * place, 0.5) for place, name in enumerate(TOPICS)}
        return {
            name: [np.stack([x + 0.05 * np.cos(turn), y + 0.15 * np.sin(turn)], 1).astype(np.float32)]
            for name, (x, y) in middles.items()
        }

    def mesh(self, kind: str) -> Mesh:
        """Two spheres; two vertices in a row show one voxel. The flat map cuts each along a meridian."""
        if kind not in self.kinds:
            return super().mesh(kind)  # which refuses
        turn, rise = np.meshgrid(np.linspace(0, 2 * np.pi, 30, endpoint=False), np.linspace(-1.5, 1.5, 20))
        ball = {"wm": 26, "pia": 30}.get(kind, 28) * np.stack(
            [np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)], -1
        ).reshape(-1, 3)
        row, column = (part.ravel() for part in np.mgrid[0:19, 0:30])
        corners = [(row + up) * 30 + (column + along) % 30 for up, along in ((0, 0), (0, 1), (1, 1), (1, 0))]
        faces = np.concatenate(
            [np.stack([corners[a], corners[b], corners[c]], 1) for a, b, c in ((0, 1, 2), (0, 2, 3))]
        )
        if kind == "flat":
            points = np.pad((_toy_places() - 0.5) * (60, 30), ((0, 0), (0, 1)))
            faces = faces[~((column == 29)[np.arange(len(faces)) % len(column)])]
            return Mesh(points, np.concatenate([faces, faces + len(ball)]).astype(np.int32))
        aside = np.array([30.0, 0, 0])
        points = np.concatenate([ball - aside, ball + aside])
        return Mesh(points, np.concatenate([faces, faces + len(ball)]).astype(np.int32))

    def flat_layout(self) -> dict[str, NDArray[Any]]:
        simplices = self.mesh("flat").faces
        size = np.array([60.0, 30.0])
        return {"picture": _toy_places(), "size": size, "used": np.arange(1200), "simplices": simplices}

    def vertex_cells(self) -> NDArray[np.int32]:
        side, row, column = np.mgrid[0:2, 0:20, 0:30].reshape(3, -1)
        return ((15 * side + column // 2) * 20 + 19 - row).astype(np.int32)

    def vertex_curvature(self) -> NDArray[np.uint8]:
        return np.full(1200, 127, np.uint8)

    def transform_matrix(self) -> NDArray[np.float64]:
        return np.diag([9 / 120, 9 / 60, 5 / 60, 1.0]) @ np.array(
            [[1.0, 0, 0, 60], [0, 1, 0, 30], [0, 0, 1, 30], [0, 0, 0, 1]]
        )


def _toy_places() -> NDArray[np.float64]:
    """Where the flat map of `ToySurface` shows its vertices, as fractions from bottom left."""
    side, row, column = np.mgrid[0:2, 0:20, 0:30].reshape(3, -1)
    return np.stack([(30 * side + column) / 59, row / 19], 1)


@cache
def toy_vocabulary() -> Vocabulary:
    """The nouns that concepts are held against, in the toy's space."""
    return Vocabulary(nouns(), unit_rows(np.stack([text_vector(noun) for noun in nouns()]).astype(np.float32)))


def toy_surface(
    surface: str,
    transform: str | None,
    cache: Path,
    filestore: Path | None,
    grid: Grid | None = None,
) -> Surface:
    kinds = {"inflated", "fiducial", "wm", "pia"} | ({"flat"} if surface == "toy" else set())
    return ToySurface(
        name=surface, transform=transform, shape=SHAPE, n_vertices=(600, 600), subject=cache, cache=cache,
        kinds=frozenset(kinds), folder=cache,
    )  # fmt: skip


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Surface:
    """The surface of the small atlas's subject."""
    return toy_surface("toy", "toy", tmp_path_factory.mktemp("surfaces"), None)


def fill(store: Store, folder: Path, *, subject: str = SUBJECT, seed: int = 0, finished: bool = True,
         methods: Sequence[str] = (METHOD,), surface: str = "toy") -> str:  # fmt: skip
    """One model of one subject: 300 voxels in five regions, with labels, top images and captions."""
    random = np.random.default_rng(seed)
    config = IngestConfig(
        dataset="simulated", subject=subject.split("/")[1], backbone="toy", seed=seed, methods=methods
    )
    model_id = f"{subject}/toy/{config.sha256[:6]}"
    cells = np.sort(random.choice(int(np.prod(SHAPE)), N_VOXELS, replace=False))
    voxel = np.arange(N_VOXELS, dtype=np.int32)
    topic = [list(TOPICS)[v * len(TOPICS) // N_VOXELS] for v in voxel]
    ceiling = random.uniform(0.1, 0.6, N_VOXELS)
    weights = np.stack(
        [sum(text_vector(word) for word in TOPICS[name]) + 0.8 * random.normal(size=DIM) for name in topic]
    ).astype(np.float32)
    q = random.uniform(0, 0.06, N_VOXELS)
    names = [*LABELS, HOSTILE_LABEL] if seed == 0 else LABELS
    stimuli = [f"toy/{seed}/{n}" for n in range(12)]
    for n, stimulus in enumerate(stimuli):
        path = folder / f"{stimulus.replace('/', '-')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (320, 240), (20 * n, 255 - 20 * n, 120)).save(path)
    scores = []
    for v in voxel.tolist():
        own = TOPICS[topic[v]]
        order = [*random.permutation(own).tolist(), *random.permutation([w for w in LABELS if w not in own]).tolist()][
            :5
        ]
        if v == 7 and seed == 0:
            order[0] = HOSTILE_LABEL
        probability = np.sort(random.dirichlet(np.ones(5)))[::-1]
        scores += [
            {"model_id": model_id, "voxel": v, "method": method, "label_id": label_id(word), "score": -float(rank),
             "rank": rank + 1, "probability": float(probability[rank]),
             "stability": STABILITY[rank] if method == METHOD else None}
            for method in methods for rank, word in enumerate(order if method == METHOD else order[::-1])
        ]  # fmt: skip
    run = {"run_id": f"run-{seed}", "model_id": model_id, "config": config.canonical_json(), "code_version": "0",
           "message": ""}  # fmt: skip
    now = datetime.now(UTC)
    batch: dict[str, list[dict[str, Any]]] = {
        "subject": [
            {"subject_id": subject, "dataset": "simulated", "simulated": True, "space": "volume", "surface": surface,
             "transform": "toy", "shape": list(SHAPE), "description": "Made for tests."}
        ],
        "roi": [
            {"subject_id": subject, "roi": n, "source": "simulated", "description": f"{n} of the toy"} for n in TOPICS
        ],
        "voxel": [
            {"subject_id": subject, "voxel": v, "i": int(c % 10), "j": int(c // 10 % 10), "k": int(c // 100),
             "hemisphere": None, "vertex": None, "noise_ceiling": float(ceiling[v])}
            for v, c in zip(voxel.tolist(), cells, strict=True)
        ],
        "voxel_roi": [{"subject_id": subject, "voxel": v, "roi": topic[v], "t": None} for v in voxel.tolist()],
        "stimulus": [
            {"stimulus_id": s, "dataset": "toy", "uri": str(path := folder / f"{s.replace('/', '-')}.png"),
             "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            for s in stimuli
        ],
        "caption": [
            {"stimulus_id": s, "box": box, "captioner": "toy", "text": f"a {LABELS[n]} in a field"}
            for n, s in enumerate(stimuli) for box in ([], [40, 30, 200, 180])
        ],
        "model": [
            {"model_id": model_id, "subject_id": subject, "backbone": "toy", "config": config.canonical_json(),
             "config_sha256": config.sha256, "feature_mean": [0.5] * DIM,
             "feature_covariance": np.eye(DIM).ravel().tolist(), "label_backbone": "toy", "n_train": 85, "n_test": 15,
             "n_voxels": N_VOXELS}
        ],
        "split": [{"model_id": model_id, "stimulus_id": s, "part": "train"} for s in stimuli],
        "dropped": [{"model_id": model_id, "voxel": v, "reason": "it does not vary"} for v in (300, 301)],
        "encoding": [
            {"model_id": model_id, "voxel": v, "weights": weights[v].tolist(), "bias": 0.0, "alpha": 1.0,
             "r2": float(ceiling[v] * 0.8), "r": float(np.sqrt(ceiling[v] * 0.8)), "p": float(q[v] / 2),
             "residual_variance": float(1 - ceiling[v] * 0.8)}
            for v in voxel.tolist()
        ],
        "significance": [{"model_id": model_id, "voxel": v, "q": float(q[v])} for v in voxel.tolist()],
        "top_image": [
            {"model_id": model_id, "voxel": v, "rank": rank + 1, "stimulus_id": stimuli[(v + rank) % len(stimuli)],
             "box": [40, 30, 200, 180] if rank % 2 else [], "response": 2.0 - rank / 10}
            for v in voxel.tolist() for rank in range(4)
        ],
        "label_score": scores,
        "label_evidence": [
            {name: row[name] for name in ("model_id", "voxel", "method", "label_id")} | {"shown_by": "detector"}
            | dict(zip(("n_images", "auc", "t", "p", "q"), EVIDENCE[row["rank"] - 1], strict=True))
            for row in scores if row["rank"] <= len(EVIDENCE)
        ],
        "run": [{**run, "state": "started", "recorded_at": now}],
    }  # fmt: skip
    vocabulary = toy_vocabulary()
    contrasts = {word: text_vector(word) - vocabulary.baseline for word in sorted({*names, *nouns()})}
    held_against = vocabulary.centred(vocabulary.vectors)
    # The features' covariance is the identity, so that all readouts are the weights.
    norms = [np.linalg.norm(vector) for vector in weights]
    q95 = [float(np.quantile(held_against @ vector / norm, 0.95)) for vector, norm in zip(weights, norms, strict=True)]
    for readout in ("weights", "half", "pattern"):
        batch.setdefault("readout_norm", []).extend(
            {"model_id": model_id, "voxel": v, "readout": readout, "norm": float(norms[v]), "q95": q95[v]}
            for v in voxel.tolist()
        )  # fmt: skip
        batch.setdefault("concept_query", []).extend(
            {"model_id": model_id, "readout": readout, "word": word, "length": float(np.linalg.norm(contrast)),
             "vector": (contrast / np.linalg.norm(contrast)).tolist()}
            for word, contrast in contrasts.items()
        )  # fmt: skip
    if seed == 0:
        batch["label"] = [{"label_id": label_id(word), "lemma": word} for word in names]
        batch["label_embedding"] = [
            {"label_id": label_id(word), "backbone": "toy", "vector": text_vector(word).tolist()} for word in names
        ]
        batch |= vocabulary_rows(vocabulary)
    if finished:
        batch["run"].append({**run, "state": "finished", "recorded_at": now})
    tables = {name: pa.Table.from_pylist(rows) for name, rows in batch.items()}
    store.append(tables, run_id=run["run_id"], stage="toy", key=model_id)
    return model_id


def grow(store: Store, voxels: range) -> None:
    """Some voxels of one model with labels, as a fit and a scoring commit them; the first call makes the model."""
    config = IngestConfig(dataset="simulated", subject="G", backbone="toy")
    model_id = f"simulated/G/toy/{config.sha256[:6]}"
    about = {"subject_id": "simulated/G", "dataset": "simulated", "simulated": True, "space": "volume", "surface": None,
             "transform": None, "shape": None, "description": "Grows."}  # fmt: skip
    model = {"model_id": model_id, "subject_id": "simulated/G", "backbone": "toy", "config": config.canonical_json(),
             "config_sha256": config.sha256, "feature_mean": [0.0] * DIM,
             "feature_covariance": np.eye(DIM).ravel().tolist(), "label_backbone": "toy", "n_train": 1, "n_test": 1,
             "n_voxels": 1}  # fmt: skip
    words = [{"label_id": label_id(word), "lemma": word} for word in LABELS]
    vectors = [{"label_id": label_id(word), "backbone": "toy", "vector": text_vector(word).tolist()} for word in LABELS]
    once = {"subject": [about], "model": [model], "label": words, "label_embedding": vectors}
    once |= vocabulary_rows(toy_vocabulary())
    tables: dict[str, list[dict[str, Any]]] = once if voxels.start == 0 else {}
    random = np.random.default_rng(voxels.start)
    # Few different weights, so that many similarities are equal.
    tables["encoding"] = [
        {"model_id": model_id, "voxel": v, "weights": text_vector(LABELS[v % 4]).tolist(), "bias": 0.0, "alpha": 1.0,
         "r2": 0.1, "r": 0.3, "p": 0.0}
        for v in voxels
    ]  # fmt: skip
    tables["label_score"] = [
        {"model_id": model_id, "voxel": v, "method": METHOD, "label_id": label_id(word), "score": 1.0, "rank": rank + 1,
         "probability": 0.5}
        for v in voxels for rank, word in enumerate(random.choice(LABELS, 2, replace=False))
    ]  # fmt: skip
    batch = {name: pa.Table.from_pylist(rows) for name, rows in tables.items() if rows}
    if voxels:
        store.append(batch, run_id="grow", stage="fit", key=f"{model_id}/{voxels.start}")


@pytest.fixture(autouse=True, scope="session")
def toy_backbone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Makes atlas.backbones know the toy."""
    parts = {"voxel_atlas.backbones": {"toy": "toy_network:Toy"}}
    with installed(tmp_path_factory.mktemp("toy"), "toy", parts):
        yield


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a filled atlas."""
    folder = tmp_path_factory.mktemp("home")
    with Store.open(str(folder / "atlas.duckdb")) as store:
        fill(store, folder / "stimuli")
    return folder


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command, by default on the small atlas; gives exit status, standard output and standard error."""

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setenv("VOXEL_ATLAS_HOME", os.environ.get("TEST_HOME", str(home)))
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["voxel-atlas", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return command


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """One for all tests of a process, in which only one can be."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium asks its maker's servers by itself: no name but ours resolves.
        arguments = [
            "--no-sandbox", "--disable-background-networking", "--enable-unsafe-swiftshader",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]  # fmt: skip
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def settings(home: Path) -> Settings:
    return Settings(home=home)


@pytest.fixture(scope="session")
def atlas(home: Path) -> Iterator[Atlas]:
    opened = Atlas.open(str(home / "atlas.duckdb"), home=home)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def awaited() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs a coroutine in a thread of its own: in this one, the browser's event loop counts as running all the time."""
    with ThreadPoolExecutor(1) as thread:
        yield lambda coroutine: thread.submit(asyncio.run, coroutine).result()


@pytest.fixture(scope="session")
def server(atlas: Atlas, settings: Settings) -> Iterator[Server]:
    """The server that most tests ask."""
    with serving(create_app(atlas, settings, load=toy_surface)) as running:
        yield running


@pytest.fixture(scope="session")
def surfaces() -> LoadSurface:
    """The toy's surface, for tests that make an app of their own."""
    return toy_surface


@pytest.fixture(scope="session")
def toy_rows() -> Grow:
    """`grow`, for tests of an atlas that grows."""
    return grow


@pytest.fixture(scope="session")
def fill_atlas() -> Fill:
    """`fill`, for tests that make an atlas of their own."""
    return fill


@pytest.fixture(scope="session")
def serve() -> Serve:
    """For tests that need a server of their own."""
    return serving
