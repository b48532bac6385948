"""Care of an atlas: remove a model, make the file small, bring it to the present format."""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ...schemas.errors import BadInputError, NotFoundError, StoreError, first_line
from ...schemas.files import flush, temporary_beside
from ...schemas.stage import Stage
from ...schemas.tables import COMMENTS, DDL, FORMAT_VERSION, TABLES, model_tables
from .address import CONFIG, Address, explained, quoted, read_format
from .lake import drop_old_files
from .store import Store

Step = Callable[[duckdb.DuckDBPyConnection], object]


_COLUMNS = (
    ("encoding", "residual_variance FLOAT"),
    ("label_score", "reason VARCHAR"),
    ("label_score", "stability FLOAT"),
    ("model", "test_noise DOUBLE"),
    ("top_image", "measured FLOAT"),
    ("concept_query", "alphas DOUBLE[]"),
    ("concept_query", "errors DOUBLE[]"),
    ("subject", "affine DOUBLE[]"),
    ("subject", "affine_code INTEGER"),
)
"""Columns that tables have got since format 1, those of a table in its order; NULL in rows of before."""


def _with_unscored_candidates(connection: duckdb.DuckDBPyConnection) -> None:
    for column in ("score", "rank", "probability"):
        connection.execute(f"ALTER TABLE label_score ALTER {column} DROP NOT NULL")


def _with_zscore_by_name(connection: duckdb.DuckDBPyConnection) -> None:
    """NSD's trials were z-scored by session where the setting was auto, which it no longer stands for."""
    config = """replace(config, '"zscore":"auto"', '"zscore":"session"')"""
    connection.execute(
        f"UPDATE model SET config = {config}, config_sha256 = sha256({config}) "  # noqa: S608 - constants
        """WHERE contains(config, '"dataset":"nsd"') AND contains(config, '"zscore":"auto"')"""
    )


def _to_format_4(connection: duckdb.DuckDBPyConnection) -> None:
    _with_unscored_candidates(connection)
    _with_zscore_by_name(connection)


STEPS: Mapping[int, Step] = {1: lambda _: None, 2: lambda _: None, 3: _to_format_4}
"""Format → what makes the next one of it, within a transaction; new tables and `_COLUMNS` are made after it.

2 has the table `learning_curve`; 3 has what concepts are held against, and the column encoding.residual_variance; 4 has
`semantic` and `label_evidence`, candidates without a score, what follows from images shown again or not at all, what
made regions, and by name what NSD's responses were z-scored over.
"""


def require_model(store: Store, model_id: str) -> None:
    """Check that a model is there, by its whole id.

    Raises:
        NotFoundError: no such model; the message lists those that there are.
    """
    known = store.arrow("SELECT model_id FROM model ORDER BY model_id")["model_id"].to_pylist()
    if model_id not in known:
        raise NotFoundError(f"There is no model {model_id!r}; there are {', '.join(known) or 'none'}.")


def remove_model(address: str, model_id: str) -> int:
    """Remove a model's rows in one transaction. Its subject, images, captions and labels stay: others share them.

    The ledger forgets none of its batches, so that no generation comes twice: they become batches of the stage
    `removed`, and the model can be ingested or imported again.

    Args:
        address: the atlas; not a served one, as a client that dies while it deletes would block the server.
        model_id: the whole id.

    Returns:
        The number of rows that went.

    Raises:
        NotFoundError: no such model; the message lists those that there are.
        BadInputError: the address is a server's.
        StoreLockedError: a server or another process has the file open.
    """
    if Address.parse(address).kind == "http":
        raise BadInputError(f"{address} is served; stop the server and remove {model_id} from the file.")
    with Store.open(address, create=False, shared=False) as store:
        require_model(store, model_id)
        counts = " UNION ALL ".join(f"SELECT count(*) AS n FROM {name} WHERE model_id = $id" for name in model_tables())  # noqa: S608 - our tables
        n_rows = int(store.arrow(f"SELECT sum(n)::BIGINT AS n FROM ({counts})", {"id": model_id})["n"][0].as_py())  # noqa: S608
        now = datetime.now(UTC)
        removal = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        store.change(
            [
                *((f"DELETE FROM {name} WHERE model_id = ?", [model_id]) for name in model_tables()),  # noqa: S608
                (
                    "UPDATE ledger SET stage = ?, batch_key = ? || '/' || stage || '/' || batch_key "
                    "WHERE stage NOT IN (?, ?) AND (batch_key = ? OR starts_with(batch_key, ?))",
                    [Stage.REMOVED, removal, Stage.REMOVED, Stage.RM, model_id, f"{model_id}/"],
                ),
                (
                    "INSERT INTO ledger VALUES (?, ?, ?, '', ?, ?)",
                    [removal, Stage.RM, f"{model_id}/{removal}", n_rows, now],
                ),
            ]
        )
    return n_rows


