"""The atlas as a store: batches go in exactly once, and come out as Arrow, Polars or NumPy."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, LedgerConflictError, StoreError, StoreLockedError
from ...schemas.tables import table_schemas
from .address import ALIAS, Address, connect_file, explained, require_format
from .content import conform, content_sha256
from .lake import connect_lake, only_writer
from .links import Link, Local, Parameters, Result, Transaction, retried
from .quack import Quack
from .serving import QuackServer, find_server, serve
from .shared_rows import without_known
from .statements import MACROS, one_select, other_functions, refused, unique_names, without_polars_type

_PATIENCE_S = 60.0
"""How long a batch waits for others that commit to the same DuckLake."""
_MOST_NUMBERS = 100_000
_ROWS_PER_BATCH = 2048
"""Rows that `vectors` converts at a time, DuckDB's own number: 4 MB of 512-d vectors."""


class Store:
    """One process's hold on an atlas. Threads may share it: writes wait for each other, reads do not.

    Every read is one transaction: it sees all of a batch or nothing of it, and can change nothing.
    """

    def __init__(self, link: Link, address: Address, *, read_only: bool) -> None:
        self.address = address.text
        self.read_only = read_only
        self._link, self._address = link, address

    @classmethod
    def open(
        cls,
        address: str,
        *,
        read_only: bool = False,
        create: bool = True,
        token: str = "",
        memory_limit: str = "2GB",
        shared: bool = True,
        files: Sequence[str] = (),
    ) -> Self:
        """Open an atlas, and make an empty one where there is none.

        Where `voxel-atlas serve` has the file, the same database is reached through that server.

        Args:
            address: a file path, quack:HOST:PORT, or ducklake:CATALOG data=FOLDER.
            read_only: several processes may read a file while none writes to it.
            create: False refuses to make a new atlas.
            token: what a served atlas asks for.
            memory_limit: how much memory DuckDB may use.
            shared: False refuses a file that another process serves.
            files: folders and files that statements may read; with `read_only`, they can read no others.

        Raises:
            BadInputError: it is not the address of an atlas, or a server's, where `files` cannot be read.
            NotFoundError: there is no atlas, and none was to be made.
            StoreLockedError: another process has the file.
            StoreError: what is there is no atlas of this format, or cannot be opened.
        """
        parsed = Address.parse(address)
        if parsed.kind == "quack":
            _require_no_files(parsed.text, files)
            return cls(_link_to_server(parsed.text, parsed.target, token), parsed, read_only=read_only)
        connect = partial(
            connect_file if parsed.kind == "file" else connect_lake,
            parsed,
            read_only=read_only,
            create=create,
            memory_limit=memory_limit,
            files=files,
        )
        if parsed.kind == "file":
            link = _link_to_file(parsed, connect, shared=shared)
            if not isinstance(link, Local):
                _require_no_files(parsed.text, files)
            return cls(link, parsed, read_only=read_only)
        return cls(Local(connect, ALIAS, partial(only_writer, parsed)), parsed, read_only=read_only)

    def append(self, batch: Mapping[str, pa.Table], *, run_id: str, stage: str, key: str) -> bool:
        """Add a batch and its ledger row in one transaction, exactly once.

        Rows of `schemas.tables.SHARED` that another batch has brought already are left out.

        Args:
            batch: table name → new rows, in any Arrow types that cast to those of `table_schemas`.
            run_id: the run that made it.
            stage: the stage that made it.
            key: the batch; (stage, key) is unique. It is the id of the model or subject whose rows these are, or begins
                with the model's and a slash: `ledger` tells by it what a batch changes.

        Returns:
            True when the batch is in the atlas now and was not before; False when it was there with the same content.

        Raises:
            LedgerConflictError: it was there with other content.
            BadInputError: rows that do not fit their table.
            StoreError: the atlas could not be written; nothing of the batch is in it.
        """
        rows = {name: conform(name, table) for name, table in batch.items()}
        content = content_sha256(rows)
        try:
            return retried(
                lambda: self._append(rows, content, run_id=run_id, stage=stage, key=key), _is_conflict, _PATIENCE_S, 0.1
            )
        except duckdb.TransactionException as error:
            if not _is_conflict(error):
                raise
            raise StoreError(f"{self.address} was busy for {_PATIENCE_S:.0f} s; start again later.") from error

    def committed(self, stage: str) -> set[str]:
        """Keys of the batches of a stage that are in the atlas."""
        return set(self.arrow("SELECT batch_key FROM ledger WHERE stage = ?", [stage])["batch_key"].to_pylist())

    def generation(self) -> int:
        """A number that grows with every committed batch."""
        return int(self.arrow("SELECT count(*) AS n FROM ledger")["n"][0].as_py())

    def arrow(self, sql: str, parameters: Parameters = None) -> pa.Table:
        """Rows of one statement that reads.

        Raises:
            BadInputError: the statement is wrong, is more than one, or would change something.
            StoreError: the atlas could not be read.
        """
        statement = one_select(sql)
        table: pa.Table = self._read(lambda transaction: transaction.execute(statement, parameters).to_arrow_table())
        return table

    def frame(self, sql: str, parameters: Parameters = None) -> pl.DataFrame:
        """Rows of one statement that reads, as a Polars frame; raises as `arrow` does."""
        return pl.DataFrame(self.arrow(sql, parameters))

    def query(self, sql: str, parameters: Parameters = None) -> pl.DataFrame:
        """The same for a statement that somebody else wrote: it calls no function that does more than to read.

        A column's second name is as DuckDB has it (roi_1), and what Polars has no type for is text.

        Raises:
            BadInputError: the statement is wrong, is more than one, would change something, or reads files that
                `files` did not name where the atlas was opened.
        """
        locked = self.read_only and isinstance(self._link, Local)  # else no setting says which files may be read
        foreign = other_functions(one_select(sql), files=locked)
        if foreign and (foreign := foreign - set(self.frame(MACROS)["function_name"])):
            raise BadInputError(
                f"The function {min(foreign)} does more than to read rows; a statement may not call it."
            )
        table = self._asked(sql, parameters)
        if texts := without_polars_type(table):
            casts = ", ".join(f'CAST("{name}" AS VARCHAR) AS "{name}"' for name in texts)
            table = self._asked(f"SELECT * REPLACE ({casts}) FROM ({one_select(sql)})", parameters)  # noqa: S608 - its own
        return pl.DataFrame(table.rename_columns(unique_names(table.column_names)))

    def vectors(self, sql: str, parameters: Parameters, dim: int) -> NDArray[np.float32]:
        """The only column of a statement, a FLOAT[] of `dim` numbers a row, as one array (n_rows, dim).

        Raises:
            StoreError: a row's vector is NULL or of another length.
        """
        return self.keyed_vectors(f"SELECT 0, vector FROM ({one_select(sql)}) AS given(vector)", parameters, dim)[1]  # noqa: S608 - one statement

    def keyed_vectors(
        self, sql: str, parameters: Parameters, dim: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Columns (whole number, FLOAT[] of `dim`) of a statement as arrays (n_rows,) and (n_rows, dim).

        Raises:
            StoreError: a row's vector is NULL or of another length.
        """
        statement = one_select(sql)
        # An array's rows lie one after the other, which makes them half as dear to fetch as a list's. DuckDB's arrays
        # have 100,000 numbers at most, and a covariance has more.
        size = dim if dim <= _MOST_NUMBERS else ""
        query = f"SELECT key::BIGINT AS key, vector::FLOAT[{size}] AS vector FROM ({statement}) AS given(key, vector)"  # noqa: S608 - one statement

        def read(transaction: Transaction) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            # Counting first costs little, as the vectors are not read for it, and saves a second copy of them all.
            (n_rows,) = transaction.execute(f"SELECT count(*) FROM ({statement})", parameters).fetchall()[0]  # noqa: S608
            keys, vectors = np.empty(n_rows, np.int64), np.empty((n_rows, dim), np.float32)
            start = 0
            for rows in transaction.execute(query, parameters).to_arrow_reader(_ROWS_PER_BATCH):
                stop = start + rows.num_rows
                if rows["vector"].null_count:
                    raise StoreError(f"{self.address} holds a NULL in the place of a vector: {sql!r}.")
                keys[start:stop] = rows["key"].to_numpy()
                vectors[start:stop] = rows["vector"].flatten().to_numpy().reshape(-1, dim)
                start = stop
            return keys, vectors

        try:
            return self._read(read)
        except BadInputError as error:
            if "Cannot cast list" not in str(error):
                raise
            raise StoreError(f"{self.address} holds vectors of another length than {dim}: {sql!r}.") from error

    def close(self) -> None:
        """Let go of the atlas; a file is checkpointed and can be opened by other processes."""
        with explained(self.address):
            self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, rows: Mapping[str, pa.Table], content: str, *, run_id: str, stage: str, key: str) -> bool:
        with self._writing() as transaction:
            sql = "SELECT run_id, content_sha256 FROM ledger WHERE stage = ? AND batch_key = ?"
            if known := transaction.execute(sql, [stage, key]).fetchone():
                if known[1] == content:
                    return False
                raise LedgerConflictError(
                    f"Batch {key!r} of stage '{stage}' is in the atlas with other content: run {known[0]} committed "
                    f"{known[1][:12]}, run {run_id} brings {content[:12]}; the data or the program has changed."
                )
            for name, table in rows.items():
                new = without_known(transaction, name, table)
                if new.num_rows:
                    transaction.insert(name, new)
            entry = {
                "run_id": run_id,
                "stage": stage,
                "batch_key": key,
                "content_sha256": content,
                "n_rows": sum(table.num_rows for table in rows.values()),
                "committed_at": datetime.now(UTC),
            }
            transaction.insert("ledger", pa.Table.from_pylist([entry], schema=table_schemas()["ledger"]))
        return True

    def define(self, name: str, function: Callable[[str], list[dict[str, object]]]) -> None:
        """Let SQL call a function of this process: a text → rows as `concept_query` has them, without the word.

        At an atlas that another process serves, statements run there, with the functions of that process.
        """
        if isinstance(self._link, Local):
            self._link.define(name, function)

    def change(self, statements: Sequence[tuple[str, Parameters]]) -> None:
        """Run statements with their values in one transaction; for maintenance, as batches only ever append.

        Raises:
            StoreError: the atlas could not be written; nothing has changed.
        """
        with self._writing() as transaction:
            for sql, parameters in statements:
                transaction.execute(sql, parameters)

    def amend(
        self,
        statements: Sequence[tuple[str, Parameters]],
        batch: Mapping[str, pa.Table],
        *,
        run_id: str,
        stage: str,
        key: str,
    ) -> None:
        """Change rows of a batch that say where things lie, as when data were moved; the atlas's generation grows.

        Args:
            statements: what changes the rows.
            batch: the batch as it is to be from now on.
            run_id: the run that changes it.
            stage: of the batch.
            key: of the batch.

        Raises:
            StoreError: the atlas could not be written; nothing has changed.
        """
        content = content_sha256({name: conform(name, table) for name, table in batch.items()})
        entry = [run_id, stage, f"{key}/{run_id}", content, 0, datetime.now(UTC)]
        self.change(
            [
                *statements,
                ("UPDATE ledger SET content_sha256 = ? WHERE stage = ? AND batch_key = ?", [content, stage, key]),
                ("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)", entry),
            ]
        )

    @contextmanager
    def served(self) -> Iterator[QuackServer | None]:
        """Let other processes of this user reach the atlas through this one until the block ends.

        Gives None for an atlas that they can reach themselves: one that is open for reading only, a DuckLake, or one
        that another process serves.
        """
        if self.read_only or self._address.kind != "file" or not isinstance(self._link, Local):
            yield None
            return
        with explained(self.address), serve(self._link.connection, Path(self._address.target)) as server:
            yield server

    def _asked(self, sql: str, parameters: Parameters) -> pa.Table:
        statement = one_select(sql)
        return self._explained(lambda: self._link.query(statement, parameters))

    def _read(self, work: Callable[[Transaction], Result]) -> Result:
        return self._explained(lambda: self._link.read(work))

    def _explained(self, answer: Callable[[], Result]) -> Result:
        try:
            with explained(self.address):
                return answer()
        except duckdb.Error as error:
            raise refused(error) from error

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        if self.read_only:
            raise StoreError(f"{self.address} is open for reading only.")
        with explained(self.address), self._link.write() as transaction:
            yield transaction


def _require_no_files(name: str, files: Sequence[str]) -> None:
    if files:
        raise BadInputError(f"{name} is served, and its server reads no files for others; stop it, or leave them out.")


def _link_to_file(address: Address, connect: Callable[[], duckdb.DuckDBPyConnection], *, shared: bool) -> Link:
    try:
        return Local(connect)
    except StoreLockedError:
        server = find_server(Path(address.target))
        if server is None or server.pid == os.getpid():
            raise
        if not shared:
            raise StoreLockedError(
                f"{address.text} is being served by process {server.pid} already; use that server, or stop it first."
            ) from None
    return _link_to_server(address.text, server.target, server.token, server.sql)


def _link_to_server(name: str, target: str, token: str, sql: str = "") -> Link:
    if not token:
        raise BadInputError(f"{name} needs a token; `voxel-atlas url` prints it where the server runs.")
    link = Quack(target, token, name, sql)
    try:
        with explained(name):
            link.read(lambda transaction: require_format(transaction.execute, name))
    except BaseException:
        link.close()
        raise
    return link


def _is_conflict(error: duckdb.Error) -> bool:
    """Several machines may commit to one DuckLake; who comes second looks in the ledger and tries again."""
    return isinstance(error, duckdb.TransactionException) and ("locked" in str(error) or "onflict" in str(error))
