"""Batches in other processes: the same rows, and one sentence for whatever becomes of those processes."""

import importlib.metadata
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import dask
import dask_jobqueue  # noqa: F401 - brings the defaults of its settings
import pytest
from chores import end, plus
from distributed import Client, LocalCluster
from tiny import digest, tiny_config, tiny_parts

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.progress import Progress, Silent
from voxel_atlas.ingest.run import Pipeline
from voxel_atlas.ingest.workers import InProcess, WorkerPool, open_workers
from voxel_atlas.ingest.workers import cluster as clusters
from voxel_atlas.ingest.workers.cluster import Cluster
from voxel_atlas.schemas.errors import BadInputError, StoreError, WorkersError


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def cluster(home: Path) -> Iterator[Cluster]:
    """Two processes of this machine; a batch that kills two of them is given up."""
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), open_workers("dask:2", home) as workers:
        assert isinstance(workers, Cluster)
        yield workers


class During:
    """Progress that does something once in each of some stages, when it has begun to advance."""

    def __init__(self, *names: str, act: Callable[[], None]) -> None:
        self.left, self._act = set(names), act

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        def advance(_: int) -> None:
            if name in self.left:
                self.left.remove(name)
                self._act()

        yield advance

    def note(self, message: str) -> None:
        pass


def ingested(home: Path, workers: WorkerPool, progress: Progress | None = None) -> dict[str, str]:
    config = tiny_config()
    with Store.open(str(home / "atlas.duckdb")) as store:
        making = Pipeline(store=store, home=home, workers=workers, progress=progress or Silent())
        making.ingest(config, tiny_parts(config, home), learning_curve=True)
    return digest(home)


@pytest.fixture(scope="module")
def of_one_process(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return ingested(tmp_path_factory.mktemp("one"), InProcess())


def test_two_processes_give_the_tables_of_one(cluster: Cluster, of_one_process: dict[str, str], tmp_path: Path) -> None:
    assert ingested(tmp_path, cluster) == of_one_process


def test_processes_that_are_killed_early_and_late_change_nothing(
    cluster: Cluster, of_one_process: dict[str, str], tmp_path: Path
) -> None:
    killing = During("fit voxels", "score", act=lambda: os.kill(next(iter(_pids(cluster))), signal.SIGKILL))
    assert ingested(tmp_path, cluster, killing) == of_one_process
    assert killing.left == set()


def _pids(cluster: Cluster) -> list[int]:
    """Of the processes that are there now."""
    cluster._client.wait_for_workers(1)
    return list(cluster._client.run(os.getpid, on_error="ignore").values())


def test_results_come_in_order_and_items_are_taken_only_as_they_are_needed(cluster: Cluster, home: Path) -> None:
    taken = []
    items = (taken.append(item) or item for item in range(100))  # type: ignore[func-returns-value]
    results = cluster.map(plus, 1000, items)
    assert next(results)() == 1000
    assert len(taken) <= 5
    results.close()
    assert list((home / "cluster").iterdir()) == []
    assert [result() for result in cluster.map(plus, 1000, range(12))] == list(range(1000, 1012))


def test_batches_that_are_on_their_way_are_waited_for_where_workers_have_gone(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = cluster.map(plus, 1000, range(12))
    assert next(results)() == 1000
    monkeypatch.setattr(cluster, "_n_workers", lambda: 0)
    assert [result() for result in results] == list(range(1001, 1012))


def test_what_goes_wrong_in_a_process_is_raised_where_its_result_is_asked_for(cluster: Cluster) -> None:
    results = cluster.map(plus, 0, [12, 13, 14])
    assert next(results)() == 12
    with pytest.raises(BadInputError, match=r"^The image 13 cannot be read\.$"):
        next(results)()
    assert next(results)() == 14


def test_a_batch_that_kills_every_process_is_given_up_in_one_sentence(cluster: Cluster) -> None:
    with pytest.raises(WorkersError, match="dask:2: workers died of one batch again and again, the last one at tcp://"):
        [result() for result in cluster.map(end, None, [1])]
    assert [result() for result in cluster.map(plus, 0, [1, 2])] == [1, 2]


@contextmanager
def scheduler() -> Iterator[LocalCluster]:
    """A scheduler in this process, without workers at first."""
    options = {"dashboard_address": "127.0.0.1:0", "protocol": "tcp", "silence_logs": logging.CRITICAL}
    with LocalCluster(n_workers=0, processes=False, **options) as found:
        yield found


def test_a_cluster_without_workers_is_named_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "LOOK_S", 0.1)
    monkeypatch.setattr(clusters, "PATIENCE_S", 0.3)
    with scheduler() as running:
        address = running.scheduler_address.replace("tcp://", "dask://")
        with (
            open_workers(address, tmp_path) as workers,
            pytest.raises(WorkersError, match=f"{address} has had no worker"),
        ):
            next(workers.map(plus, 1, [1]))()


def test_a_queue_without_a_job_is_waited_for_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clusters, "LOOK_S", 0.1)
    with scheduler() as running, Client(running, set_as_default=False) as client:
        waiting = Cluster(client, "slurm:1", tmp_path, 0.3, queued=True)

        def start_once_told() -> None:
            while "slurm:1 has had no job for 0 s; `squeue` says why" not in caplog.text:
                time.sleep(0.02)
            running.scale(1)

        Thread(target=start_once_told).start()
        assert next(waiting.map(plus, 1, [1]))() == 2


