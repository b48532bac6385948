"""Whether all doors give one similarity: Python, SQL, GraphQL, HTTP, command line, page, files, report, compare.

The page paints, and saves as CSV, what `/values` sends; the report's Fig. 4 and pictures draw what `value_map` gives.
All voxels are asked for, also those that contrast may explain, as export does.
`doors_agree` is 1 where no similarity differs by more than 1e-6 from what Python's `Model.map` gives for every voxel.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import nibabel as nib
import numpy as np
import polars as pl
import uvicorn
from numpy.typing import NDArray

from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.value_maps import MapRequest, value_map
from voxel_atlas.api.report.analysis.label_statistics import label_cosines
from voxel_atlas.atlas.client import RemoteAtlas
from voxel_atlas.atlas.release.export import export
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.config import Settings

TOLERANCE = 1e-6
GRAPHQL_FIRST = 100
_SIMILAR = """query ($concept: String!, $readout: Readout, $baseline: Baseline!) {
  similarVoxels(
    concept: $concept, readout: $readout, baseline: $baseline, significant: false, semantic: false, first: 100
  ) { edges { node { voxel similarity } } } }"""

CommandLine = Callable[..., str]
"""Arguments of `voxel-atlas` → what it prints."""


class Question(NamedTuple):
    """A concept, and how it is compared."""

    concept: str
    readout: str | None = None
    baseline: str = "vocabulary"

    @property
    def how(self) -> dict[str, Any]:
        """Readout and baseline, as doors take them by name."""
        return {"baseline": self.baseline} | ({"readout": self.readout} if self.readout else {})


QUESTIONS = (
    Question("cake"),
    Question("birthday cake with candles"),
    Question("cake - kitchen + a smiling face"),
    Question("face", "pattern"),
    Question("sign", "weights", "none"),
)


class Values(NamedTuple):
    """What a door says of voxels, by number."""

    voxels: NDArray[np.integer]
    similarity: NDArray[np.floating]


def differences(atlas: Atlas, url: str, command_line: CommandLine, question: Question) -> dict[str, float]:
    """Door → largest difference from `Model.map`; infinite where a door leaves out voxels that it should have.

    Args:
        atlas: the atlas; its newest finished model is asked.
        url: of a server of it.
        command_line: runs a command on it.
        question: what is asked.
    """
    model, asked = atlas.model(), (question.concept,)
    frame = model.map(*asked, **question.how).frame
    n = frame.height
    expected = np.full(int(frame["voxel"].to_numpy().max()) + 1, np.nan)
    expected[frame["voxel"].to_numpy()] = frame["similarity"].to_numpy()
    options = [part for name, value in question.how.items() for part in (f"--{name}", value)]
    found: dict[str, Values] = {}
    hits = model.similar(*asked, **question.how, significant=False, semantic=False, first=n).frame
    found["search"] = _of(hits.to_dict(as_series=False))
    if question.baseline == "vocabulary":
        sql = "FROM concept_map(concept($1), model := $2, readout := $3)"
        rows = atlas.sql(sql, [question.concept, model.model_id, model.readout(question.readout)])
        found["sql"] = _of(rows.to_dict(as_series=False))
    with RemoteAtlas(url) as remote:
        found["http"] = _of(remote.model().map(*asked, **question.how).frame.to_dict(as_series=False))
    with httpx.Client(base_url=url, timeout=120) as client:
        enums = {name: value.upper() for name, value in question.how.items()}
        body = {"query": _SIMILAR, "variables": {"concept": question.concept, **enums}}
        edges = client.post("/graphql", json=body).json()["data"]["similarVoxels"]["edges"]
        found["graphql"] = _of({key: [edge["node"][key] for edge in edges] for key in ("voxel", "similarity")})
        packed = client.get(
            "/values", params={"concept": question.concept, "semantic": "false", **question.how}
        ).content
        found["page"] = _page(packed)
    printed = command_line(
        "query", question.concept, *options, "--no-significant", "--all-voxels", "--first", str(n), "--json"
    )
    rows_printed = json.loads(printed)
    found["command line"] = _of({key: [row[key] for row in rows_printed] for key in ("voxel", "similarity")})
    drawn = value_map(atlas, MapRequest(concept=question.concept, semantic=False, **question.how))
    found["pictures and report"] = Values(drawn.voxels, drawn.values)
    least = {"graphql": min(n, GRAPHQL_FIRST)}
    return {door: _difference(values, expected, least.get(door, n)) for door, values in found.items()}


def export_difference(atlas: Atlas, concepts: Sequence[str]) -> float:
    """The largest difference between maps of an export and `Model.map`."""
    model = atlas.model()
    volume = atlas.volume(model.subject_id)
    apart = [0.0]
    with tempfile.TemporaryDirectory() as folder:
        release = export(atlas, Path(folder) / "release", models=[model.model_id], concepts=concepts)
        for sidecar in release.glob("sub-*/func/*_stat-similarity_statmap.json"):
            frame = model.map(json.loads(sidecar.read_text())["Concept"]).frame
            cells = np.asanyarray(nib.load(sidecar.with_suffix(".nii.gz")).dataobj).T.ravel()
            places = volume.cells[np.searchsorted(volume.voxels, frame["voxel"].to_numpy())]
            apart.append(float(np.abs(cells[places] - frame["similarity"].to_numpy()).max()))
    return max(apart) if len(apart) == len(concepts) + 1 else np.inf


def compare_difference(atlas: Atlas, n_labels: int = 20) -> float:
    """The largest difference of what `compare` and Fig. 2 of the report take of labels, the commonest ones.

    Cosines of first labels and their voxels are held to `Model.map`; those of pairs of labels to their contrasts.
    """
    model = atlas.model()
    cosines = label_cosines(atlas, model)
    labels = cosines["label"].value_counts(sort=True).sort(["count", "label"], descending=[True, False])["label"]
    labels = labels.head(n_labels)
    apart = []
    for label in labels:
        mapped = model.map(label).frame.select("voxel", "similarity")
        both = cosines.filter(pl.col("label") == label).join(mapped, on="voxel")
        off = np.abs(both["cosine"].to_numpy() - both["similarity"].to_numpy())
        apart.append(float(off.max(initial=0 if both.height else np.inf)))
    contrasts = np.array([model.text_towers.concept(model.label_backbone, label) for label in labels])
    pairs = model.label_cosines(labels, labels.reverse()).to_numpy()
    apart.append(float(np.abs(pairs - (contrasts * contrasts[::-1]).sum(axis=1)).max()))
    return max(apart)


def doors_agree(home: Path, questions: Sequence[Question] = QUESTIONS) -> dict[str, float]:
    """Ask all doors of the atlas in a home folder: doors_agree, 1 or 0, and doors_largest_difference."""
    settings = Settings(home=home)
    with Atlas.open(settings.address, home=home) as atlas, _served(atlas, settings) as url:

        def command_line(*arguments: str) -> str:
            program = [sys.executable, "-c", "from voxel_atlas.api.cli.main import main; main()", *arguments]
            environment = {**os.environ, "VOXEL_ATLAS_HOME": str(home)}
            return subprocess.run(program, check=True, capture_output=True, text=True, env=environment).stdout

        apart = [max(differences(atlas, url, command_line, question).values()) for question in questions]
        centred = [question.concept for question in questions if question == Question(question.concept)]
        apart += [export_difference(atlas, centred), compare_difference(atlas)]
    largest = max(apart)
    return {"doors_agree": float(largest <= TOLERANCE), "doors_largest_difference": largest}


def _of(columns: Mapping[str, Sequence[float]]) -> Values:
    return Values(np.asarray(columns["voxel"], int), np.asarray(columns["similarity"], float))


def _page(packed: bytes) -> Values:
    """Packed arrays of `/values`: position is the voxel's number; NaN where it has none."""
    length = int.from_bytes(packed[:4], "little")
    header = json.loads(packed[4 : 4 + length])
    value = np.frombuffer(
        packed, "<f4", next(a["length"] for a in header["arrays"] if a["name"] == "value"), 4 + length
    )
    voxels = np.flatnonzero(np.isfinite(value))
    return Values(voxels, value[voxels])


def _difference(values: Values, expected: NDArray[np.floating], least: int) -> float:
    if len(np.unique(values.voxels)) < least or values.voxels.max() >= len(expected):
        return np.inf
    apart = np.abs(values.similarity - expected[values.voxels])
    return float(apart.max()) if np.isfinite(apart).all() else np.inf


@contextmanager
def _served(atlas: Atlas, settings: Settings) -> Iterator[str]:
    """A server of the atlas in a thread, on a free port; its address."""
    server = uvicorn.Server(uvicorn.Config(create_app(atlas, settings), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not (server.started and server.servers):
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    print(*(f"{name} {value:.3g}" for name, value in doors_agree(Settings().home).items()), sep="\n")