def vacuum(address: str, *, memory_limit: str = "2GB") -> tuple[int, int]:
    """Write an atlas file anew without the space of removed rows, then put it in the old one's place.

    Killed at any moment, the atlas is the old file or the new one. It takes as much room again while it works. Of a
    lake, the files go that hold removed rows alone.

    Returns:
        Bytes of the file, or of the lake's files, before and after.

    Raises:
        BadInputError: the address is a server's.
        StoreLockedError: a server or another process has the file open.
        StoreError: no atlas of this format, or the disk is full.
    """
    if (parsed := Address.parse(address)).kind == "ducklake":
        return drop_old_files(parsed, memory_limit)
    path = _file(address, "vacuumed")
    # Opened for writing: nobody else has it then, and what its log holds goes into the file when it is closed.
    Store.open(address, create=False, shared=False).close()
    before = path.stat().st_size
    with (
        temporary_beside(path) as temporary,
        explained(address),
        duckdb.connect(config={**CONFIG, "memory_limit": memory_limit}) as connection,
    ):
        # From here to the end nobody can write: an attached file is locked, for reading.
        connection.execute(f"ATTACH {quoted(str(path))} AS old (READ_ONLY)")
        if path.with_name(f"{path.name}.wal").exists():
            raise StoreError(f"{address} was written to while it was to be vacuumed; try again.")
        connection.execute(f"ATTACH {quoted(str(temporary))} AS new")
        connection.execute("COPY FROM DATABASE old TO new")
        _require_same_counts(connection, address)
        connection.execute("DETACH new")
        flush(temporary)
        temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
        flush(path.parent)
    return before, path.stat().st_size


def upgrade(address: str, *, steps: Mapping[int, Step] | None = None) -> tuple[int, int]:
    """Bring an atlas file to the format of this version, in one transaction or not at all.

    Args:
        address: a file path.
        steps: format → what makes the next one of it; None for `STEPS`.

    Returns:
        The format that it had and the one that it has.

    Raises:
        BadInputError: the address is not a file's.
        StoreLockedError: a server or another process has the file open.
        StoreError: no atlas, a newer format, one from which there is no way, or a step that failed.
    """
    path = _file(address, "upgraded")
    steps = STEPS if steps is None else steps
    if not path.is_file():
        raise NotFoundError(f"There is no atlas at {path}.")
    with explained(address), duckdb.connect(str(path), config=CONFIG) as connection:
        old = read_format(connection.execute, address)
        if missing := [version for version in range(old, FORMAT_VERSION) if version not in steps]:
            raise StoreError(f"{address} has format {old}, and nothing upgrades format {missing[0]}; ingest it anew.")
        connection.begin()
        try:
            for version in range(old, FORMAT_VERSION):
                steps[version](connection)
            for table, column in _COLUMNS:
                connection.execute(f"ALTER TABLE IF EXISTS {table} ADD COLUMN IF NOT EXISTS {column}")
            connection.execute(DDL + COMMENTS)  # views and macros, too, as this version has them
            if old < FORMAT_VERSION:
                _require_tables(connection)
                connection.execute("UPDATE atlas_format SET version = ?", [FORMAT_VERSION])
                # What was derived from the atlas before is out of date: its generation must grow.
                now = datetime.now(UTC)
                entry = [f"{now:%Y%m%dT%H%M%S}", "upgrade", f"{old}-{FORMAT_VERSION}", "", 0, now]
                connection.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)", entry)
            connection.commit()
        except duckdb.Error as error:
            connection.rollback()
            raise StoreError(
                f"{address} cannot be upgraded from format {old} and is as it was: {first_line(error)}."
            ) from error
    return old, FORMAT_VERSION


def _file(address: str, what: str) -> Path:
    parsed = Address.parse(address)
    if parsed.kind != "file":
        raise BadInputError(f"{address}: only atlas files are {what}; stop the server and give the file's path.")
    return Path(parsed.target)


def _require_same_counts(connection: duckdb.DuckDBPyConnection, address: str) -> None:
    for name in TABLES:
        counts = f"SELECT (SELECT count(*) FROM old.{name}), (SELECT count(*) FROM new.{name})"  # noqa: S608 - constants
        old, new = connection.execute(counts).fetchall()[0]
        if old != new:
            raise StoreError(f"{address}: DuckDB copied {new} of {old} rows of {name}; the atlas is as it was.")


def _require_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Hold the tables against what the DDL makes: a step that forgot a column must not be committed."""
    columns = (
        "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() WHERE database_name = "
        "current_database() AND table_name IN (SELECT unnest(?::VARCHAR[])) ORDER BY table_name, column_index"
    )
    with duckdb.connect() as fresh:
        fresh.execute(DDL)
        expected = fresh.execute(columns, [TABLES]).fetchall()
    present = connection.execute(columns, [TABLES]).fetchall()
    if present != expected:
        wrong = next(iter(sorted(set(expected) ^ set(present))))
        raise duckdb.DataError(f"table {wrong[0]}, column {wrong[1]} is not as format {FORMAT_VERSION} has it")