def test_a_scheduler_that_goes_is_named(tmp_path: Path) -> None:
    with scheduler() as running:
        address = running.scheduler_address.replace("tcp://", "dask://")
        with open_workers(address, tmp_path) as workers:
            waiting = next(workers.map(plus, 1, [1]))
            running.close()
            with pytest.raises(WorkersError, match=f"{address}: its scheduler is gone; start it"):
                waiting()


@contextmanager
def processes(folder: Path) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """A scheduler and two workers, as `dask scheduler` and `dask worker` start them; its address, and all three."""
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)

    def started(part: str, *options: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", f"distributed.cli.dask_{part}", "--scheduler-file", str(file), *options]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    address = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    running = [started("scheduler", *address, "--port", "0")]
    running += [started("worker", *address, "--nthreads", "1", "--nanny") for _ in range(2)]
    try:
        while not file.exists():
            assert running[0].poll() is None
            time.sleep(0.05)
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(2, timeout=120)
            address = client.scheduler.address.replace("tcp://", "dask://")
        yield address, running
    finally:
        for process in running:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["fit voxels", "score"])
def test_a_cluster_that_is_killed_whole_leaves_rows_that_come_once_when_the_ingest_goes_on(
    stage: str, of_one_process: dict[str, str], tmp_path: Path
) -> None:
    with processes(tmp_path) as (address, running):
        kill = During(stage, act=lambda: [process.kill() for process in running])
        gone = f"{address}: its scheduler is gone; start it, then give the same command again: what is done stays"
        # How long Dask tries to find its scheduler again.
        soon = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
        with soon, open_workers(address, tmp_path) as workers, pytest.raises(WorkersError, match=gone):
            ingested(tmp_path, workers, kill)
    with Store.open(str(tmp_path / "atlas.duckdb"), read_only=True) as store:
        before = store.frame("SELECT count(*) AS n FROM ledger").item()
    assert before > 0
    with processes(tmp_path) as (address, _), open_workers(address, tmp_path) as workers:
        assert ingested(tmp_path, workers) == of_one_process


def test_an_address_where_nobody_listens_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "CONNECT_S", 0.5)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"dask://127.0.0.1:{probe.getsockname()[1]}"
        with (
            pytest.raises(WorkersError, match=f"No Dask scheduler answers at {address}; start one"),
            open_workers(address, tmp_path),
        ):
            pass


