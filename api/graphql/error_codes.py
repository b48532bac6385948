"""What a client is told when something fails: every error has a code; unexpected ones are logged and masked."""

import logging
import secrets
from collections.abc import Iterator

from graphql import GraphQLError
from strawberry.extensions import MaskErrors, SchemaExtension
from strawberry.relay import GlobalIDValueError
from strawberry.types.graphql import OperationType

from ...schemas.errors import AtlasError, BadInputError, BusyError

log = logging.getLogger("voxel_atlas.api")

UNEXPECTED = "INTERNAL"


def foreseen(error: BaseException) -> BaseException:
    """The failure, or, of one of Python's that a client can do something about, ours that says what."""
    if isinstance(error, MemoryError):
        return BusyError("What others asked for takes the server's memory just now; try again later.", 5.0)
    return error


def described(error: BaseException) -> tuple[str, dict[str, object]]:
    """What a client is told of a failure: its message and extensions with its code.

    An unexpected failure is logged, and the client is told no more than the id that it was logged under.
    """
    error = foreseen(error)
    if isinstance(error, BusyError):
        return str(error), {"code": error.code, "retryAfter": error.retry_after}
    if isinstance(error, AtlasError):
        return str(error), {"code": error.code}
    if isinstance(error, GlobalIDValueError):
        return str(error), {"code": BadInputError.code}
    identity = secrets.token_hex(6)
    log.error("unexpected failure %s", identity, exc_info=error)
    message = f"Something failed on the server that should not; its log has the details under {identity}"
    return message, {"code": UNEXPECTED, "logId": identity}


def coded(error: GraphQLError) -> GraphQLError:
    """The error as a client may see it: with a code, and masked when nobody foresaw it."""
    if "code" in (error.extensions or {}):
        return error
    cause = error.original_error
    # A literal that Python reads no number from, as one of 5,000 digits, fails before anything runs.
    literal = type(cause) is ValueError and error.path is None
    if cause is not None and not isinstance(cause, GraphQLError) and not literal:
        message, extensions = described(cause)
    else:
        # What fails before anything runs has no path; what does, like an id that is none, is the client's as well.
        message, extensions = error.message, {"code": BadInputError.code if error.path else "INVALID_QUERY"}
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
            context.pre_execution_errors = [GraphQLError(message, extensions={"code": BadInputError.code})]
        yield
