"""Tokens: who may ask, and for what. The file beside the atlas holds their hashes, never the tokens themselves.

A token is 256 random bits, so its SHA-256 cannot be searched back and needs no salt and no slow hash.
"""

import hashlib
import hmac
import json
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from ....schemas.errors import BadInputError, NotFoundError, StoreError
from ....schemas.files import write_atomically

FILE = "tokens.json"
"""The file of tokens, relative to the home folder; only its owner can read it."""
FROM_SETTING = "VOXEL_ATLAS_TOKEN"
"""Name of the token that the setting gives; it has every scope."""

BEYOND = "Tokens of scope owner are {done} on the server's machine only, by `voxel-atlas token {command}`."
"""What an administrator is told who asks for one over HTTP."""
_MOST_BYTES = 2**24
"""A file of more bytes is no file of tokens, and lets nobody in."""
_MOST_TOKENS = 10_000
"""So many fit in a file of that size."""
_NAME = re.compile(r"[\w.@-]{1,64}", re.ASCII)


class Scope(IntEnum):
    """What a token may do; each scope includes the ones before it."""

    READ = 1
    """Ask and look."""
    INGEST = 2
    """Add batches of an ingest, and read the tables to go on with one (`/ingest`)."""
    ADMIN = 3
    """Make, list and revoke tokens (`/tokens`)."""
    OWNER = 4
    """Learn where any SQL can be run (`/quack`), which is as much as to own the atlas and the server."""

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """A scope by its name.

        Raises:
            BadInputError: there is no such scope.
        """
        try:
            return cls[text.upper()]
        except KeyError:
            raise BadInputError(f"{text[:40]!r} is no scope; take read, ingest, admin or owner.") from None


@dataclass(frozen=True)
class Token:
    """What is kept of a token."""

    name: str
    scope: str
    sha256: str
    created: str
    """ISO 8601, UTC."""

    @property
    def allows(self) -> Scope:
        """What it may do."""
        return Scope.parse(self.scope)


_TOKENS = TypeAdapter(list[Token])


class Tokens:
    """The tokens of a home folder. What another process changes counts from the next request on."""

    def __init__(self, home: Path, setting: str = "", visitor: str = "") -> None:
        """Look at a home folder.

        Args:
            home: the folder.
            setting: the token that the settings give; empty for none.
            visitor: one of scope read for other processes of the user who serves, of 256 random bits; empty for none.
        """
        self._path = home / FILE
        self._fixed = [Token(FROM_SETTING, "owner", _hashed(setting), "")] if setting else []
        self._visitor = Token("this user", "read", _hashed(visitor or secrets.token_urlsafe(32)), "now")
        self._seen: tuple[int, int, int] | None = None
        self._tokens: Mapping[str, Token] = {}
        self._wanted = bool(setting)
        self._refresh()

    @property
    def any(self) -> bool:
        """Whether there is a token."""
        self._refresh()
        return bool(self._tokens)

    @property
    def wanted(self) -> bool:
        """Whether everyone has to show a token: there is a file of them, even an empty one, or there was one.

        So losing the file, or revoking the last token, opens nothing.
        """
        self._refresh()
        return self._wanted

    def find(self, given: str, *, chosen: bool = True) -> Token | None:
        """The token that was given; None when it is not one of ours.

        Tokens are found by their hash, so the time that it takes tells nothing of how much of a token is right.

        Args:
            given: what was shown.
            chosen: whether the setting's token counts, which a person chose: unlike the 256 random bits of those that
                are made here, it may be guessed by who is let guess for long.
        """
        self._refresh()
        if hmac.compare_digest(self._visitor.sha256, _hashed(given)):
            return self._visitor
        found = self._tokens.get(_hashed(given))
        if found is None or not (chosen or found.created):
            return None
        return found if hmac.compare_digest(found.sha256, _hashed(given)) else None

    def listed(self) -> list[Token]:
        """Tokens of the file, by name."""
        self._refresh()
        return sorted((token for token in self._tokens.values() if token.created), key=lambda token: token.name)

    def make(self, name: str, scope: Scope) -> str:
        """Make a token; it is told here once and never again.

        Raises:
            BadInputError: the name is not one word, or is taken; there are as many tokens as may be.
            StoreError: the file cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise BadInputError("A token's name has 1 to 64 letters, digits, dots, dashes, underscores or @.")
        clear = f"va_{secrets.token_urlsafe(32)}"

        def add(tokens: list[Token]) -> list[Token]:
            if any(token.name == name for token in tokens):
                raise BadInputError(f"There is a token {name!r} already; revoke it first or choose another name.")
            if len(tokens) >= _MOST_TOKENS:
                raise BadInputError(f"There are {_MOST_TOKENS:,} tokens, and no more may be; revoke some first.")
            return [*tokens, Token(name, scope.name.lower(), _hashed(clear), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")]

        self._change(add)
        return clear

    def revoke(self, name: str, most: Scope = Scope.OWNER) -> None:
        """Make a token worthless.

        Args:
            name: whose it is.
            most: the scope that it has at most.

        Raises:
            BadInputError: it has more.
            NotFoundError: there is no token of this name.
            StoreError: the file cannot be written.
        """

        def remove(tokens: list[Token]) -> list[Token]:
            left = [token for token in tokens if token.name != name]
            if len(left) == len(tokens):
                known = ", ".join(token.name for token in tokens) or "none"
                raise NotFoundError(f"There is no token {name[:64]!r}; there are {known}.")
            if any(token.name == name and token.allows > most for token in tokens):
                raise BadInputError(BEYOND.format(done="revoked", command="revoke"))
            return left

        self._change(remove)

    def _change(self, change: Callable[[list[Token]], list[Token]]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._path.with_suffix(".lock")):
                text = json.dumps({"tokens": [asdict(token) for token in change(self._read())]}, indent=1)
                # A temporary file is its owner's alone, and stays so when it is renamed.
                write_atomically(self._path, lambda file: file.write(text.encode()))
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{self._path} cannot be written: {error.strerror}.") from error

    def _refresh(self) -> None:
        try:
            found = self._path.stat()
            state = (found.st_ino, found.st_mtime_ns, found.st_size)
        except FileNotFoundError:
            state = (0, 0, 0)
        if state != self._seen:
            self._wanted = self._wanted or any(state)
            self._tokens = {token.sha256: token for token in [*self._fixed, *self._read()]}
            self._seen = state

    def _read(self) -> list[Token]:
        """Tokens of the file.

        Raises:
            StoreError: the file is damaged; nobody is let in then, rather than everybody.
        """
        try:
            tokens = _TOKENS.validate_python(json.loads(_text(self._path))["tokens"])
            for token in tokens:
                Scope.parse(token.scope)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
            raise StoreError(f"{self._path} cannot be read as tokens; restore it or remove it.") from error
        return tokens


def _text(path: Path) -> bytes:
    """What a file holds; never waits for a pipe, and never reads a device to its end."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
        raise ValueError("no file of tokens")
    return path.read_bytes()


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
