"""Fields with resolvers and enum values, both with a description that cannot be forgotten, and types filled by name."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar, cast

import strawberry
from strawberry.types.field import StrawberryField

Thing = TypeVar("Thing")


def field(description: str, *, name: str | None = None) -> Callable[[Callable[..., Any]], StrawberryField]:
    """Make a method a field. strawberry's own decorator has no type that mypy --strict accepts."""
    return cast("Callable[[Callable[..., Any]], StrawberryField]", strawberry.field(description=description, name=name))


def subscription(description: str) -> Callable[[Callable[..., Any]], StrawberryField]:
    """Make an asynchronous generator a subscription."""
    return cast("Callable[[Callable[..., Any]], StrawberryField]", strawberry.subscription(description=description))


def choice(value: str, description: str) -> str:
    """A value of an enum, which other code sees as the plain text."""
    return cast("str", strawberry.enum_value(value, description=description))


def filled(kind: type[Thing], *sources: Mapping[str, Any], **others: Any) -> Thing:
    """A value of a type, each of whose fields is what has its name; floats that GraphQL does not know are null.

    Args:
        kind: the type.
        sources: columns of a row or attributes of an object; of one name, the last counts.
        others: fields that have another name there, or none.
    """
    for source in reversed(sources):
        for name in _init_fields(cast("Any", kind)):
            if name not in others and name in source:
                others[name] = finite(source[name])
    return kind(**others)


@cache
def _init_fields(kind: Any) -> frozenset[str]:
    return frozenset(each.name for each in dataclasses.fields(kind) if each.init)


def finite(value: Any) -> Any:
    """The value, or None where it is NaN or infinite: GraphQL has no such floats."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
