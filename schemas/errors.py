"""The errors that a user may meet. Each is also the builtin that it is, so `except ValueError` works as expected.

A message is one sentence that says what is wrong, where, and what to do about it. Each kind carries the code
and the HTTP status under which a server answers with it.
"""

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

# Each letter is looked at a few times at most, however the text is made: it may be a stranger's, and megabytes long.
_WORD = re.compile(r"""[^\s"']+""")
_BEFORE_PASSWORD = re.compile(r"://[^:/@]*:(?!$)")
_NAMED_PASSWORD = re.compile(r"""(\bpassword=)('[^']*'|[^\s&"']+)""", re.IGNORECASE)
_MOST_LETTERS = 20_000
"""Of an error's message; what is longer quotes what somebody sent."""


def redacted(text: str) -> str:
    """Text without the passwords of the addresses in it, of the forms scheme://user:password@host and password=…."""
    return _NAMED_PASSWORD.sub(r"\1…", _WORD.sub(_without_password, text) if "@" in text else text)


def _without_password(word: re.Match[str]) -> str:
    """A word without the password that stands before its last @, if one does."""
    before, at, host = word[0].rpartition("@")
    start = _BEFORE_PASSWORD.search(before)
    return f"{before[: start.end()]}…{at}{host}" if start else word[0]


def first_line(error: object) -> str:
    """What a library says went wrong, for a sentence of ours; what follows in DuckDB's errors shows the statement."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def meant(name: str, known: "Iterable[str]") -> str:
    """« Did you mean "FFA"?», for the end of a sentence about a name that is not known; "" where none is like it."""
    folded = {one.casefold(): one for one in known}
    close = get_close_matches(name.casefold(), folded, 1)
    return f' Did you mean "{folded[close[0]]}"?' if close else ""


def _said(text: str) -> str:
    told = redacted(text)  # before it is cut: a password may be cut from what tells that it is one
    return told if len(told) <= _MOST_LETTERS else f"{told[:_MOST_LETTERS]}…"


class AtlasError(Exception):
    """Something a user can act on; the command line prints its message and exits with status 2."""

    code: ClassVar[str] = "FAILED"
    """Names the kind in answers of the API; a child without one of its own has its parent's."""
    http_status: ClassVar[int] = 503
    """Status of an answer over HTTP that is this error."""
    _kinds: ClassVar[dict[str, type["AtlasError"]]] = {}

    def __init__(self, *given: object) -> None:
        super().__init__(*(_said(part) if isinstance(part, str) else part for part in given))

    def __init_subclass__(cls) -> None:
        AtlasError._kinds.setdefault(cls.code, cls)

    @staticmethod
    def by_code(code: str) -> type["AtlasError"]:
        """The kind of error that an answer's code names; StoreError for the code of no error, as UNAUTHENTICATED."""
        return AtlasError._kinds.get(code, StoreError)


class BadInputError(AtlasError, ValueError):
    """An argument, a setting or a file does not make sense."""

    code = "BAD_INPUT"
    http_status = 400


class NotFoundError(AtlasError, LookupError):
    """A named thing (model, voxel, ROI, label, file) is not there; the message lists what is."""

    code = "NOT_FOUND"
    http_status = 404


class MissingWeightsError(AtlasError, FileNotFoundError):
    """A pretrained network's weights are not on this machine; the message names the ways to get them."""

    code = "MISSING_WEIGHTS"


class LedgerConflictError(AtlasError, ValueError):
    """A batch that was committed before came again with other content."""

    code = "LEDGER_CONFLICT"


class StoreError(AtlasError, OSError):
    """The atlas cannot be opened, read or written."""

    code = "STORE"


class StoreLockedError(StoreError):
    """Another process has the atlas file open for writing."""

    code = "STORE_LOCKED"


class WorkersError(AtlasError, RuntimeError):
    """Processes that were to work on batches cannot be reached, or ended."""

    code = "WORKERS"


class NoWorkersError(WorkersError):
    """No process is left that could work on any batch."""

    code = "NO_WORKERS"


class SpaceMismatchError(AtlasError, ValueError):
    """A map and a surface do not belong to the same space, transform or hemisphere."""

    code = "SPACE_MISMATCH"


class BusyError(AtlasError, RuntimeError):
    """The server has as much to do as it takes on at once; try again after `retry_after` seconds."""

    code = "BUSY"

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
