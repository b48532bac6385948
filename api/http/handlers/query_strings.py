"""What query strings ask for."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from ....atlas.search.filters import Limits
from ....schemas.errors import BadInputError
from ...graphql.uploaded_images import read_image
from ...maps.group.group_maps import GroupRequest
from ...maps.value_maps import MapRequest


def map_request(request: Request, *others: str) -> MapRequest:
    """What a map's query string, which may have other parameters, too, or a picture in the body asks for.

    Raises:
        BadInputError: an unknown parameter, a number that is none, or what is no picture.
    """
    picture = read_image(request.state.body) if request.method == "POST" else None
    return MapRequest(**_arguments(request, MapRequest, others), picture=picture)


def group_request(request: Request) -> GroupRequest:
    """What the query string of a group's map asks for; `models` are ids between commas.

    Raises:
        BadInputError: no concept, an unknown parameter, or a number that is none.
    """
    given = _arguments(request, GroupRequest, ())
    if not given.get("concept"):
        raise BadInputError("A group's map is of a concept; name one.")
    models = tuple(filter(None, str(given.pop("models", "")).split(",")))
    return GroupRequest(**given, models=models)


def _arguments(request: Request, kind: type[Limits], others: Sequence[str]) -> dict[str, Any]:
    """The fields of a request as its query string gives them."""
    given: dict[str, Any] = {name: value for name, value in request.query_params.items() if name not in others}
    fields = [name for name in kind.__dataclass_fields__ if name != "picture"]
    unknown = set(given) - set(fields)
    if unknown:
        raise BadInputError(f"No parameter {min(unknown)[:40]!r}; known are {', '.join((*fields, *others))}.")
    for name in ("lo", "hi", "min_z", "max_q", "group_q", "smooth"):
        if name in given:
            try:
                given[name] = float(given[name])
            except ValueError:
                raise BadInputError(f"{name} must be a number.") from None
    defaults = {"significant": False, "specific": False, "semantic": True, "null_band": False}
    switches = {name: default for name, default in defaults.items() if name in fields}
    return given | {name: switch(given.get(name), default=default) for name, default in switches.items()}


def switch(text: str | None, *, default: bool) -> bool:
    """Whether a parameter that is on or off is on."""
    return default if text is None else text not in ("", "0", "false")
