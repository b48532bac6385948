"""Every limit of a server: what it takes of a connection, a request, a query and a socket, and what it has under way.

The table of docs/serving.md is these fields; a test compares them. Two gates apply those of connections and requests,
`api.http.protocol` and `api.http.access.guard`; what only a parsed query shows is measured before it runs. SQL of other
processes comes by a socket of its own, `atlas.store.sql_socket`.
"""

from pydantic import BaseModel, ConfigDict, Field


class ServerLimits(BaseModel):
    """How much is taken at most; what is over a limit is refused with a sentence that names it."""

    model_config = ConfigDict(frozen=True)

    connections: int = Field(1000, description="Connections that are open at once.")
    address_connections: int = Field(400, description="Those of one address.")
    head_s: float = Field(10.0, description="Seconds in which a request's first line and headers have to come.")
    body_s: float = Field(20.0, description="Seconds for a body, and one more for each `body_rate` of it.")
    body_rate: int = Field(50_000, description="Bytes of a body in a second.")
    read_s: float = Field(20.0, description="Seconds in which `read_bytes` of an answer have to be read.")
    read_bytes: int = Field(2**16, description="Bytes of an answer that are read in `read_s`.")
    head_bytes: int = Field(2**16, description="Bytes of a request's first line and headers, or beside its body.")
    head_lines: int = Field(100, description="Headers of a request.")
    pipelined: int = Field(16, description="Requests that a connection sends before it has the first one's answer.")
    stranger_bytes: int = Field(2**14, description="Bytes of a body where a token is wanted and none was shown.")
    body_bytes: int = Field(12 * 2**20, description="Bytes of a body: a picture in base64 and the query around it.")
    body_parts: int = Field(200_000, description="Commas, colons and brackets of a body, which make JSON slow to read.")
    held_bytes: int = Field(
        2**29, description="Bytes of bodies above 64 KB, and of such answers that are not read yet, of one token."
    )
    batch_bytes: int = Field(64 * 2**20, description="Bytes of a batch of an ingest.")
    batches: int = Field(4, description="Batches and questions of an ingest token that are under way at once.")
    rows_bytes: int = Field(128 * 2**20, description="Bytes of an answer to such a question.")
    memory_share: float = Field(
        0.5, description="Share of `VOXEL_ATLAS_MEMORY_LIMIT` that it, or an assistant's statement, may gather."
    )
    free_share: float = Field(
        0.25, description="Share of the machine's free memory that such statements may take in one step, uncounted."
    )
    guesses: str = Field(
        "20/minute", description="Wrong tokens of an address; then `VOXEL_ATLAS_TOKEN` is not looked at."
    )
    token_letters: int = Field(16, description="Letters that VOXEL_ATLAS_TOKEN has at least.")
    tokens: int = Field(2000, description="Words and marks of a GraphQL document.")
    depth: int = Field(12, description="Levels of nested fields; GraphQL's own rule is for introspection.")
    aliases: int = Field(30, description="Aliased fields, each fragment counted as often as it is spread.")
    directives: int = Field(50, description="Directives, counted the same way.")
    first: int = Field(100, description="Items on a page of a list.")
    objects: int = Field(50_000, description="Objects that a query could return at worst, those of introspection too.")
    pictures: int = Field(4, description="Pictures that a query sends along.")
    picture_bytes: int = Field(8 * 2**20, description="Bytes of a picture that is sent along.")
    picture_pixels: int = Field(40_000_000, description="Its pixels.")
    figure_pixels: int = Field(40_000_000, description="Pixels of all images in a figure to be made a PDF.")
    figure_letters: int = Field(20_000, description="Its letters.")
    operation_s: float = Field(30.0, description="Seconds of processor time of a query.")
    cells: int = Field(5_000_000, description="Rows × columns of an answer of `/frames`, worked out before it runs.")
    sockets: int = Field(200, description="WebSockets that are open at once.")
    subscriptions: int = Field(4, description="Subscriptions on a socket.")
    introduction_s: float = Field(10.0, description="Seconds for a socket to introduce itself.")
    message_bytes: int = Field(
        2**16, description="Bytes of a message to `/mcp`, or on a socket, where each counts as a request."
    )
    waiting_queries: int = Field(200, description="Quick answers that wait for a thread.")
    waiting_pictures: int = Field(30, description="Pictures that wait for one.")
    waiting_batches: int = Field(30, description="Batches of ingests that wait for one, and as many questions.")
    file_s: float = Field(10.0, description="Seconds in which the file of an image that subjects saw has to be read.")
    late_files: int = Field(4, description="Files of a disk that take longer; then no other of it is begun.")
    statements: int = Field(8, description="SQL statements of other processes that are under way at once.")
    statement_s: float = Field(300.0, description="Seconds of such a statement.")

    tool_rows: int = Field(1000, description="Rows of an answer of an assistant's `run_sql`.")
    tool_letters: int = Field(200_000, description="Letters of an answer of an assistant's tool.")
    tool_pixels: int = Field(2048, description="Pixels across a picture of an assistant's `flatmap`.")
    tool_s: float = Field(
        30.0, description="Seconds of an assistant's SQL statement, and then until DuckDB ends the step that it is in."
    )
    waiting_tools: int = Field(30, description="Calls of assistants' tools that wait for a thread.")


LIMITS = ServerLimits()
"""Those of every server."""
