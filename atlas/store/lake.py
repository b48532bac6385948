"""An atlas in a DuckLake: rows are Parquet files in a folder or bucket, which a small SQL database lists."""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import duckdb
from filelock import FileLock

from ...schemas.errors import BadInputError, NotFoundError, StoreLockedError, first_line
from ...schemas.files import explained_os_errors
from .address import (
    ALIAS,
    CONFIG,
    Address,
    explained,
    load_extensions,
    lock,
    make_tables,
    quoted,
    require_format,
)

_CATALOG = f"__ducklake_metadata_{ALIAS}"
"""Name under which DuckLake attaches the catalog of a lake."""
_ANY_TABLE = "FROM duckdb_tables() WHERE database_name = current_database() LIMIT 1"
_SCANNERS = {"sqlite": "sqlite_scanner", "postgres": "postgres_scanner"}
_WAIT_MS = 10_000
_PATIENCE_S = 120.0
_LOCK = 0x766F78656C  # "voxel"
"""The number of this program's lock among the advisory locks of a PostgreSQL database."""


def connect_lake(
    address: Address, *, read_only: bool, create: bool, memory_limit: str, files: Sequence[str]
) -> duckdb.DuckDBPyConnection:
    """A connection of this process in which a DuckLake is attached and is the default database.

    Args:
        address: ducklake:sqlite:FILE or ducklake:postgres:URL, and data=FOLDER where the lake is to be made.
        read_only: nothing can be written.
        create: make the atlas where there is none.
        memory_limit: how much memory DuckDB may use.
        files: what statements may read besides the lake, with `read_only`.

    Raises:
        BadInputError: a catalog of another kind, or no folder for a new lake.
        NotFoundError: nothing is there and `create` is False.
        StoreError: what is there is no atlas, or cannot be read or written.
    """
    kind = address.target.partition(":")[0]
    if kind not in _SCANNERS:
        raise BadInputError(
            f"{address.text!r}: the catalog of a DuckLake is sqlite:FILE or postgres:URL, for example "
            "ducklake:sqlite:catalog.sqlite data=parquet."
        )
    create = create and not read_only
    connection = duckdb.connect(config={**CONFIG, "memory_limit": memory_limit})
    try:
        with explained(address.text):
            load_extensions(connection, _SCANNERS[kind], "ducklake", "httpfs")
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            _set_credentials(connection, os.environ)
            if create:
                _attach_or_make(connection, address)
            else:
                _attach(connection, address, read_only=read_only, create=False)
                connection.execute(f"USE {ALIAS}")
            require_format(connection.execute, address.text)
            if read_only:
                lock(connection, [*files, _data_path(connection)])
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def only_writer(address: Address, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Keep other machines from writing to a lake until the block ends.

    DuckLake lets transactions that only add rows commit side by side, so that two which look for the same batch in the
    ledger would both not find it. In PostgreSQL they take a lock, which a process that dies gives back; SQLite lets
    nobody commit who has read what is no longer so.

    Raises:
        StoreLockedError: another process has been writing for two minutes.
    """
    if not address.target.startswith("postgres:"):
        yield
        return
    with _advisory_lock(connection, _CATALOG, f"writing one batch to {address.text}"):
        yield


def drop_old_files(address: Address, memory_limit: str) -> tuple[int, int]:
    """Remove the files of a lake that only earlier states of it have: DuckLake keeps those of removed rows.

    Returns:
        Bytes of the Parquet files before and after.

    Raises:
        StoreError: the lake cannot be written.
    """
    connection = connect_lake(address, read_only=False, create=False, memory_limit=memory_limit, files=())
    with closing(connection), explained(address.text), only_writer(address, connection):
        before = _file_bytes(connection)
        connection.execute("CALL ducklake_expire_snapshots(?, older_than => now())", [ALIAS])
        connection.execute("CALL ducklake_cleanup_old_files(?, cleanup_all => true)", [ALIAS])
        return before, _file_bytes(connection)


def _file_bytes(connection: duckdb.DuckDBPyConnection) -> int:
    """Of all files that the catalog lists, also of those that only earlier states have."""
    listed = (f"SELECT file_size_bytes AS size FROM {_CATALOG}.ducklake_{kind}_file" for kind in ("data", "delete"))  # noqa: S608 - constants
    sql = f"SELECT coalesce(sum(size), 0)::BIGINT FROM ({' UNION ALL '.join(listed)})"  # noqa: S608
    return int(connection.execute(sql).fetchall()[0][0])


def is_conflict(error: duckdb.TransactionException) -> bool:
    """Several machines may commit to one DuckLake; who comes second looks in the ledger and tries again."""
    return "locked" in str(error) or "onflict" in str(error)


@contextmanager
def _advisory_lock(connection: duckdb.DuckDBPyConnection, catalog: str, what: str) -> Iterator[None]:
    """Hold this program's lock of a PostgreSQL database, which `connection` has attached as `catalog`."""
    # Asked on a connection of its own: PostgreSQL keeps the lock until that one's transaction ends.
    cursor = connection.cursor()
    sql = f"SELECT pg_try_advisory_xact_lock({_LOCK}) AS held"
    deadline = time.monotonic() + _PATIENCE_S
    try:
        cursor.begin()
        while cursor.execute("SELECT held FROM postgres_query(?, ?)", [catalog, sql]).fetchone() != (True,):
            if time.monotonic() > deadline:
                raise StoreLockedError(
                    f"Another process has been {what} for {_PATIENCE_S:.0f} s; stop it, then start again."
                )
            time.sleep(0.05)
        yield
    finally:
        cursor.close()


def _attach_or_make(connection: duckdb.DuckDBPyConnection, address: Address) -> None:
    """Attach a lake, which one process at a time makes where there is none: two would make its tables twice."""

    def has_tables(*, create: bool) -> bool:
        _attach(connection, address, read_only=False, create=create)
        connection.execute(f"USE {ALIAS}")
        return connection.execute(_ANY_TABLE).fetchone() is not None

    with suppress(NotFoundError, BadInputError, duckdb.Error):
        if has_tables(create=False):
            return
    with _only_maker(connection, address):
        # What was attached before shows the lake as it was then.
        connection.execute("USE memory")
        connection.execute(f"DETACH DATABASE IF EXISTS {ALIAS}")
        if not has_tables(create=True):
            make_tables(connection)


@contextmanager
def _only_maker(connection: duckdb.DuckDBPyConnection, address: Address) -> Iterator[None]:
    kind, _, place = address.target.partition(":")
    if kind == "sqlite":
        with explained_os_errors(f"No lake can be made at {place}", "choose a folder that you can write to"):
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{place}.lock"):
                yield
        return
    # The lake's own attachment of the catalog is not there yet.
    connection.execute(f"ATTACH '{place}' AS maker (TYPE postgres)")
    try:
        with _advisory_lock(connection, "maker", f"making {address.text}"):
            yield
    finally:
        connection.execute("DETACH maker")


def _set_credentials(connection: duckdb.DuckDBPyConnection, environment: Mapping[str, str]) -> None:
    """Let DuckDB reach buckets with the keys of the environment, which the programs of object stores read, too."""
    if not (key := environment.get("AWS_ACCESS_KEY_ID")):
        return
    options = {"KEY_ID": key, "SECRET": environment.get("AWS_SECRET_ACCESS_KEY", "")}
    options["REGION"] = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    if token := environment.get("AWS_SESSION_TOKEN"):
        options["SESSION_TOKEN"] = token
    if endpoint := environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL"):
        scheme, _, place = endpoint.rpartition("://")
        # What is no Amazon's has no name for each bucket.
        options |= {"ENDPOINT": place.rstrip("/"), "URL_STYLE": "path", "USE_SSL": str(scheme != "http").lower()}
    given = ", ".join(f"{name} {quoted(value)}" for name, value in options.items())
    connection.execute(f"CREATE OR REPLACE SECRET (TYPE s3, {given})")


def _data_path(connection: duckdb.DuckDBPyConnection) -> str:
    """The folder or bucket of a lake's Parquet files."""
    rows = connection.execute("SELECT data_path FROM ducklake_settings(?)", [ALIAS]).fetchall()
    return str(rows[0][0])


def _attach(connection: duckdb.DuckDBPyConnection, address: Address, *, read_only: bool, create: bool) -> None:
    options = ["READ_ONLY"] if read_only else []
    options.append(f"CREATE_IF_NOT_EXISTS {str(create).lower()}")
    if address.target.startswith("sqlite:"):
        # Readers and a writer of the catalog do not lock each other out, and wait for what does.
        options += [f"META_BUSY_TIMEOUT {_WAIT_MS}", "META_JOURNAL_MODE 'WAL'"]
    if address.data:
        options.append(f"DATA_PATH '{address.data}'")  # the address's pattern allows no quotes
    try:
        connection.execute(f"ATTACH 'ducklake:{address.target}' AS {ALIAS} ({', '.join(options)})")
    except duckdb.Error as error:
        message = str(error)
        if re.search(r"does not exist|creating a new DuckLake is explicitly disabled", message):
            raise NotFoundError(f"There is no atlas at {address.text}; `voxel-atlas ingest` makes one.") from error
        if "DATA_PATH" in message or "data path" in message:
            raise BadInputError(
                f"{address.text!r}: say where the Parquet files are to be: {address.text.split(' ')[0]} data=FOLDER."
            ) from error
        raise BadInputError(f"{address.text} cannot be attached: {first_line(message)}.") from error
