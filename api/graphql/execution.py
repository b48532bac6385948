"""Execution of queries with a short way for the many fields that are attributes of an object.

graphql-core makes an info object, calls a resolver and looks for awaitables for each of them, which for a list of 20
voxels with labels is two thirds of the answer's time. Here such a field is read and checked. So is a list that a method
gives, whose arguments are read once and not for each of 20 voxels. Others go the usual way.
"""

from contextlib import suppress
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import strawberry
from graphql import (
    GraphQLError,
    GraphQLField,
    GraphQLLeafType,
    GraphQLObjectType,
    get_argument_values,
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


class Method(NamedTuple):
    """A field that a method answers with a list of objects, and whose arguments are scalars and enums."""

    field: StrawberryField
    definition: GraphQLField
    parameters: dict[str, str]
    """Name of an argument → name of the method's parameter."""
    kind: GraphQLObjectType
    """Of the objects."""


class Execution(StrawberryGraphQLCoreExecutionContext):
    """What strawberry executes by, with the short way for single fields and for lists of objects."""

    def execute_field(
        self, parent_type: GraphQLObjectType, source: Any, field_details_list: Any, path: Any, position_context: Any
    ) -> Any:
        """The value of a field; None where it is null."""
        name = field_details_list[0].node.name.value
        attribute = attributes(parent_type).get(name)
        if attribute is not None:
            try:
                return self._value(source, attribute)
            except _REFUSED:
                pass
        method = methods(parent_type).get(name)
        wanted = self._attributes_only(method.kind, field_details_list) if method is not None else None
        if method is not None and wanted and field_details_list[0].fragment_variable_values is None:
            # Whatever fails: the usual way meets the same, and reports it as it should.
            with suppress(Exception):
                return self._listed(source, method, wanted, parent_type, field_details_list, path)
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

    def _listed(
        self,
        source: Any,
        method: Method,
        wanted: list[tuple[str, Attribute]],
        parent_type: GraphQLObjectType,
        field_details_list: Any,
        path: Any,
    ) -> list[dict[str, Any]]:
        """The wanted attributes of what a method answers; its arguments are read once for all objects."""
        details = field_details_list[0]
        arguments = self._arguments.get(id(details.node))
        if arguments is None:
            given = get_argument_values(method.definition, details.node, self.variable_values)
            arguments = {method.parameters[name]: value for name, value in given.items()}
            self._arguments[id(details.node)] = arguments
        nodes = [one.node for one in field_details_list]
        raw = self.build_resolve_info(method.definition, nodes, parent_type, path)
        info = strawberry.Info(_raw_info=raw, _field=method.field)
        items = method.field.base_resolver(source, info=info, **arguments)  # type: ignore[misc]
        if not isinstance(items, list):
            raise TypeError(details.node.name.value)
        return [{key: self._value(item, attribute) for key, attribute in wanted} for item in items]

    @cached_property
    def _arguments(self) -> dict[int, dict[str, Any]]:
        """Arguments of the fields of this operation, by the id of the field's node."""
        return {}

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


@lru_cache(maxsize=256)
def methods(kind: GraphQLObjectType) -> dict[str, Method]:
    """The fields of a type that methods answer with lists of objects, by their GraphQL names."""
    found = {}
    for name, field in kind.fields.items():
        declared = (field.extensions or {}).get("strawberry-definition")
        if not isinstance(declared, StrawberryField) or declared.base_resolver is None or declared.is_async:
            continue
        whole = get_nullable_type(field.type)
        item = get_nullable_type(whole.of_type) if is_list_type(whole) else None
        scalars = all(is_leaf_type(get_nullable_type(argument.type)) for argument in field.args.values())
        info = declared.base_resolver.info_parameter
        if is_object_type(item) and scalars and not declared.extensions and info is not None and info.name == "info":
            parameters = {
                key: argument.extensions["strawberry-definition"].python_name for key, argument in field.args.items()
            }
            found[name] = Method(declared, field, parameters, item)
    return found
