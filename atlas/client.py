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
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
from PIL import Image as Pictures

from ..schemas.errors import AtlasError, NotFoundError, StoreError
from .backbones.interface import Image
from .search.atlas import Atlas, SubjectRow, Volume, atlas_html, subject_of
from .search.model import Model
from .search.tables.model_row import ModelRow, full_id
from .store.address import Address
from .store.remote import connected, error_of, stranger
from .store.serving import find_server

if TYPE_CHECKING:
    import httpx

ATLAS_QUESTIONS: Mapping[str, Callable[..., Any]] = {
    question.__name__: question
    for question in (Atlas.subjects, Atlas.rois, Atlas.places, Atlas.models, Atlas.runs, Atlas.stages)
}
"""What a server answers of an atlas."""
MODEL_QUESTIONS: Mapping[str, Callable[..., Any]] = {
    question.__name__: question
    for question in (
        Model.similar,
        Model.map,
        Model.roi_table,
        Model.null_band,
        Model.concept_matrix,
        Model.contrast,
        Model.contrast_regions,
        Model.neighbours,
        Model.metric_map,
        Model.predict,
        Model.nearest_concepts,
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
_JSON = {"content-type": "application/json"}
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
        raise _unanswered(ATLAS_QUESTIONS, name)  # what is answered is a method, see below

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"

    def _repr_html_(self) -> str:
        return atlas_html(self.address, self.subjects(), self.models())

    def subject(self, subject_id: str) -> SubjectRow:
        """The row of one subject in the table `subject`.

        Raises:
            NotFoundError: no such subject.
        """
        return subject_of(self.subjects(), subject_id)

    def volume(self, subject_id: str) -> Volume:
        """Where a subject's voxels are in its volume or on its surface.

        Raises:
            NotFoundError: no such subject, or its voxels' places are not known.
        """
        return Volume.of(self.subject(subject_id), self.places(subject_id))

    def model(self, model_id: str | None = None) -> "RemoteModel":
        """One encoding model by its id, or a part of that; None for the newest finished one.

        Raises:
            NotFoundError: no such model; the message lists those that there are.
        """
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
        # With NaN and Infinity as Python writes them: the server says what is wrong with them.
        body = json.dumps({name: _encoded(value) for name, value in arguments.items()})
        response = self._sent("POST", f"/frames/{question.__name__}", content=body, headers=_JSON)
        frame = pl.read_ipc(io.BytesIO(response.content))
        kind = signature.return_annotation
        return frame if kind is pl.DataFrame else kind(frame, **json.loads(response.headers[ABOUT]))

    def fetch(self, path: str, *, content: bytes | None = None, **query: str | float) -> bytes:
        """What the server has at an address: a picture, say; or what it makes of some content that is sent there.

        Raises:
            AtlasError: as the server answers.
            StoreError: it does not answer, or wants a token.
        """
        return self._sent("GET" if content is None else "POST", path, params=query or None, content=content).content

    def graphql(self, query: str, variables: Mapping[str, Any]) -> Any:
        """The data of a GraphQL query; errors as in `fetch`."""
        response = self._sent("POST", "/graphql", json={"query": query, "variables": variables})
        answer = response.json()
        if answer.get("errors"):
            raise error_of(response, self.address)
        return answer["data"]

    def _sent(self, method: str, path: str, **more: Any) -> "httpx.Response":
        import httpx  # only who asks a server need wait for it

        try:
            response = self._client.request(method, path, **more)
        except httpx.HTTPError as error:
            raise StoreError(
                f"{self.address}: no server answers there ({error}); start `voxel-atlas serve`."
            ) from error
        if response.status_code != 200:
            raise error_of(response, self.address)
        return response


@dataclass(frozen=True, eq=False, kw_only=True)
class RemoteModel(ModelRow):
    """A model of a server's atlas. It answers `MODEL_QUESTIONS` as `Model` does: same arguments, answers and errors."""

    atlas: RemoteAtlas = field(repr=False)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise _unanswered(MODEL_QUESTIONS, name)


def _unanswered(questions: Mapping[str, Callable[..., Any]], name: str) -> AttributeError:
    return AttributeError(f"{name!r} is not answered over HTTP; {', '.join(sorted(questions))} are.")


def _of_atlas(question: Callable[..., Any]) -> Callable[..., Any]:
    """The method of `RemoteAtlas` that asks a question, with its name, arguments and documentation."""

    @wraps(question)
    def asked(self: RemoteAtlas, *values: Any, **named: Any) -> Any:
        return self.ask(question, *values, **named)

    return asked


def _of_model(question: Callable[..., Any]) -> Callable[..., Any]:
    """The same of `RemoteModel`."""

    @wraps(question)
    def asked(self: RemoteModel, *values: Any, **named: Any) -> Any:
        return self.atlas.ask(question, *values, model=self.model_id, **named)

    return asked


for _name, _question in ATLAS_QUESTIONS.items():
    setattr(RemoteAtlas, _name, _of_atlas(_question))
for _name, _question in MODEL_QUESTIONS.items():
    setattr(RemoteModel, _name, _of_model(_question))


def running(address: str) -> RemoteAtlas | None:
    """The server that has an atlas file open on this machine, for who only asks; None where none answers.

    Its networks and indexes are loaded.
    """
    parsed = Address.parse(address)
    server = find_server(Path(parsed.target)) if parsed.kind == "file" else None
    if server is None or not server.url:
        return None
    try:
        return RemoteAtlas(server.url, token=server.visitor)
    except AtlasError:
        return None  # it starts or ends just now


def png(picture: Image) -> bytes:
    """A picture as a file that loses nothing."""
    file = io.BytesIO()
    Pictures.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def _encoded(value: Any) -> Any:
    """An argument as JSON has it; a picture as a PNG in base64."""
    if isinstance(value, np.ndarray) and value.ndim == 3:
        return base64.b64encode(png(value)).decode()
    if isinstance(value, np.ndarray | pl.Series):
        return value.to_list() if isinstance(value, pl.Series) else value.tolist()
    return list(value) if isinstance(value, range) else value