@pytest.mark.parametrize("address", ["dask", "dask:0", "dask:two", "dask://host", "tcp://host:1", "slurm:0", "pbs"])
def test_an_address_of_no_workers_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="are no workers; give dask://HOST:PORT"), open_workers(address, tmp_path):
        pass


def test_no_address_is_this_process(tmp_path: Path) -> None:
    with open_workers("", tmp_path) as workers:
        assert isinstance(workers, InProcess)
        assert [result() for result in workers.map(plus, 1, [1, 2])] == [2, 3]


def test_dask_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, clusters.__name__)
    monkeypatch.delattr("voxel_atlas.ingest.workers.cluster")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(BadInputError, match=r"needs distributed, .*pip install 'voxel-atlas\[cluster\]'"),
        open_workers("dask:2", tmp_path),
    ):
        pass


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerPool]:
    """A worker in this process."""
    with scheduler() as running:
        running.scale(1)
        with open_workers(running.scheduler_address.replace("tcp://", "dask://"), tmp_path) as workers:
            yield workers


def test_a_home_folder_that_a_worker_does_not_see_is_named(
    worker: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "write_atomically", lambda *_: None)
    results = worker.map(plus, 1, [1])
    result = next(results)
    with pytest.raises(StoreError, match=rf"does not see {tmp_path}/cluster/\w+\.pickle; set VOXEL_ATLAS_HOME"):
        result()


def test_a_worker_with_another_version_is_named(worker: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    of_package, versions = importlib.metadata.version, iter(["0.0.1"])

    def version(name: str) -> str:
        return next(versions, of_package(name)) if name == "voxel-atlas" else of_package(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    results = worker.map(plus, 1, [1])
    result = next(results)
    with pytest.raises(WorkersError, match=r"has voxel-atlas .*, and 0\.0\.1 asks it; install the same"):
        result()


def test_files_of_runs_that_were_killed_are_removed_after_a_week(cluster: Cluster, home: Path) -> None:
    old, new = home / "cluster" / "old.pickle", home / "cluster" / "new.pickle"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    Cluster(cluster._client, "again", home, 1.0)
    assert not old.exists()
    new.unlink()


def described_job() -> dask.config.set:
    """What a user's ~/.config/dask/jobqueue.yaml may say."""
    job = {"cores": 4, "processes": 1, "memory": "8GB", "queue": "gpu", "walltime": "12:00:00"}
    return dask.config.set({f"jobqueue.slurm.{name}": value for name, value in job.items()})


def test_a_slurm_job_asks_for_what_the_settings_say_and_starts_a_worker() -> None:
    with described_job(), clusters.slurm_cluster() as slurm:
        script, address = slurm.job_script(), slurm.scheduler_address
    for line in ("#SBATCH -p gpu", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=8G", "#SBATCH -t 12:00:00"):
        assert line in script.splitlines()
    assert f"{sys.executable} -m distributed.cli.dask_worker {address}" in script
    assert "--nthreads 4 " in script


def test_slurm_without_settings_is_refused_with_the_file_that_wants_them() -> None:
    with pytest.raises(
        BadInputError,
        match=r"SLURM's jobs are not described: give their cores and memory .* ~/\.config/dask/jobqueue\.yaml",
    ):
        clusters.slurm_cluster()


def test_batches_are_worked_on_by_slurm_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SLURM's two commands, played by shell scripts: a job is a process of this machine."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    sbatch = 'job=$(cat "$1"); bash -c "$job" >/dev/null 2>&1 & echo "Submitted batch job $!"'
    for name, text in {"sbatch": sbatch, "scancel": 'kill "$@"'}.items():
        (bin_folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (bin_folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    with described_job(), open_workers("slurm", tmp_path) as workers:
        assert [result() for result in workers.map(pow, 2, range(5))] == [1, 2, 4, 8, 16]
