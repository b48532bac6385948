"""The schema as a whole; `python -m voxel_atlas.api.graphql.schema` prints it as schemas/schema.graphql has it."""

import time
from collections.abc import Iterator
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.extensions import AddValidationRules, MaxTokensLimiter, ParserCache, SchemaExtension, ValidationCache
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from ...schemas.limits import LIMITS
from .error_codes import CodedErrors, SocketsSubscribe
from .query import RootQuery
from .query_limits import MAX_KEPT, RULES
from .types.progress_subscription import Subscription


class QuietSchema(strawberry.Schema):
    """A schema that leaves logging to CodedErrors, which knows what was expected."""

    def process_errors(self, errors: list[GraphQLError], execution_context: Any = None) -> None:
        """Does nothing here."""


class NamesOperation(SchemaExtension):
    """Tells the metrics what was asked: the operation's first root field, of which there are only so many."""

    def on_execute(self) -> Iterator[None]:
        """Notes the field before the operation runs."""
        context = self.execution_context
        selections = context.graphql_document.definitions[0] if context.graphql_document else None
        first = next(iter(getattr(getattr(selections, "selection_set", None), "selections", ())), None)
        name = getattr(getattr(first, "name", None), "value", "")
        context.context.request.state.operation = f"graphql:{name if name in ROOT_FIELDS else 'other'}"
        yield


class ParsedOnce(ParserCache):
    """Keeps the documents that were asked last, but no long ones: a hundred pictures in them would fill the memory."""

    def on_parse(self) -> Iterator[None]:
        """Takes the document from those that are kept."""
        if _is_kept(self.execution_context.query):
            yield from super().on_parse()
        else:
            yield


class ValidatedOnce(ValidationCache):
    """Keeps what was found wrong with the same documents."""

    def on_validate(self) -> Iterator[None]:
        """Takes the findings from those that are kept."""
        if _is_kept(self.execution_context.query):
            yield from super().on_validate()
        else:
            yield


class TimedExecution(StrawberryGraphQLCoreExecutionContext):
    """Ends an operation that takes too long, between two of its objects; its thread waits for nothing else.

    What counts is the thread's own processor time, so that a busy machine refuses nobody.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._until = time.thread_time() + LIMITS.operation_s

    def execute_fields(self, *given: Any, **named: Any) -> Any:
        """Goes on with the fields of an object, while there is time."""
        if time.thread_time() > self._until:
            message = f"This query takes longer than {LIMITS.operation_s:.0f} s; ask for less at once"
            raise GraphQLError(message, extensions={"code": "LIMIT_EXCEEDED"})
        return super().execute_fields(*given, **named)


def _is_kept(document: str | None) -> bool:
    return len(document or "") <= MAX_KEPT


schema = QuietSchema(
    query=RootQuery,
    subscription=Subscription,
    execution_context_class=TimedExecution,
    # Nothing is guessed for a client that errs: each wrong name would cost a comparison with every right one.
    config=StrawberryConfig(disable_field_suggestions=True),
    extensions=[
        CodedErrors,
        NamesOperation,
        lambda: MaxTokensLimiter(LIMITS.tokens),
        ParsedOnce,
        lambda: AddValidationRules(list(RULES)),
        ValidatedOnce,
        SocketsSubscribe,
    ],
)
"""What /graphql serves."""

ROOT_FIELDS = frozenset(schema._schema.query_type.fields)  # type: ignore[union-attr]  # noqa: SLF001
"""Names of the fields of Query."""


if __name__ == "__main__":
    print(print_schema(schema))
