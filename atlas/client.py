"""An atlas that a server answers for over HTTP: the same questions, and the same frames as answers.

The server runs the methods of `Atlas` and `Model`, and frames come as Arrow: a number over HTTP is, bit for bit, the
one of the file.
"""

import base64
import inspect
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import httpx
import numpy as np
import polars as pl
from PIL import Image as Pictures

from ..schemas.errors import NotFoundError, StoreError
from .search.atlas import Atlas
from .search.model import Model
from .search.tables.model_row import ModelRow, full_id
from .store.remote import connected, error_of, stranger

ATLAS_QUESTIONS: Mapping[str, Callable[..., Any]] = {
    question.__name__: question for question in (Atlas.subjects, Atlas.rois, Atlas.models, Atlas.runs, Atlas.stages)
}
"""What a server answers of an atlas."""
MODEL_QUESTIONS: Mapping[str, Callable[..., Any]] = {
    question.__name__: question
    for question in (
        Model.similar,
        Model.map,
        Model.roi_table,
        Model.neighbours,
        Model.metric_map,
        Model.predict,
        Model.voxels,
        Model.voxel_labels,
        Model.top_images,
        Model.labels,
        Model.label,
        Model.label_voxels,
        Model.label_neighbours,
        Model.label_rois,
        Model.roi_top_labels,
        Model.compare,
    )
}
"""What it answers of a model, whose id comes with the arguments as `model`."""
ABOUT = "voxel-atlas"
"""Header with what an answer says besides its frame, as JSON."""


class RemoteAtlas:
    """An open connection to a server. It answers `ATLAS_QUESTIONS` as `Atlas` does: same arguments, frames and errors.

    >>> with RemoteAtlas("http://127.0.0.1:8765") as atlas:
    ...     atlas.model().similar("cake", first=5).frame
    """

    def __init__(self, url: str, *, token: str = "") -> None:
        """Connect.

        Args:
            url: of the server: http://HOST:PORT, or https://….
            token: what it asks for; empty for none.

        Raises:
            BadInputError: it is no such address.
            StoreError: no server of an atlas answers there.
        """
        self.address = url
        self._client = connected(url, token)
        try:
            self.subjects()
        except NotFoundError:
            self.close()
            raise stranger(url) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self.ask, _question(ATLAS_QUESTIONS, name))

    def model(self, model_id: str | None = None) -> "RemoteModel":
        """As `Atlas.model`."""
        models = self.models()
        wanted = full_id(models["model_id"].to_list(), model_id, self.address)
        return RemoteModel(**models.row(by_predicate=pl.col("model_id") == wanted, named=True), atlas=self)

    def ask(self, question: Callable[..., Any], *values: Any, model: str | None = None, **named: Any) -> Any:
        """Have the server call a method, and give what that gives.

        Args:
            question: of `ATLAS_QUESTIONS` or `MODEL_QUESTIONS`.
            *values: its arguments.
            model: model id, for one of the latter.
            **named: its arguments by name.

        Raises:
            AtlasError: as the method raises it.
            StoreError: the server does not answer, or wants a token.
        """
        signature = inspect.signature(question, eval_str=True)
        arguments = {**signature.bind(self, *values, **named).arguments, **({} if model is None else {"model": model})}
        del arguments["self"]
        try:
            # With NaN and Infinity as Python writes them: the server says what is wrong with them.
            body = json.dumps({name: _encoded(value) for name, value in arguments.items()})
            json_type = {"content-type": "application/json"}
            response = self._client.post(f"/frames/{question.__name__}", content=body, headers=json_type)
        except httpx.HTTPError as error:
            raise StoreError(
                f"{self.address}: no server answers there ({error}); start `voxel-atlas serve`."
            ) from error
        if response.status_code != 200:
            raise error_of(response, self.address)
        frame = pl.read_ipc(io.BytesIO(response.content))
        kind = signature.return_annotation
        return frame if kind is pl.DataFrame else kind(frame, **json.loads(response.headers[ABOUT]))


@dataclass(frozen=True, eq=False, kw_only=True)
class RemoteModel(ModelRow):
    """A model of a server's atlas. It answers `MODEL_QUESTIONS` as `Model` does: same arguments, answers and errors."""

    atlas: RemoteAtlas = field(repr=False)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self.atlas.ask, _question(MODEL_QUESTIONS, name), model=self.model_id)


def _question(questions: Mapping[str, Callable[..., Any]], name: str) -> Callable[..., Any]:
    if name not in questions:
        raise AttributeError(f"{name!r} is not answered over HTTP; {', '.join(sorted(questions))} are.")
    return questions[name]


def _encoded(value: Any) -> Any:
    """An argument as JSON has it; a picture as a PNG in base64."""
    if isinstance(value, np.ndarray) and value.ndim == 3:
        file = io.BytesIO()
        Pictures.fromarray(value).save(file, "PNG")
        return base64.b64encode(file.getvalue()).decode()
    if isinstance(value, np.ndarray | pl.Series):
        return value.to_list() if isinstance(value, pl.Series) else value.tolist()
    return list(value) if isinstance(value, range) else value
