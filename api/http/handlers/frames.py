"""Frames for programs: `POST /frames/QUESTION` runs a method of `Atlas` or `Model` and answers with Arrow."""

import functools
import inspect
import io
import json
from typing import Annotated, Any

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model
from starlette.requests import Request
from starlette.responses import Response

from ....atlas.backbones.interface import Image
from ....atlas.client import ABOUT, ATLAS_QUESTIONS, MODEL_QUESTIONS
from ....atlas.search.atlas import Atlas
from ....schemas.errors import BadInputError, NotFoundError
from ....schemas.limits import LIMITS
from ...graphql.uploaded_images import decode_image

_MEDIA_TYPE = "application/vnd.apache.arrow.file"
_MOST_COLUMNS = 25
"""Columns of the widest frame."""
_QUESTIONS = {**ATLAS_QUESTIONS, **MODEL_QUESTIONS}


class Frames:
    """Answers the questions that `atlas.client.RemoteAtlas` asks, for any program that reads Arrow."""

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas

    def answer(self, request: Request) -> Response:
        """A frame, and in the header `voxel-atlas` what belongs to it, as JSON.

        Raises:
            NotFoundError: there is no such question.
            BadInputError: the body is not a JSON object of the question's arguments.
        """
        question = request.path_params["question"]
        if question not in _QUESTIONS:
            raise NotFoundError(f"There is no question {question[:40]!r}; there are {', '.join(sorted(_QUESTIONS))}.")
        try:
            given = _arguments(question).model_validate_json(request.state.body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "the body"
            raise BadInputError(f"{question}: {place[:60]}: {first['msg']}.") from None
        arguments = {name: getattr(given, name) for name in given.model_fields_set}
        _require_few_cells(question, given)
        asked = self._atlas.model(arguments.pop("model", None)) if question in MODEL_QUESTIONS else self._atlas
        try:
            answer = _QUESTIONS[question](asked, **arguments)
        except OverflowError:
            raise BadInputError(f"{question}: a number is too large for what it stands for.") from None
        about = {} if isinstance(answer, pl.DataFrame) else {**vars(answer)}
        frame: pl.DataFrame = about.pop("frame", answer)
        file = io.BytesIO()
        frame.write_ipc(file)
        return Response(file.getvalue(), 200, {ABOUT: json.dumps(about), "cache-control": "no-store"}, _MEDIA_TYPE)


@functools.cache
def _arguments(question: str) -> type[BaseModel]:
    """The arguments of a method as a pydantic model, and `model` where it is one of a model; pictures come as text."""
    fields: dict[str, Any] = {"model": (str | None, None)} if question in MODEL_QUESTIONS else {}
    for name, parameter in inspect.signature(_QUESTIONS[question], eval_str=True).parameters.items():
        if name != "self":
            picture = parameter.annotation in (Image, Image | None)
            decoded = _picture if parameter.annotation is Image else _picture_or_none
            kind = Annotated[Any, BeforeValidator(decoded)] if picture else parameter.annotation
            fields[name] = (kind, ... if parameter.default is parameter.empty else parameter.default)
    return create_model(question, __config__=ConfigDict(extra="forbid"), **fields)


def _require_few_cells(question: str, given: BaseModel) -> None:
    """Refuse an answer that would fill the memory.

    Raises:
        BadInputError: it would have more rows × columns than a server gives.
    """
    voxels, first = (getattr(given, name, None) for name in ("voxels", "first"))
    cells = _MOST_COLUMNS * (len(voxels) if voxels is not None else 1) * (first if isinstance(first, int) else 1)
    if cells > LIMITS.cells:
        raise BadInputError(
            f"{question}: this could give {cells:,} numbers, {LIMITS.cells:,} are allowed; ask for fewer voxels at "
            "once, or for fewer of each."
        )


def _picture_or_none(text: object) -> Any:
    return None if text is None else _picture(text)


def _picture(text: object) -> Any:
    if not isinstance(text, str):
        raise BadInputError("The image must be a file in base64.")
    return decode_image(text)
