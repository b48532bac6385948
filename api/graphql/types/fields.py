"""Fields with resolvers and enum values, both with a description that cannot be forgotten."""

from collections.abc import Callable
from typing import Any, cast

import strawberry
from strawberry.types.field import StrawberryField


def field(description: str, *, name: str | None = None) -> Callable[[Callable[..., Any]], StrawberryField]:
    """Make a method a field. strawberry's own decorator has no type that mypy --strict accepts."""
    return cast("Callable[[Callable[..., Any]], StrawberryField]", strawberry.field(description=description, name=name))


def subscription(description: str) -> Callable[[Callable[..., Any]], StrawberryField]:
    """Make an asynchronous generator a subscription."""
    return cast("Callable[[Callable[..., Any]], StrawberryField]", strawberry.subscription(description=description))


def choice(value: str, description: str) -> str:
    """A value of an enum, which other code sees as the plain text."""
    return cast("str", strawberry.enum_value(value, description=description))
