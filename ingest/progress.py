"""How a stage says how far it is. The command line draws bars, tests and libraries listen to nothing."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Progress(Protocol):
    """Told by every stage what it does, how much there is of it, and how much is done."""

    def stage(self, name: str, total: int) -> AbstractContextManager[Advance]:
        """Open a stage of `total` units; call what it gives with the number of units just done."""
        ...

    def note(self, message: str) -> None:
        """Say one sentence that the user should read."""
        ...


class Silent:
    """Progress that nobody watches."""

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:  # noqa: ARG002 - the interface's arguments
        """See Progress."""
        yield lambda _: None

    def note(self, message: str) -> None:
        """See Progress."""
