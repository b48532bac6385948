"""Where an atlas is: three kinds of address, each attached to a DuckDB connection, and what can go wrong there."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import duckdb

from ...schemas.errors import BadInputError, NotFoundError, StoreError, StoreLockedError, first_line
from ...schemas.files import explained_os_errors, temporary_beside
from ...schemas.tables import COMMENTS, DDL, FORMAT_VERSION, TABLES

ALIAS = "atlas"
"""Name under which a DuckLake is attached."""

# Float vectors do not compress: trying costs two thirds of the insert rate and makes the file 1.4 × the raw size.
# DuckLake knows no per-column compression, so the shared DDL leaves it out.
_FILE_DDL = re.sub(r"\b(?:weights|vector) FLOAT\[\] NOT NULL", r"\g<0> USING COMPRESSION uncompressed", DDL)

_HTTP_URL = re.compile(r"https?://[^\s/?#'\"]+(/[^\s?#'\"]*)?")
_DUCKLAKE = re.compile(r"ducklake:(?P<catalog>[^\s'\"]+)(?: data=(?P<data>[^'\"]+))?")
_UNREACHABLE = (
    "Could not connect to server",
    "Server returned nothing",
    "Failed sending data to the peer",
    "Failure when receiving data from the peer",
)
"""What curl says of a bucket that is not there, or that went away while it was asked."""
_HTTP = re.compile(r"HTTP (\d{3})")
_FULL = ("No space left", "enough space", "Disk quota exceeded", "File too large")
_SCHEME = re.compile(r"[a-z][a-z0-9+-]+:")


@dataclass(frozen=True)
class Address:
    """A parsed address: `atlas.duckdb`, `http://host:port`, or `ducklake:CATALOG data=FOLDER`."""

    kind: Literal["file", "http", "ducklake"]
    text: str
    target: str
    """File: the absolute path. HTTP: the address. DuckLake: the catalog, without `ducklake:`."""
    data: str = ""
    """DuckLake: the folder or bucket of the Parquet files."""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address.

        Raises:
            BadInputError: it is none of the three kinds.
        """
        if _HTTP_URL.fullmatch(text):
            return cls("http", text, text)
        if match := _DUCKLAKE.fullmatch(text):
            return cls("ducklake", text, match["catalog"], match["data"] or "")
        # Two letters at least: C:\atlas.duckdb is a path.
        if not text.strip() or "\0" in text or _SCHEME.match(text):
            raise BadInputError(
                f"{text!r} is not the address of an atlas; give a file path, http://HOST:PORT of a server, or "
                "ducklake:CATALOG data=FOLDER."
            )
        return cls("file", text, str(Path(text).expanduser().resolve()))

    @property
    def folder(self) -> Path | None:
        """Folder of this machine that rows go to; None where they go elsewhere, or only the catalog knows."""
        if self.kind == "file":
            return Path(self.target).parent
        return Path(self.data).expanduser().resolve() if self.data and "://" not in self.data else None


Config = dict[str, str | bool | int | float | list[str]]
Execute = Callable[[str], duckdb.DuckDBPyConnection]

CONFIG: Config = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",  # a table name in SQL must never mean a Python variable
}
"""How every DuckDB here is set."""


