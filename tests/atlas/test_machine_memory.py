"""Memory is counted where this process runs: at the machine, or within the limits of its control groups."""

from pathlib import Path

import pytest

from voxel_atlas.atlas import machine_memory
from voxel_atlas.atlas.machine_memory import free_memory, total_memory
from voxel_atlas.ingest.encoding.memory import require_memory
from voxel_atlas.schemas.errors import BadInputError

FILES = {
    2: ("memory.max", "memory.current", "anon 3900\nactive_file 4000\ninactive_file 2000", "max"),
    1: (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "active_file 1\ninactive_file 1\ntotal_active_file 4000\ntotal_inactive_file 2000",
        "9223372036854771712",
    ),
}
"""Of each version: the files of a group, what one says that has 6,000 bytes of files in memory, and no limit."""


def group(folder: Path, version: int = 2, limit: str = "10000") -> Path:
    """A group that may have so many bytes, and has 9,900, of which 6,000 are files'."""
    most, taken, stat, none = FILES[version]
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in ((most, limit or none), (taken, "9900"), ("memory.stat", stat)):
        (folder / name).write_text(f"{text}\n")
    return folder


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where groups lie; this process is in the first one, as in a container."""
    monkeypatch.setattr(machine_memory, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine_memory, "_OF_PROCESS", tmp_path / "cgroup")
    (tmp_path / "cgroup").write_text("0::/\n")
    return tmp_path / "groups"


def test_files_that_a_container_has_in_memory_count_as_free(groups: Path) -> None:
    group(groups)
    assert (total_memory(), free_memory()) == (10_000, 6100)
    group(groups, limit="")
    assert total_memory() > free_memory() > 10_000


def test_without_a_group_it_is_the_machine_s(groups: Path) -> None:
    assert total_memory() > free_memory() > 10_000
    (groups.parent / "cgroup").unlink()
    assert total_memory() > free_memory() > 10_000


@pytest.mark.parametrize(
    ("version", "told", "root"),
    [(2, "0::/slurm/job_7/step_0", ""), (1, "12:pids:/other\n4:cpu,memory:/slurm/job_7/step_0\n0::/", "memory")],
)
def test_a_job_has_what_it_or_a_group_around_it_may_have(groups: Path, version: int, told: str, root: str) -> None:
    (groups.parent / "cgroup").write_text(told)
    slurm = groups / root / "slurm"
    group(groups / root, version, "")
    group(slurm / "job_7" / "step_0", version, "")
    assert total_memory() > free_memory() > 10_000
    group(slurm / "job_7", version)
    group(slurm, version, "20000")
    group(slurm / "job_8", version, "5000")
    assert (total_memory(), free_memory()) == (10_000, 6100)
    group(slurm / "job_7" / "step_0", version, "9901")
    assert (total_memory(), free_memory()) == (9901, 6001)


def test_a_container_that_is_told_its_place_outside_has_the_limit_of_its_root(groups: Path) -> None:
    (groups.parent / "cgroup").write_text("4:memory:/docker/0123\n")
    group(groups / "memory", 1)
    assert (total_memory(), free_memory()) == (10_000, 6100)


def test_a_fit_is_held_to_the_limit(groups: Path) -> None:
    group(groups)
    require_memory(6100)
    with pytest.raises(BadInputError, match="GiB are free; pass a smaller --batch-voxels"):
        require_memory(6101)
