"""What a query may ask for at most, checked before anything runs.

Depth, aliases, directives and cost are computed bottom-up and once per fragment, so a document in which every
fragment spreads the next one twice is measured in linear time (walking it naively takes 2^n steps).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from graphql import (
    ASTValidationRule,
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    InlineFragmentNode,
    IntValueNode,
    MaxIntrospectionDepthRule,
    OperationDefinitionNode,
    SelectionSetNode,
    Undefined,
    ValidationContext,
    ValidationRule,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

MAX_FIRST = 100
"""Items on one page of any list."""
MAX_DEPTH = 12
"""Levels of nested fields."""
MAX_NESTING = 60
"""Levels of fields and fragments that are looked into; what is deeper counts as too deep."""
MAX_ALIASES = 30
"""Aliased fields in one operation, each fragment counted as often as it is spread."""
MAX_DIRECTIVES = 50
"""Directives in one operation, counted the same way."""
MAX_TOKENS = 2000
"""Words and marks in one document."""
MAX_KEPT = 2**14
"""Letters of a document that is kept for the next time that it is asked."""
MAX_COST = 50_000
"""Objects that an operation could return at worst."""
UNPAGED = 50
"""Items that a list without `first` (models, ROIs …) is taken to have."""


@dataclass(frozen=True)
class Measure:
    """The size of a selection."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    cost: int = 0

    def beside(self, other: "Measure") -> "Measure":
        """Two selections next to each other."""
        return Measure(
            max(self.depth, other.depth),
            self.aliases + other.aliases,
            self.directives + other.directives,
            self.cost + other.cost,
        )


class LimitRule(ValidationRule):
    """Refuses operations over a limit, with one sentence that names it."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._measured: dict[tuple[str, int], Measure] = {}
        self._measuring: set[str] = set()
        self._level = 0

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> None:
        """Measures the operation and reports the limits that it breaks."""
        root = self.context.schema.get_root_type(node.operation)
        if root is None:
            return
        measure = self._selections(node.selection_set, root, UNPAGED)
        for found, allowed, what in (
            (measure.depth, MAX_DEPTH, "levels of fields"),
            (measure.aliases, MAX_ALIASES, "aliased fields"),
            (measure.directives + len(node.directives or ()), MAX_DIRECTIVES, "directives"),
            (measure.cost, MAX_COST, "objects at worst"),
        ):
            if found > allowed:
                message = f"This query asks for {found} {what}, {allowed} are allowed; ask for less at once"
                self.report_error(GraphQLError(message, [node], extensions={"code": "LIMIT_EXCEEDED"}))

    def _selections(self, selection_set: SelectionSetNode | None, parent: GraphQLNamedType, page: int) -> Measure:
        if self._level > MAX_NESTING:
            return Measure(depth=MAX_NESTING)
        self._level += 1
        total = Measure()
        for node in selection_set.selections if selection_set else ():
            total = total.beside(Measure(directives=len(node.directives or ())))
            if isinstance(node, FieldNode):
                total = total.beside(self._field(node, parent, page))
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                kind = self.context.schema.get_type(condition.name.value) if condition else parent
                total = total.beside(self._selections(node.selection_set, kind or parent, page))
            elif isinstance(node, FragmentSpreadNode):
                total = total.beside(self._fragment(node.name.value, page))
        self._level -= 1
        return total

    def _fragment(self, name: str, page: int) -> Measure:
        fragment = self.context.get_fragment(name)
        # Unknown fragments and cycles are reported by GraphQL's own rules; here they only must not count for ever.
        if fragment is None or name in self._measuring:
            return Measure()
        key = (name, page)
        if key not in self._measured:
            kind = self.context.schema.get_type(fragment.type_condition.name.value)
            if kind is None:
                return Measure()
            self._measuring.add(name)
            self._measured[key] = self._selections(fragment.selection_set, kind, page)
            self._measuring.discard(name)
        return self._measured[key]

    def _field(self, node: FieldNode, parent: GraphQLNamedType, page: int) -> Measure:
        aliases = 1 if node.alias else 0
        name = node.name.value
        if name.startswith("__"):
            # Introspection has its own rule; it reads a schema of fixed size.
            return Measure(1, aliases + self._names(node.selection_set), 0, 0)
        fields = parent.fields if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else {}
        definition = fields.get(name)
        if definition is None:
            return Measure(1, aliases)
        kind = get_named_type(definition.type)
        if not is_composite_type(kind):
            return Measure(1, aliases)
        listed = is_list_type(get_nullable_type(definition.type))
        # A connection's `first` bounds its `edges`; a plain list's bounds itself.
        page = _first(node, definition, page if name == "edges" else UNPAGED)
        inner = self._selections(node.selection_set, kind, page)
        cost = (page if listed else 1) * (1 + inner.cost)
        return Measure(1 + inner.depth, aliases + inner.aliases, inner.directives, cost)

    def _names(self, selection_set: SelectionSetNode | None) -> int:
        """Aliases inside an introspection field, fragments left out (GraphQL's rule looks into those)."""
        nodes: list[Any] = list(selection_set.selections) if selection_set else []
        count = 0
        while nodes:
            node = nodes.pop()
            count += 1 if getattr(node, "alias", None) else 0
            inner = getattr(node, "selection_set", None)
            nodes.extend(inner.selections if inner else ())
        return count


def _first(node: FieldNode, definition: GraphQLField, otherwise: int) -> int:
    argument = definition.args.get("first")
    if argument is None:
        return otherwise
    for given in node.arguments or ():
        if given.name.value == "first":
            # A variable's value is not known here: the worst is assumed.
            return min(int(given.value.value), MAX_FIRST) if isinstance(given.value, IntValueNode) else MAX_FIRST
    return MAX_FIRST if argument.default_value in (None, Undefined) else int(argument.default_value)


RULES: Iterable[type[ASTValidationRule]] = (MaxIntrospectionDepthRule, LimitRule)
"""The rules that every document passes before it runs."""
