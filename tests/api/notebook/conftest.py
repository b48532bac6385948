"""The small atlas as a notebook opens it: from its file and over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_server import Server

import voxel_atlas as va
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.api.notebook.desk import LocalDesk, ServedDesk
from voxel_atlas.api.notebook.shown_atlas import NotebookAtlas, ServedAtlas


@pytest.fixture(scope="package")
def opened(home: Path, server: Server, surfaces: LoadSurface) -> Iterator[dict[str, NotebookAtlas | ServedAtlas]]:
    """By where it is: file and http."""
    with va.open(str(home / "atlas.duckdb"), home=home) as here, va.open(server.url, home=home) as there:
        assert isinstance(here, NotebookAtlas)
        assert isinstance(there, ServedAtlas)
        here.desk = desk = LocalDesk(here, here.desk.settings, surfaces)
        here.located.told_by(desk.millimetres)
        there.desk = ServedDesk(there, there.desk.settings, surfaces)
        yield {"file": here, "http": there}
