"""The schema as a whole. `python -m api.graphql.schema` writes schemas/schema.graphql; `--release` a release's, too."""

import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import strawberry
from graphql import GraphQLError, build_schema, find_breaking_changes
from strawberry.extensions import AddValidationRules, MaxTokensLimiter, ParserCache, SchemaExtension, ValidationCache
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig

from ...schemas.errors import BadInputError
from .error_codes import CodedErrors, SocketsSubscribe
from .execution import Execution
from .query import Query
from .query_limits import MAX_KEPT, MAX_TOKENS, RULES
from .types.progress_subscription import Subscription

PUBLISHED = Path(__file__).parents[2] / "schemas" / "schema.graphql"
RELEASED = PUBLISHED.with_name("released.graphql")
"""The schema of the last release, which clients out there rely on."""


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


def _is_kept(document: str | None) -> bool:
    return len(document or "") <= MAX_KEPT


schema = QuietSchema(
    query=Query,
    subscription=Subscription,
    execution_context_class=Execution,
    # Nothing is guessed for a client that errs: each wrong name would cost a comparison with every right one.
    config=StrawberryConfig(disable_field_suggestions=True),
    extensions=[
        CodedErrors,
        NamesOperation,
        lambda: MaxTokensLimiter(MAX_TOKENS),
        ParsedOnce,
        lambda: AddValidationRules(list(RULES)),
        ValidatedOnce,
        SocketsSubscribe,
    ],
)
"""What /graphql serves."""

ROOT_FIELDS = frozenset(schema._schema.query_type.fields)  # type: ignore[union-attr]  # noqa: SLF001
"""Names of the fields of Query."""


def sdl() -> str:
    """The schema in GraphQL's own language."""
    return print_schema(schema) + "\n"


def breaking_changes(published: str, proposed: str) -> list[str]:
    """What would break clients of the published schema, one sentence each."""
    return [change.description for change in find_breaking_changes(build_schema(published), build_schema(proposed))]


def publish(path: Path = PUBLISHED, *, break_clients: bool = False) -> None:
    """Write the schema.

    Raises:
        BadInputError: That would break clients, and this was not asked for.
    """
    if path.exists() and not break_clients:
        changes = breaking_changes(path.read_text(encoding="utf-8"), sdl())
        if changes:
            raise BadInputError(f"This would break clients: {'; '.join(changes)}. Pass --break to do so all the same.")
    path.write_text(sdl(), encoding="utf-8")


def release(path: Path = RELEASED) -> None:
    """Keep the present schema as that of the last release; part of making one."""
    path.write_text(f"# The schema of voxel-atlas {version('voxel-atlas')}.\n{sdl()}", encoding="utf-8")


if __name__ == "__main__":
    if "--release" in sys.argv[1:]:
        release()
    publish(break_clients="--break" in sys.argv[1:])
