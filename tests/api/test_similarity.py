"""One similarity at every door."""

import json
from typing import Any

import numpy as np
import pytest


@pytest.mark.parametrize("how", [{}, {"readout": "weights", "baseline": "none"}])
def test_the_command_line_and_graphql_give_the_similarities_that_python_gives(
    atlas: Any, server: Any, run: Any, how: dict[str, str]
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
