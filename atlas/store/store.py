"""The atlas as a store: batches go in exactly once, and come out as Arrow, Polars or NumPy."""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, StoreError, StoreLockedError
from ...schemas.limits import LIMITS
from ...schemas.tables import FORMAT_VERSION
from .address import ALIAS, Address, connect_file, explained
from .content import LedgerBatch
from .lake import connect_lake, is_conflict, only_writer
from .links import Changes, Link, Local, Parameters
from .readers import Readers, with_patience
from .remote import Http
from .serving import QuackServer, find_server, serve
from .sql_socket import Socket, answering
from .statements import MACROS, one_select, other_functions, refused, require_ours, unique_names, without_polars_type

Result = TypeVar("Result")

_PATIENCE_S = 60.0
"""How long a batch waits for others that commit to the same DuckLake."""
_PAUSE_S = 0.1
_MOST_NUMBERS = 100_000


class Store:
    """One process's hold on an atlas. Threads may share it: writes wait for each other, reads do not.

    Every read is one transaction: it sees all of a batch or nothing of it, and can change nothing.
    """

    def __init__(self, link: Link, address: Address, *, read_only: bool) -> None:
        self.address = address.text
        self.read_only = read_only
        self._link, self._address = link, address
        self._readers = Readers(link) if isinstance(link, Local) else None

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
            address: a file path, http://HOST:PORT of a server, or ducklake:CATALOG data=FOLDER.
            read_only: several processes may read a file while none writes to it.
            create: False refuses to make a new atlas.
            token: of scope ingest, for a server over HTTP.
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
        if parsed.kind == "http":
            _require_no_files(parsed.text, files)
            if not shared:
                raise BadInputError(f"{parsed.text} is served already; give the path of a file, or a DuckLake.")
            link: Link = _same_format(Http(parsed.target, token), parsed.text)
            return cls(link, parsed, read_only=read_only)
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
        return self.add(LedgerBatch.of(batch, run_id=run_id, stage=stage, key=key))

    def add(self, batch: LedgerBatch) -> bool:
        """The same for a batch whose rows are as the tables have them."""
        deadline = math.inf
        while True:
            try:
                with self._writing():
                    return self._link.append(batch)
            except duckdb.TransactionException as error:
                if not is_conflict(error):
                    raise
                deadline = min(deadline, time.monotonic() + _PATIENCE_S)
                if time.monotonic() > deadline:
                    raise StoreError(f"{self.address} was busy for {_PATIENCE_S:.0f} s; start again later.") from error
            time.sleep(_PAUSE_S)

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
        return self._explained(lambda: self._link.table(statement, parameters))

    def answer(
        self, sql: str, parameters: Parameters, is_gone: Callable[[], bool], seconds: float | None = None
    ) -> pa.Table:
        """Rows of a statement that came over a network: it names our tables, views and macros only, and has its limits.

        Args:
            sql: the statement.
            parameters: its values.
            is_gone: whether who asked has gone, which ends it.
            seconds: how long it may take; None for as long as any. A server has its own limits.

        Raises:
            BadInputError: it does not, its rows or what it gathers have more bytes than they may, or as `arrow`.
            BusyError: as many of others as there may be are under way.
            StoreError: the atlas could not be read.
        """
        readers, statement = self._readers, one_select(sql)
        require_ours(statement)

        def rows() -> pa.Table:
            if readers is None:
                return self._link.table(statement, parameters)
            with readers.run(statement, parameters, is_gone, seconds, LIMITS.memory_share) as batches:
                taken, size = [], 0
                for batch in batches:
                    size += batch.nbytes
                    if size > LIMITS.rows_bytes:
                        raise BadInputError(f"The rows have more than {LIMITS.rows_bytes:,} bytes; ask for fewer.")
                    taken.append(batch)
                return pa.Table.from_batches(taken, batches.schema)

        return self._explained(rows)

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
        table = self.arrow(sql, parameters)
        if texts := without_polars_type(table):
            casts = ", ".join(f'CAST("{name}" AS VARCHAR) AS "{name}"' for name in texts)
            table = self.arrow(f"SELECT * REPLACE ({casts}) FROM ({one_select(sql)})", parameters)  # noqa: S608 - its own
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

        def read() -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
            # Counting first costs little, as the vectors are not read for it, and saves a second copy of them all.
            n_rows = self._link.table(f"SELECT count(*) AS n FROM ({statement})", parameters)["n"][0].as_py()  # noqa: S608
            keys, vectors, start = np.empty(n_rows, np.int64), np.empty((n_rows, dim), np.float32), 0
            with self._link.batches(query, parameters) as batches:
                for rows in batches:
                    stop = start + rows.num_rows
                    if rows["vector"].null_count:
                        raise StoreError(f"{self.address} holds a NULL in the place of a vector: {sql!r}.")
                    if stop > n_rows:
                        return None
                    keys[start:stop] = np.from_dlpack(rows["key"])  # to_numpy imports pandas: as long as a query
                    vectors[start:stop] = np.from_dlpack(rows["vector"].flatten()).reshape(-1, dim)
                    start = stop
            return (keys, vectors) if start == n_rows else None

        try:
            found = None
            while found is None:  # where a batch came between
                found = self._explained(read)
        except BadInputError as error:
            if "Cannot cast list" not in str(error):
                raise
            raise StoreError(f"{self.address} holds vectors of another length than {dim}: {sql!r}.") from error
        return found

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

    @property
    def appends_only(self) -> bool:
        """Whether this is a server's over HTTP, where no row that is there is ever changed."""
        return isinstance(self._link, Http)

    def define(self, name: str, function: Callable[[str], list[dict[str, object]]]) -> None:
        """Let SQL call a function of this process: a text → rows as `concept_query` has them, without the word.

        At an atlas that another process serves, statements run there, with the functions of that process.
        """
        if isinstance(self._link, Local):
            self._link.define(name, function)

    def change(self, statements: Changes) -> None:
        """Run statements with their values in one transaction; for maintenance, as batches only ever append.

        Raises:
            StoreError: the atlas could not be written; nothing has changed.
        """
        with self._writing():
            self._link.change(statements)

    def amend(
        self,
        statements: Changes,
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
        content = LedgerBatch.of(batch, run_id=run_id, stage=stage, key=key).content
        entry = [run_id, stage, f"{key}/{run_id}", content, 0, datetime.now(UTC)]
        self.change(
            [
                *statements,
                ("UPDATE ledger SET content_sha256 = ? WHERE stage = ? AND batch_key = ?", [content, stage, key]),
                ("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)", entry),
            ]
        )

    @contextmanager
    def served(self, url: str = "", visitor: str = "") -> Iterator[QuackServer | None]:
        """Let other processes of this user reach the atlas through this one until the block ends.

        Gives None for an atlas that they can reach themselves: one that is open for reading only, a DuckLake, or one
        that another process serves. `url` is where this one answers over HTTP, `visitor` a token to ask there.
        """
        if self.read_only or self._address.kind != "file" or not isinstance(self._link, Local) or not self._readers:
            yield None
            return
        with (
            explained(self.address),
            answering(self._readers, self.add, self.change) as sql,
            serve(self._link.connection, Path(self._address.target), sql, url, visitor) as server,
        ):
            yield server

    def _explained(self, answer: Callable[[], Result]) -> Result:
        try:
            return with_patience(answer, self.address)
        except duckdb.Error as error:
            raise refused(error) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self.read_only:
            raise StoreError(f"{self.address} is open for reading only.")
        with explained(self.address):
            yield


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
    return _same_format(Socket(server.sql, address.text), address.text)


def _same_format(link: Link, name: str) -> Link:
    """A link to a server, whose tables have the format of this version.

    Raises:
        StoreError: they have not.
    """
    try:
        version = link.table("SELECT max(version) AS version FROM atlas_format", None)["version"][0].as_py()
    except BaseException:
        link.close()
        raise
    if version != FORMAT_VERSION:
        link.close()
        raise StoreError(
            f"{name} has format {version}, and this version of voxel-atlas reads {FORMAT_VERSION}; install the same "
            "version of voxel-atlas on both sides."
        )
    return link
