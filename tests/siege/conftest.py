"""One server for all attacks."""

import os
import sys
from collections.abc import Iterator

import pytest
from attack import STEP, Target, besieged
from plugin_package import installed
from serving import random_atlas
from toy_network import DIM

SHORT = {
    "head_s": 2.5,
    "body_s": 5.0,
    "read_s": 5.0,
    "tool_s": 1.0,
    **STEP,
}
"""A quarter of what a server gives its clients, or less: eight attacks wait until that is over."""


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server of an atlas of random voxels, on pycortex's S1 and with a network that reads any word at once."""
    home = tmp_path_factory.mktemp("besieged")
    random_atlas(home, 3000, dim=DIM, backbone="toy")
    parts = {"voxel_atlas.backbones": {"toy": "toy_network:Toy"}}
    with (
        installed(tmp_path_factory.mktemp("toy"), "toy", parts),
        besieged(home, SHORT, PYTHONPATH=os.pathsep.join(filter(None, sys.path))) as serving,
    ):
        yield serving
