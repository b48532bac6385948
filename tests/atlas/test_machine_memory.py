"""Memory is counted where this process runs: at the machine, or within its container's limit."""

from pathlib import Path

import pytest

from voxel_atlas.atlas import machine_memory
from voxel_atlas.atlas.machine_memory import free_memory, total_memory
from voxel_atlas.ingest.encoding.memory import require_memory
from voxel_atlas.schemas.errors import BadInputError

LIMITED = {"max": "10000", "current": "9900", "stat": "anon 3900\nactive_file 4000\ninactive_file 2000\n"}


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A container that may have 10,000 bytes and has 100 left, beside 6,000 of files."""
    monkeypatch.setattr(machine_memory, "_CONTAINER", tmp_path)
    for name, text in LIMITED.items():
        (tmp_path / f"memory.{name}").write_text(text)
    return tmp_path


def test_files_that_a_container_has_in_memory_count_as_free(container: Path) -> None:
    assert (total_memory(), free_memory()) == (10_000, 6100)
    (container / "memory.max").write_text("max\n")
    assert total_memory() > free_memory() > 10_000


def test_without_a_container_it_is_the_machine_s(container: Path) -> None:
    for file in container.iterdir():
        file.unlink()
    assert total_memory() > free_memory() > 10_000


@pytest.mark.usefixtures("container")
def test_a_fit_is_held_to_the_container_s_limit() -> None:
    require_memory(6100)
    with pytest.raises(BadInputError, match="GiB are free; pass a smaller --batch-voxels"):
        require_memory(6101)
