"""Where batches are worked on: in this process, or in others. What they make is committed by the process that asks."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from ...schemas.errors import BadInputError

_Given = TypeVar("_Given")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_ADDRESS = re.compile(r"(?P<scheduler>dask://[^\s/]+:\d{1,5})|dask:(?P<processes>[1-9]\d*)|slurm(:(?P<jobs>[1-9]\d*))?")


class WorkerPool(Protocol):
    """One process or many; rows do not depend on which."""

    def map(
        self, work: Callable[[_Given, _Item], _Result], given: _Given, items: Iterable[_Item]
    ) -> Iterator[Callable[[], _Result]]:
        """For each item, in their order, a function that gives `work(given, item)` or raises what that raised.

        Each is to be called before the next one is taken. Items are taken a few ahead, so that memory stays bounded.

        Args:
            work: a function of a module. It may be called in another process, so its result is all that it does.
            given: what the work on every item needs; it reaches each process once.
            items: one call each.
        """
        ...


class InProcess:
    """This process; each item is worked on when its result is asked for."""

    def map(
        self, work: Callable[[_Given, _Item], _Result], given: _Given, items: Iterable[_Item]
    ) -> Iterator[Callable[[], _Result]]:
        """See WorkerPool."""
        for item in items:
            yield partial(work, given, item)


@contextmanager
def open_workers(address: str, home: Path) -> Iterator[WorkerPool]:
    """The workers of an address until the block ends.

    Args:
        address: dask://HOST:PORT, a scheduler that runs; dask:N, N processes of this machine; slurm or slurm:N, N
            jobs of a SLURM cluster, as ~/.config/dask describes them; empty, this process.
        home: the atlas's home folder, which all of them see.

    Raises:
        BadInputError: the address is none of these, dask is not installed, or SLURM's jobs are not described.
        WorkersError: nothing answers at the address.
    """
    if not address:
        yield InProcess()
        return
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise BadInputError(f"{address!r} are no workers; give dask://HOST:PORT, dask:PROCESSES, slurm or slurm:JOBS.")
    try:
        from . import cluster
    except ModuleNotFoundError as error:
        raise BadInputError(
            f"--workers {address} needs {error.name}, which is not installed; pip install 'voxel-atlas[cluster]'."
        ) from error
    if match["scheduler"]:
        opened = cluster.running(match["scheduler"], home)
    elif match["processes"]:
        opened = cluster.local(int(match["processes"]), home)
    else:
        opened = cluster.slurm(int(match["jobs"] or 1), home)
    with opened as workers:
        yield workers