def connect_file(
    address: Address, *, read_only: bool, create: bool, memory_limit: str, files: Sequence[str]
) -> duckdb.DuckDBPyConnection:
    """A connection to an atlas file, whose tables are in a format that this version reads.

    What is open for reading only can read no other files than those of `files`, and keeps its settings.

    Raises:
        NotFoundError: nothing is there and `create` is False.
        StoreLockedError: another process has the file.
        StoreError: what is there is no atlas, is damaged, or cannot be read or written.
    """
    config = {**CONFIG, "memory_limit": memory_limit}
    path = Path(address.target)
    if not path.exists():
        if not create or read_only:
            raise NotFoundError(f"There is no atlas at {path}; `voxel-atlas demo` or `voxel-atlas ingest` makes one.")
        _create(path, config)
    _require_duckdb(path)
    if not read_only:
        # Checkpoints of growing tables are the dearest part of an ingest; closing the atlas makes one anyway.
        config["checkpoint_threshold"] = "1GB"
    with explained(address.text):
        connection = duckdb.connect(str(path), read_only=read_only, config=config)
        try:
            if not is_locked(connection):  # as this process has it open already
                connection.execute("SET GLOBAL TimeZone = 'UTC'")
                if read_only:
                    lock(connection, files)
            require_format(connection.execute, address.text)
        except BaseException:
            connection.close()
            raise
    return connection


def quoted(text: str) -> str:
    """Text as SQL has it, where a statement takes no parameters."""
    return "'" + text.replace("'", "''") + "'"


