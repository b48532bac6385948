"""Batches on a Dask cluster: one that runs, processes of this machine, or jobs of a SLURM cluster.

What the work on all items needs is written once below the home folder, and each process reads it there once: unlike
data in the memory of a cluster, it outlives the processes that have read it.
"""

import importlib.metadata
import logging
import pickle
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import cloudpickle
import dask
from distributed import CancelledError, Client, Future, KilledWorker, LocalCluster
from distributed.client import ClosedClientError

from ...schemas.errors import BadInputError, NoWorkersError, StoreError, WorkersError
from ...schemas.files import write_atomically

_Given = TypeVar("_Given")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD = 2
"""Items that are sent ahead for each worker, so that none waits for the next one."""
CONNECT_S = 10.0
"""How long a scheduler may take to answer."""
LOOK_S = 2.0
"""How often it is looked whether anybody still works."""
PATIENCE_S = 60.0
"""How long a cluster that runs may be without a worker."""
_TELL_S = 600.0
"""How often it is told that a queue has let no job through; that may last."""
_FORGOTTEN_S = 7 * 86400.0
"""Age at which a file is of a run that was killed."""

_SCHEDULER_GONE = (CancelledError, ClosedClientError, OSError, RuntimeError)
"""What Dask raises without a scheduler, according to what is asked for and for how long it has been gone."""

_log = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()


class Cluster:
    """See ingest.workers.WorkerPool.

    Args:
        client: of the scheduler.
        name: what errors call the cluster.
        home: the atlas's home folder, which all workers see.
        patience_s: how long to wait for a first worker, or another one where all have gone.
        queued: whether to go on waiting after that, and say so.
    """

    def __init__(self, client: Client, name: str, home: Path, patience_s: float, *, queued: bool = False) -> None:
        self._client, self._name, self._folder = client, name, home / "cluster"
        self._patience_s, self._queued = patience_s, queued
        for path in self._folder.glob("*.pickle"):
            if time.time() - path.stat().st_mtime > _FORGOTTEN_S:
                path.unlink(missing_ok=True)

    def map(
        self, work: Callable[[_Given, _Item], _Result], given: _Given, items: Iterable[_Item]
    ) -> Iterator[Callable[[], _Result]]:
        """See WorkerPool."""
        remaining, sent = iter(items), deque[Future]()
        path = self._folder / f"{secrets.token_hex(8)}.pickle"
        try:
            while True:
                for item in islice(remaining, max(0, self._wanted() - len(sent))):
                    if not path.exists():
                        write_atomically(path, partial(_write, given=given))
                    # Bytes both ways: Dask looks for nothing of its own in them, and gives arrays no odd addresses.
                    call = cloudpickle.dumps((work, str(path), item))
                    sent.append(self._submit(call))
                if not sent:
                    return
                yield partial(self._result, sent.popleft())
        finally:
            with suppress(*_SCHEDULER_GONE):
                self._client.cancel(list(sent))
            path.unlink(missing_ok=True)

    def _submit(self, call: bytes) -> Future:
        try:
            return self._client.submit(_at_worker, call, pure=False)
        except _SCHEDULER_GONE as error:
            raise self._gone() from error

    def _wanted(self) -> int:
        """Items that are to be on their way."""
        return _AHEAD * max(1, self._n_workers())

    def _n_workers(self) -> int:
        try:
            return len(self._client.nthreads())
        except _SCHEDULER_GONE as error:
            raise self._gone() from error

    def _result(self, future: Future) -> Any:
        alone_since: float | None = None
        while True:
            try:
                error = future.exception(timeout=LOOK_S)
                break
            except TimeoutError:
                now = time.monotonic()
                alone_since = None if self._n_workers() else alone_since or now
                if alone_since is not None and now - alone_since > self._patience_s:
                    self._tell_alone()
                    alone_since = now
        if isinstance(error, KilledWorker):
            raise WorkersError(
                f"{self._name}: workers died of one batch again and again, the last one at "
                f"{error.last_worker.address}; look into its log, give it more memory, or pass smaller batches."
            ) from error
        try:
            return pickle.loads(future.result())  # noqa: S301 - from our own worker
        except CancelledError as cancelled:
            raise self._gone() from cancelled

    def _tell_alone(self) -> None:
        alone = f"{self._name} has had no {{}} for {self._patience_s:.0f} s; "
        if not self._queued:
            raise NoWorkersError(
                alone.format("worker") + "start some, then give the same command again: what is done stays."
            )
        _log.warning("%s`squeue` says why.", alone.format("job"))

    def _gone(self) -> NoWorkersError:
        return NoWorkersError(
            f"{self._name}: its scheduler is gone; start it, then give the same command again: what is done stays."
        )


