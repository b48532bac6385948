"""First labels of two subjects at the vertices of a mesh that they share, against a loop over vertices."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from group import CONCEPTS, make_world
from toy_atlas import label_rows
from toy_server import Serve

from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.group.label_differences import label_differences
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import BadInputError

N = 42
"""Labelled vertices of each hemisphere."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    make_world(folder, 2, N)
    return folder


@pytest.fixture(scope="module")
def labelled(home: Path) -> Iterator[tuple[Atlas, list[dict[int, str]]]]:
    """The atlas, and the first label of some of each subject's voxels."""
    random = np.random.default_rng(0)
    firsts = [
        {voxel: CONCEPTS[random.integers(3)] for voxel in range(2 * N) if random.random() < 0.8} for _ in range(2)
    ]
    with Store.open(str(home / "atlas.duckdb")) as store:
        for model, first in zip(sorted(store.frame("FROM model")["model_id"]), firsts, strict=True):
            rows = label_rows(model, {voxel: [(word, 0.8), ("zebra", 0.2)] for voxel, word in first.items()})
            tables = {name: pa.Table.from_pylist(part) for name, part in rows.items()}
            store.append(tables, run_id="labels", stage="score", key=f"{model}/labels")
    with Atlas.open(str(home / "atlas.duckdb"), home=home) as opened:
        yield opened, firsts


def test_labels_differ_where_a_loop_finds_that_they_do(
    labelled: tuple[Atlas, list[dict[int, str]]], serve: Serve, home: Path
) -> None:
    atlas, (first, second) = labelled
    a, b = sorted(atlas.models()["model_id"])
    both = sorted(first.keys() & second.keys())
    found = label_differences(atlas, a, b)
    assert found.mesh == "fsaverage5"
    assert found.vertices.select("hemisphere", "vertex", "label_a", "label_b").rows() == [
        ("left" if voxel < N else "right", voxel % N, first[voxel], second[voxel]) for voxel in both
    ]
    counted = Counter((first[voxel], second[voxel]) for voxel in both if first[voxel] != second[voxel])
    assert {row[:2]: row[2] for row in found.pairs.iter_rows()} == counted
    assert found.pairs["n_vertices"].is_sorted(descending=True)
    whole = found.regions.row(0, named=True)
    assert (whole["roi"], whole["n_vertices"]) == (None, len(both))
    assert whole["same_share"] == pytest.approx(np.mean([first[voxel] == second[voxel] for voxel in both]))
    # Planted words are orthogonal but for what all share.
    assert found.vertices["similarity"].to_numpy() == pytest.approx(
        [float(first[voxel] == second[voxel]) for voxel in both], abs=1e-5
    )
    query = f"""{{ labelDifferences(modelA: "{a}", modelB: "{b}", first: 2) {{ modelA mesh simulated nPairs
      pairs {{ labelA labelB nVertices similarity }} regions {{ roi nVertices sameShare meanSimilarity }} }} }}"""
    with serve(create_app(atlas, Settings(home=home))) as server:
        told = server.data(query)["labelDifferences"]
    assert [tuple(row.values()) for row in told["pairs"]] == found.pairs.head(2).rows()
    assert [tuple(row.values()) for row in told["regions"]] == found.regions.rows()
    assert (told["modelA"], told["nPairs"], told["simulated"]) == (a, len(counted), True)


def test_two_models_of_one_subject_are_no_two_subjects(labelled: tuple[Atlas, list[dict[int, str]]]) -> None:
    atlas, _ = labelled
    a, _ = sorted(atlas.models()["model_id"])
    with pytest.raises(BadInputError, match="name one model of each"):
        label_differences(atlas, a, a)
