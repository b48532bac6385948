"""What query strings ask for."""

from starlette.requests import Request

from ....schemas.errors import BadInputError
from ...maps.value_maps import MapRequest


def map_request(request: Request, *others: str) -> MapRequest:
    """What a map's query string asks for; it may have other parameters, too.

    Raises:
        BadInputError: an unknown parameter, or a number that is none.
    """
    given = {name: value for name, value in request.query_params.items() if name not in others}
    unknown = set(given) - set(MapRequest.__dataclass_fields__)
    if unknown:
        known = ", ".join((*MapRequest.__dataclass_fields__, *others))
        raise BadInputError(f"No parameter {min(unknown)[:40]!r}; known are {known}.")
    numbers: dict[str, float] = {}
    for name in ("lo", "hi", "min_z", "max_q"):
        if name in given:
            try:
                numbers[name] = float(given.pop(name))
            except ValueError:
                raise BadInputError(f"{name} must be a number.") from None
    defaults = {"significant": False, "specific": False, "semantic": True}
    switches = {name: switch(given.pop(name, None), default=default) for name, default in defaults.items()}
    return MapRequest(**given, **numbers, **switches)  # type: ignore[arg-type]


def switch(text: str | None, *, default: bool) -> bool:
    """Whether a parameter that is on or off is on."""
    return default if text is None else text not in ("", "0", "false")
