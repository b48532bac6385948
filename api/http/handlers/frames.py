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
from ...graphql.uploaded_images import decode_image

_MEDIA_TYPE = "application/vnd.apache.arrow.file"
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
        asked = self._atlas.model(arguments.pop("model", None)) if question in MODEL_QUESTIONS else self._atlas
        answer = _QUESTIONS[question](asked, **arguments)
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
            kind = Annotated[Any, BeforeValidator(_picture)] if picture else parameter.annotation
            fields[name] = (kind, ... if parameter.default is parameter.empty else parameter.default)
    return create_model(question, __config__=ConfigDict(extra="forbid"), **fields)


def _picture(text: object) -> Any:
    if text is None:
        return None
    if not isinstance(text, str):
        raise BadInputError("The image must be a file in base64.")
    return decode_image(text)
