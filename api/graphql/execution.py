"""Execution of queries with a short way for the many fields that are attributes of an object.

graphql-core makes an info object, calls a resolver and looks for awaitables for each of them, which for a list of 20
voxels with labels is two thirds of the answer's time. Here such a field is read and checked; others go the usual way.
"""

from functools import lru_cache
from typing import Any, NamedTuple

from graphql import (
    GraphQLError,
    GraphQLLeafType,
    GraphQLObjectType,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField

_REFUSED = (AttributeError, GraphQLError, TypeError, ValueError)
"""What reading an attribute may raise. The usual way meets the same, and reports it as it should."""


class Attribute(NamedTuple):
    """A field that is an attribute with a scalar or an enum in it, or with a list of them."""

    name: str
    kind: GraphQLLeafType
    nullable: bool
    listed: bool


class Execution(StrawberryGraphQLCoreExecutionContext):
    """What strawberry executes by, with the short way for single fields and for lists of objects."""

    def execute_field(
        self, parent_type: GraphQLObjectType, source: Any, field_details_list: Any, path: Any, position_context: Any
    ) -> Any:
        """The value of a field; None where it is null."""
        attribute = attributes(parent_type).get(field_details_list[0].node.name.value)
        if attribute is not None:
            try:
                return self._value(source, attribute)
            except _REFUSED:
                pass
        return super().execute_field(parent_type, source, field_details_list, path, position_context)

    def complete_iterable_value(
        self, item_type: Any, field_details_list: Any, info: Any, path: Any, items: Any, position_context: Any
    ) -> Any:
        """The items of a list."""
        kind = get_nullable_type(item_type)
        if is_object_type(kind) and isinstance(items, list):
            wanted = self._attributes_only(kind, field_details_list)
            if wanted:
                try:
                    return [{key: self._value(item, attribute) for key, attribute in wanted} for item in items]
                except _REFUSED:
                    pass
        return super().complete_iterable_value(item_type, field_details_list, info, path, items, position_context)

    def _attributes_only(self, kind: GraphQLObjectType, field_details_list: Any) -> list[tuple[str, Attribute]] | None:
        """What is asked of each object, by its name in the answer; None where anything is more than an attribute."""
        grouped, deferred, _ = self.collect_subfields(kind, field_details_list)
        known = attributes(kind)
        wanted = [(key, known.get(details[0].node.name.value)) for key, details in grouped.items()]
        if deferred or any(attribute is None for _, attribute in wanted):
            return None
        return [(key, attribute) for key, attribute in wanted if attribute is not None]

    def _value(self, source: Any, attribute: Attribute) -> Any:
        value = getattr(source, attribute.name)
        if value is None and attribute.nullable:
            return None
        if attribute.listed:
            if not isinstance(value, list):
                raise TypeError(attribute.name)
            return [self.complete_leaf_value(attribute.kind, item) for item in value]
        return self.complete_leaf_value(attribute.kind, value)


@lru_cache(maxsize=256)
def attributes(kind: GraphQLObjectType) -> dict[str, Attribute]:
    """The fields of a type that are attributes, by their GraphQL names."""
    found = {}
    for name, field in kind.fields.items():
        declared = (field.extensions or {}).get("strawberry-definition")
        whole = get_nullable_type(field.type)
        listed = is_list_type(whole)
        leaf = get_nullable_type(whole.of_type) if listed else whole
        if isinstance(declared, StrawberryField) and declared.is_basic_field and is_leaf_type(leaf) and not field.args:
            found[name] = Attribute(declared.python_name, leaf, not is_non_null_type(field.type), listed)
    return found
