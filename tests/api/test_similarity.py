"""One similarity at every door."""

import json
from typing import Any

import numpy as np
import pytest
from toy_server import Run, Server

from voxel_atlas.atlas.client import RemoteAtlas
from voxel_atlas.atlas.search.atlas import Atlas


@pytest.mark.parametrize("how", [{}, {"readout": "weights", "baseline": "none"}])
def test_the_command_line_and_graphql_give_the_similarities_that_python_gives(
    atlas: Atlas, server: Server, run: Run, how: dict[str, str]
) -> None:
    expected = atlas.model().similar("cake", first=20, **how).frame.select("voxel", "similarity", "z", "concept_q")
    options = [part for name, value in how.items() for part in (f"--{name}", value)]
    _, printed, _ = run("query", "cake", *options, "--json")
    told = [[row[name] for name in expected.columns] for row in json.loads(printed)]
    np.testing.assert_allclose(np.array(told), expected.to_numpy(), atol=1e-6)
    arguments = "".join(f", {name}: {value.upper()}" for name, value in how.items())
    wanted = "edges { node { voxel similarity z conceptQ } }"
    query = f'{{ similarVoxels(concept: "cake", first: 20{arguments}) {{ {wanted} }} }}'
    edges = server.data(query)["similarVoxels"]["edges"]
    np.testing.assert_allclose([list(edge["node"].values()) for edge in edges], expected.to_numpy(), atol=1e-6)


def test_an_unknown_word_is_questioned_at_every_door(atlas: Atlas, server: Server, run: Run, caplog: Any) -> None:
    (sentence,) = atlas.model().similar("zzqqsa").warnings
    assert "does not seem to know 'zzqqsa'" in sentence
    for command in (["query", "zzqqsa", "--json"], ["query", "zzqqsa", "--by", "labels"]):
        _, printed, noted = run(*command)
        assert f"warning {sentence}" in noted.replace("\n", " ")
        assert "warning" not in printed
    query = '{ similarVoxels(concept: "zzqqsa") { warnings } flatmap(concept: "zzqqsa") { warnings } }'
    assert server.data(query) == {"similarVoxels": {"warnings": [sentence]}, "flatmap": {"warnings": [sentence]}}
    with RemoteAtlas(server.url) as remote:
        model = remote.model()
        assert model.similar("zzqqsa").warnings == model.map("zzqqsa").warnings == [sentence]
    with caplog.at_level("WARNING"):
        atlas.sql("SELECT count(*) FROM concept_map(concept('zzqqsa'))")
    assert caplog.messages == [sentence]
