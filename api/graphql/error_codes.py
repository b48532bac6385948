"""What a client is told when something fails: every error has a code; unexpected ones are logged and masked."""

import logging
import re
import secrets
from collections.abc import Iterator

from graphql import GraphQLError
from strawberry.extensions import MaskErrors, SchemaExtension
from strawberry.types.graphql import OperationType

from ...schemas.errors import AtlasError, BusyError

log = logging.getLogger("voxel_atlas.api")

UNEXPECTED = "INTERNAL"


def code_of(error: AtlasError) -> str:
    """The code of an expected failure: NotFoundError is NOT_FOUND."""
    words = re.findall(r"[A-Z][a-z0-9]*", type(error).__name__.removesuffix("Error"))
    return "_".join(words).upper() or "FAILED"


def masked(error: BaseException) -> tuple[str, str]:
    """Log an unexpected failure; returns the id that it was logged under and what the client is told."""
    identity = secrets.token_hex(6)
    log.error("unexpected failure %s", identity, exc_info=error)
    return identity, f"Something failed on the server that should not; its log has the details under {identity}"


def coded(error: GraphQLError) -> GraphQLError:
    """The error as a client may see it: with a code, and masked when nobody foresaw it."""
    if "code" in (error.extensions or {}):
        return error
    cause = error.original_error
    message, extensions = error.message, dict[str, object]()
    if cause is None or isinstance(cause, GraphQLError):
        # What fails before anything runs has no path; what does, like an id that is none, is the client's as well.
        extensions["code"] = "BAD_INPUT" if error.path else "INVALID_QUERY"
    elif isinstance(cause, AtlasError):
        message, extensions["code"] = str(cause), code_of(cause)
        if isinstance(cause, BusyError):
            extensions["retryAfter"] = cause.retry_after
    else:
        identity, message = masked(cause)
        extensions = {"code": UNEXPECTED, "logId": identity}
    return GraphQLError(message, error.nodes, error.source, error.positions, error.path, extensions=extensions)


class CodedErrors(MaskErrors):
    """Gives the errors of subscriptions a code; those of other operations get it where the answer is written."""

    def anonymise_error(self, error: GraphQLError) -> GraphQLError:
        """The error as the client may see it."""
        return coded(error)


class SocketsSubscribe(SchemaExtension):
    """Subscriptions run over a socket, and nothing else does: queries there would hold up the event loop."""

    def on_validate(self) -> Iterator[None]:
        """Refuses what came by the wrong way before it runs."""
        context = self.execution_context
        follows = context.operation_type is OperationType.SUBSCRIPTION
        if context.context.over_socket != follows:
            message = (
                "Subscriptions run over a WebSocket with the subprotocol graphql-transport-ws."
                if follows
                else "Only subscriptions run over a socket; send queries by HTTP POST to /graphql."
            )
            context.pre_execution_errors = [GraphQLError(message, extensions={"code": "BAD_INPUT"})]
        yield