def is_locked(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether `lock` was called on this database."""
    return connection.execute("SELECT current_setting('lock_configuration')").fetchone() == (True,)


def lock(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> None:
    """From here on, statements attach and load nothing, and read and write files of these only.

    They change no setting but memory's.

    Args:
        connection: to a database; the lock is on the whole of it.
        files: folders, files, or the beginnings of their names in a bucket.
    """
    names = ", ".join(quoted(name) for name in files)
    connection.execute(f"SET allowed_directories = [{names}]")
    connection.execute(f"SET allowed_paths = [{names}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET allowed_configs = ['memory_limit']")  # which `Readers` corrects; SELECT sets none
    connection.execute("SET lock_configuration = true")


def _create(path: Path, config: Config) -> None:
    """Make an empty atlas under another name and link it into place: a killed process leaves no half of one."""
    advice = "choose a folder that you can write to"
    with explained_os_errors(f"No atlas can be made at {path}", advice), temporary_beside(path) as temporary:
        with explained(str(path)):
            write_empty(temporary, config)
        try:
            path.hardlink_to(temporary)  # unlike a rename, this never replaces what another process made meanwhile
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            temporary.rename(path)


def write_empty(path: Path, config: Config) -> None:
    """Write the file of an empty atlas."""
    with duckdb.connect(str(path), config=config) as connection:
        make_tables(connection, _FILE_DDL + COMMENTS)
        connection.execute("CHECKPOINT")  # or a full disk would leave all of it in a log, which is not linked


def make_tables(connection: duckdb.DuckDBPyConnection, ddl: str = DDL) -> None:
    """Make the tables of an empty atlas; one transaction, so that there is no half of one."""
    connection.begin()
    connection.execute(ddl)
    connection.execute("INSERT INTO atlas_format VALUES (?, ?)", [FORMAT_VERSION, datetime.now(UTC)])
    connection.commit()


def _require_duckdb(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except IsADirectoryError:
        raise StoreError(f"{path} is a folder; give the atlas file in it.") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from error
    if start[8:12] != b"DUCK":
        raise StoreError(f"{path} is not an atlas: it is not a DuckDB file; give another address or move it away.")


def read_format(execute: Execute, name: str) -> int:
    """The format of a database's tables, which this version reads or can upgrade.

    Args:
        execute: runs a statement where the tables are.
        name: what errors call the atlas.

    Raises:
        StoreError: it is no atlas, or one of a newer format.
        duckdb.Error: it cannot be read. `explained` is the caller's, who may first ask again.
    """
    if "atlas_format" not in _tables(execute):
        raise StoreError(f"{name} is another program's database, not an atlas; give another address.")
    row = execute("SELECT max(version) FROM atlas_format").fetchone()
    if row is None or row[0] is None:
        raise StoreError(f"{name} is an atlas without a format number, so it was damaged; restore a copy of it.")
    if row[0] > FORMAT_VERSION:
        raise StoreError(
            f"{name} has format {row[0]}, and this version of voxel-atlas reads up to {FORMAT_VERSION}; "
            "install a newer voxel-atlas."
        )
    return int(row[0])


def require_format(execute: Execute, name: str) -> None:
    """Refuse a database that is not an atlas, or one of another format; arguments and errors as `read_format`."""
    version = read_format(execute, name)
    if version < FORMAT_VERSION:
        raise StoreError(f"{name} has the older format {version}; run `voxel-atlas upgrade` first.")
    if missing := sorted(set(TABLES) - _tables(execute)):
        raise StoreError(f"{name} lacks the table {missing[0]}, so it was damaged; restore a copy of it.")


def _tables(execute: Execute) -> set[str]:
    tables = execute("SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()").fetchall()
    return {table for (table,) in tables}


def load_extensions(connection: duckdb.DuckDBPyConnection, *names: str) -> None:
    """Load DuckDB's signed extensions from their wheels; nothing is downloaded.

    Raises:
        StoreError: a wheel is not installed, or is for another version of DuckDB.
    """
    for name in names:
        spec = find_spec(f"duckdb_extension_{name}")
        folder = Path(spec.origin).parent if spec and spec.origin else Path()
        file = folder / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        if not file.is_file():
            raise StoreError(
                f"DuckDB's extension {name} for version {duckdb.__version__} is not installed; "
                f"pip install duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}."
            )
        connection.load_extension(str(file))


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turns DuckDB's errors about files, locks and disks into sentences about the atlas called `name`."""
    try:
        yield
    except (duckdb.IOException, duckdb.FatalException, duckdb.ConnectionException) as error:
        raise _explain(str(error), name) from error
    except duckdb.TransactionException as error:
        if not any(sign in str(error) for sign in _FULL):
            raise
        raise _explain(str(error), name) from error
    except duckdb.InternalException as error:
        raise StoreError(f"{name} cannot be used any further ({first_line(error)}); open it again.") from error
    except duckdb.OutOfMemoryException as error:
        raise StoreError(f"{name}: DuckDB's memory limit is too small ({first_line(error)}).") from error


def _explain(message: str, name: str) -> StoreError:
    if "Conflicting lock" in message or "Could not set lock" in message:
        pid = re.search(r"PID (\d+)", message)
        holder = f"process {pid[1]}" if pid else "another process"
        return StoreLockedError(
            f"{name} is open in {holder}; stop it, or use its server's address (http://HOST:PORT) instead of the file."
        )
    if refusal := _HTTP.search(message):
        reason = {"403": "its keys are refused; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", "404": "it is gone"}
        return StoreError(
            f"{name}: the bucket of its Parquet files does not answer: {reason.get(refusal[1], f'HTTP {refusal[1]}')}; "
            "committed batches are safe, and an ingest goes on from there."
        )
    if any(sign in message for sign in _UNREACHABLE):
        return StoreError(
            f"{name}: the bucket of its Parquet files cannot be reached; see to AWS_ENDPOINT_URL and to the network; "
            "committed batches are safe, and an ingest goes on from there."
        )
    if "different configuration" in message:
        return StoreLockedError(f"{name} is already open in this process, in another mode; close it first.")
    if any(sign in message for sign in _FULL):
        return StoreError(f"The disk of {name} is full; make room, then start again: committed batches are safe.")
    if "Permission denied" in message or "Read-only file system" in message:
        return StoreError(f"{name} cannot be written: permission denied; open it read-only or change its permissions.")
    if "storage version" in message or "newer version" in message:
        return StoreError(
            f"{name} was written by a newer DuckDB than {duckdb.__version__}; install a newer voxel-atlas."
        )
    if any(sign in message for sign in ("Corrupt", "checksum", "Could not read", "not a valid DuckDB", "deserialize")):
        return StoreError(f"{name} is damaged ({first_line(message)}); restore a copy of it, or move it away.")
    return StoreError(f"{name}: {first_line(message)}.")