@contextmanager
def running(address: str, home: Path) -> Iterator[Cluster]:
    """A cluster whose scheduler is at dask://HOST:PORT.

    Raises:
        WorkersError: nobody listens there.
    """
    try:
        client = Client(f"tcp://{address.removeprefix('dask://')}", timeout=CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise NoWorkersError(
            f"No Dask scheduler answers at {address}; start one with `dask scheduler`, or check the address."
        ) from error
    with client, _quiet():
        yield Cluster(client, address, home, PATIENCE_S)


@contextmanager
def local(n_processes: int, home: Path) -> Iterator[Cluster]:
    """So many processes of this machine, each on one core."""
    with (
        _quiet(),
        LocalCluster(
            n_workers=n_processes,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield Cluster(client, f"dask:{n_processes}", home, PATIENCE_S)


@contextmanager
def slurm(n_jobs: int, home: Path) -> Iterator[Cluster]:
    """So many jobs of a SLURM cluster; one that ends before the work does is replaced by another.

    Raises:
        BadInputError: dask-jobqueue is not installed, or its settings do not describe a job.
    """
    with _quiet(), slurm_cluster() as cluster, Client(cluster, set_as_default=False) as client:
        cluster.adapt(minimum_jobs=n_jobs, maximum_jobs=n_jobs)
        yield Cluster(client, f"slurm:{n_jobs}", home, _TELL_S, queued=True)


def slurm_cluster() -> Any:
    """A dask_jobqueue.SLURMCluster without jobs, as ~/.config/dask/jobqueue.yaml describes it.

    Raises:
        BadInputError: see `slurm`.
    """
    from dask_jobqueue import SLURMCluster

    if missing := [name for name in ("cores", "memory") if dask.config.get(f"jobqueue.slurm.{name}") is None]:
        raise BadInputError(
            f"SLURM's jobs are not described: give their {' and '.join(missing)} below `jobqueue: slurm:` in "
            "~/.config/dask/jobqueue.yaml."
        )
    return SLURMCluster(scheduler_options={"dashboard_address": ":0"})


@contextmanager
def _quiet() -> Iterator[None]:
    """What Dask logs of workers that come and go is said by our errors, where it matters."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "tornado")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _write(file: Any, given: object) -> None:
    pickle.dump(_version(), file)
    cloudpickle.dump(given, file)


def _at_worker(call: bytes) -> bytes:
    """Work on an item in a worker's process. One at a time: networks and products use all of its cores, or its GPU."""
    with _one_at_a_time:
        try:
            work, path, item = cloudpickle.loads(call)
            return pickle.dumps(work(_given(path), item))
        except ModuleNotFoundError as error:
            raise WorkersError(
                f"The worker on {socket.gethostname()} has no module {error.name}; install the same voxel-atlas there."
            ) from error


@lru_cache(maxsize=1)
def _given(path: str) -> Any:
    where = socket.gethostname()
    try:
        with Path(path).open("rb") as file:
            if (version := pickle.load(file)) != _version():  # noqa: S301 - of our own home folder
                raise WorkersError(
                    f"The worker on {where} has voxel-atlas {_version()}, and {version} asks it; install the same."
                )
            return cloudpickle.load(file)
    except FileNotFoundError as error:
        raise StoreError(
            f"The worker on {where} does not see {path}; set VOXEL_ATLAS_HOME to a folder that all machines share."
        ) from error


def _version() -> str:
    return importlib.metadata.version("voxel-atlas")
