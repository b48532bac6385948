"""Execution of queries with a short way for the many fields that are attributes of an object.

graphql-core makes an info object, calls a resolver and looks for awaitables for each of them, which for a list of 20
voxels with labels is half of the answer's time. Here such a field is read and checked; all others go the usual way.
"""

from functools import lru_cache
from typing import Any, NamedTuple

from graphql import GraphQLError, GraphQLLeafType, GraphQLObjectType, get_nullable_type, is_leaf_type
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField


class Attribute(NamedTuple):
    """A field that is an attribute with a scalar or an enum in it."""

    name: str
    kind: GraphQLLeafType


class Execution(StrawberryGraphQLCoreExecutionContext):
    """What strawberry executes by, with the short way."""

    def execute_field(
        self, parent_type: GraphQLObjectType, source: Any, field_details_list: Any, path: Any, position_context: Any
    ) -> Any:
        """The value of a field; None where it is null."""
        attribute = attributes(parent_type).get(field_details_list[0].node.name.value)
        if attribute is not None:
            try:
                return self.complete_leaf_value(attribute.kind, getattr(source, attribute.name))
            except (AttributeError, GraphQLError, TypeError, ValueError):
                pass  # the usual way meets the same null or the same error, and treats it as it should
        return super().execute_field(parent_type, source, field_details_list, path, position_context)


@lru_cache(maxsize=256)
def attributes(kind: GraphQLObjectType) -> dict[str, Attribute]:
    """The fields of a type that are attributes, by their GraphQL names."""
    found = {}
    for name, field in kind.fields.items():
        declared = (field.extensions or {}).get("strawberry-definition")
        leaf = get_nullable_type(field.type)
        if isinstance(declared, StrawberryField) and declared.is_basic_field and is_leaf_type(leaf) and not field.args:
            found[name] = Attribute(declared.python_name, leaf)
    return found
