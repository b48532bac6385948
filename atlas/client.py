"""An atlas that a server answers for over HTTP: the same questions, and the same frames as answers.

The server runs `Atlas`'s methods, and frames come as Arrow: a number over HTTP is, bit for bit, the one of the file.
"""

import base64
import inspect
import io
import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx
import numpy as np
import polars as pl
from PIL import Image as Pictures

from ..schemas.errors import AtlasError, BadInputError, BusyError, MissingWeightsError, NotFoundError, StoreError
from .backbones.interface import Image
from .search.atlas import Atlas, ConceptMap, VoxelHits

_ERRORS: Mapping[str, type[AtlasError]] = {
    "BAD_INPUT": BadInputError,
    "NOT_FOUND": NotFoundError,
    "MISSING_WEIGHTS": MissingWeightsError,
    "BUSY": BusyError,
}
"""Codes of answers and the errors that `Atlas` raises for them; all others become StoreError."""
_TIMEOUT_S = 120.0

ABOUT = "voxel-atlas"
"""Header with what an answer says besides its frame, as JSON."""


class RemoteAtlas:
    """An open connection to a server. Its methods are those of `Atlas`, with their arguments, answers and errors.

    >>> with RemoteAtlas("http://127.0.0.1:8765") as atlas:
    ...     atlas.similar_voxels("cake", first=5).frame
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
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.address = url
        try:
            self._client = httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S)
        except (httpx.InvalidURL, ValueError) as error:
            raise BadInputError(f"{url!r} is not the address of a server: {error}.") from None
        try:
            self._frame("subjects")
        except NotFoundError:
            self.close()
            raise self._stranger() from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def subjects(self) -> pl.DataFrame:
        """As `Atlas.subjects`."""
        return self._frame("subjects")

    def rois(self, subject_id: str | None = None) -> pl.DataFrame:
        """As `Atlas.rois`."""
        return self._frame("rois", subject_id=subject_id)

    def models(self) -> pl.DataFrame:
        """As `Atlas.models`."""
        return self._frame("models")

    def runs(self) -> pl.DataFrame:
        """As `Atlas.runs`."""
        return self._frame("runs")

    def stages(self) -> pl.DataFrame:
        """As `Atlas.stages`."""
        return self._frame("stages")

    def similar_voxels(
        self,
        concept: str | None = None,
        *,
        image: Image | None = None,
        voxel: int | None = None,
        model: str | None = None,
        rois: Sequence[str] = (),
        significant: bool = True,
        min_r2: float | None = None,
        by: str = "weights",
        readout: str | None = None,
        first: int = 20,
        after: tuple[float, int] | None = None,
    ) -> VoxelHits:
        """As `Atlas.similar_voxels`."""
        frame, about = self._ask(
            "similar_voxels",
            concept=concept,
            image=image,
            voxel=voxel,
            model=model,
            rois=list(rois),
            significant=significant,
            min_r2=min_r2,
            by=by,
            readout=readout,
            first=first,
            after=after,
        )
        return VoxelHits(frame, **about)

    def neighbours(self, voxels: Sequence[int], model: str | None = None, *, first: int = 10) -> pl.DataFrame:
        """As `Atlas.neighbours`."""
        return self._frame("neighbours", voxels=list(voxels), model=model, first=first)

    def concept_map(
        self,
        concept: str,
        *,
        model: str | None = None,
        by: str = "weights",
        readout: str | None = None,
        method: str | None = None,
    ) -> ConceptMap:
        """As `Atlas.concept_map`."""
        frame, about = self._ask("concept_map", concept=concept, model=model, by=by, readout=readout, method=method)
        return ConceptMap(frame, **about)

    def metric_map(self, metric: str, model: str | None = None) -> pl.DataFrame:
        """As `Atlas.metric_map`."""
        return self._frame("metric_map", metric=metric, model=model)

    def predict(
        self, image: Image, model: str | None = None, voxels: Sequence[int] | None = None, *, rois: Sequence[str] = ()
    ) -> pl.DataFrame:
        """As `Atlas.predict`."""
        some = None if voxels is None else list(voxels)
        return self._frame("predict", image=image, model=model, voxels=some, rois=list(rois))

    def voxels(self, model: str | None, voxels: Sequence[int]) -> pl.DataFrame:
        """As `Atlas.voxels`."""
        return self._frame("voxels", model=model, voxels=list(voxels))

    def voxel_labels(
        self, model: str | None, voxels: Sequence[int], *, method: str | None = None, first: int = 5
    ) -> pl.DataFrame:
        """As `Atlas.voxel_labels`."""
        return self._frame("voxel_labels", model=model, voxels=list(voxels), method=method, first=first)

    def top_images(self, model: str | None, voxels: Sequence[int], *, first: int = 10) -> pl.DataFrame:
        """As `Atlas.top_images`; `uri` is a path on the server's machine."""
        return self._frame("top_images", model=model, voxels=list(voxels), first=first)

    def labels(self, search: str = "", model: str | None = None, first: int = 50) -> pl.DataFrame:
        """As `Atlas.labels`."""
        return self._frame("labels", search=search, model=model, first=first)

    def label_voxels(self, lemma: str, model: str | None = None, *, first: int = 20) -> pl.DataFrame:
        """As `Atlas.label_voxels`."""
        return self._frame("label_voxels", lemma=lemma, model=model, first=first)

    def label_neighbours(self, lemma: str, model: str | None = None, *, first: int = 10) -> pl.DataFrame:
        """As `Atlas.label_neighbours`."""
        return self._frame("label_neighbours", lemma=lemma, model=model, first=first)

    def label_rois(self, lemma: str, model: str | None = None) -> pl.DataFrame:
        """As `Atlas.label_rois`."""
        return self._frame("label_rois", lemma=lemma, model=model)

    def roi_top_labels(
        self, roi: str, model: str | None = None, *, method: str | None = None, first: int = 10
    ) -> pl.DataFrame:
        """As `Atlas.roi_top_labels`."""
        return self._frame("roi_top_labels", roi=roi, model=model, method=method, first=first)

    def compare(self, model: str | None, method_a: str, method_b: str) -> pl.DataFrame:
        """As `Atlas.compare`."""
        return self._frame("compare", model=model, method_a=method_a, method_b=method_b)

    def _frame(self, question: str, **arguments: Any) -> pl.DataFrame:
        return self._ask(question, **arguments)[0]

    def _ask(self, question: str, **arguments: Any) -> tuple[pl.DataFrame, dict[str, Any]]:
        given = {name: _encoded(value) for name, value in arguments.items()}
        try:
            response = self._client.post(f"/frames/{question}", json=given)
        except httpx.HTTPError as error:
            raise StoreError(
                f"{self.address}: no server answers there ({error}); start `voxel-atlas serve`."
            ) from error
        if response.status_code != 200:
            raise self._error(response)
        return pl.read_ipc(io.BytesIO(response.content)), json.loads(response.headers[ABOUT])

    def _error(self, response: httpx.Response) -> AtlasError:
        try:
            error = response.json()["errors"][0]
            message, code = str(error["message"]), error["extensions"]["code"]
        except (ValueError, LookupError, TypeError):
            return self._stranger()
        return _ERRORS.get(code, StoreError)(message)

    def _stranger(self) -> StoreError:
        return StoreError(f"{self.address} answers, but it is no server of an atlas; give another address.")


def questions() -> frozenset[str]:
    """Methods of `Atlas` that a server answers as frames."""
    return frozenset(
        name
        for name, member in inspect.getmembers(RemoteAtlas, inspect.isfunction)
        if not name.startswith("_") and name != "close" and hasattr(Atlas, name)
    )


def _encoded(value: Any) -> Any:
    """An argument as JSON has it; a picture as a PNG in base64."""
    if not isinstance(value, np.ndarray):
        return value
    file = io.BytesIO()
    Pictures.fromarray(value).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
