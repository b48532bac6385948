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
    SchemaMetaFieldDef,
    SelectionSetNode,
    TypeMetaFieldDef,
    Undefined,
    ValidationContext,
    ValidationRule,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

from ...schemas.limits import LIMITS

MAX_NESTING = 60
"""Levels of fields and fragments that are looked into; what is deeper counts as too deep."""
MAX_KEPT = 2**14
"""Letters of a document that is kept for the next time that it is asked."""
UNPAGED = 50
"""Items that a list without `first` (models, ROIs …) is taken to have."""
INTROSPECTED = 4
"""Items that a list of introspection has on average, apart from that of all types: a type has 5 fields."""
_META = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}


@dataclass(frozen=True)
class Measure:
    """The size of a selection."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    cost: int = 0
    pictures: int = 0

    def beside(self, other: "Measure") -> "Measure":
        """Two selections next to each other."""
        return Measure(
            max(self.depth, other.depth),
            self.aliases + other.aliases,
            self.directives + other.directives,
            self.cost + other.cost,
            self.pictures + other.pictures,
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
            (measure.depth, LIMITS.depth, "levels of fields"),
            (measure.aliases, LIMITS.aliases, "aliased fields"),
            (measure.directives + len(node.directives or ()), LIMITS.directives, "directives"),
            (measure.cost, LIMITS.objects, "objects at worst"),
            (measure.pictures, LIMITS.pictures, "pictures that it sends along"),
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
        pictures = sum(argument.name.value == "image" for argument in node.arguments or ())
        fields = parent.fields if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else {}
        definition = _META.get(name) or fields.get(name)
        if definition is None:
            return Measure(1, aliases)
        kind = get_named_type(definition.type)
        if not is_composite_type(kind):
            return Measure(1, aliases, pictures=pictures)
        listed = is_list_type(get_nullable_type(definition.type))
        introspects = kind.name.startswith("__")
        if introspects:
            page = len(self.context.schema.type_map) if name == "types" else INTROSPECTED
        else:
            # A connection's `first` bounds its `edges`; a plain list's bounds itself.
            page = _first(node, definition, page if name == "edges" else UNPAGED)
        inner = self._selections(node.selection_set, kind, page)
        cost = (page if listed else 1) * (1 + inner.cost)
        depth = 1 if introspects else 1 + inner.depth  # introspection has a rule of its own for lists within lists
        return Measure(depth, aliases + inner.aliases, inner.directives, cost, pictures + inner.pictures)


def _first(node: FieldNode, definition: GraphQLField, otherwise: int) -> int:
    argument = definition.args.get("first")
    if argument is None:
        return otherwise
    for given in node.arguments or ():
        if given.name.value == "first":
            # A variable's value is not known here: the worst is assumed.
            digits = given.value.value if isinstance(given.value, IntValueNode) else ""
            # Where a number is none that a page can have, it is refused later, by whoever reads it.
            return min(int(digits), LIMITS.first) if digits.isdecimal() and len(digits) < 10 else LIMITS.first
    return LIMITS.first if argument.default_value in (None, Undefined) else int(argument.default_value)


RULES: Iterable[type[ASTValidationRule]] = (MaxIntrospectionDepthRule, LimitRule)
"""The rules that every document passes before it runs."""
