"""Who answers a notebook's questions: an atlas that is open in this process, or a server over HTTP."""

import asyncio
import secrets
import threading
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import SecretStr

from ...atlas.client import RemoteAtlas, RemoteModel, png
from ...atlas.search.atlas import Atlas, SubjectRow, Volume
from ...atlas.search.model import Model
from ...atlas.store.remote import error_of
from ...schemas.config import Settings
from ...schemas.errors import NotFoundError
from ...viz.render.card import card_png
from ...viz.surfaces.surface import Grid, Surface, load_surface
from ..maps.group.group_maps import GroupRequest, group_map
from ..maps.packed_arrays import unpack
from ..maps.rendering import RenderOptions, render
from ..maps.subject_cortex import CortexCache, LoadSurface, anatomical_affine, surfaces_cache
from ..maps.thumbnails import thumbnail
from ..maps.value_maps import MapRequest, value_map
from ..maps.voxel_card import voxel_card

Values = tuple[Mapping[str, Any], pl.DataFrame, NDArray[np.float32]]
"""What is told of a map (`ValueMap.about`), what the model answered, and a value for each of its rows, NaN for none."""


class Desk(ABC):
    """What a notebook's objects ask for, wherever their atlas is; surfaces are this machine's."""

    def __init__(self, settings: Settings, load: LoadSurface = load_surface) -> None:
        self.settings, self._load = settings, load

    @abstractmethod
    def model(self, model_id: str) -> Model | RemoteModel:
        """A model by its id, whose maps are plain frames."""

    @abstractmethod
    def values(self, request: MapRequest) -> Values:
        """A map's values."""

    @abstractmethod
    def picture(self, request: MapRequest, options: RenderOptions) -> bytes:
        """A map as a file."""

    @abstractmethod
    def group(self, request: GroupRequest) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]:
        """A group's map as `GroupMap.about` and `GroupMap.arrays` tell it."""

    @abstractmethod
    def group_picture(self, request: GroupRequest, options: RenderOptions) -> bytes:
        """It as a file."""

    @abstractmethod
    def card(self, model_id: str, voxel: int) -> bytes:
        """A voxel's card as a PNG."""

    @abstractmethod
    def thumbnail(self, stimulus_id: str, box: str) -> bytes:
        """A stimulus as a small JPEG; empty where its file is not at hand."""

    @abstractmethod
    def fetch(self, path: str) -> bytes:
        """What a server of the atlas has at an address.

        Raises:
            AtlasError: as the server answers.
        """

    @abstractmethod
    def volume(self, subject_id: str) -> Volume:
        """Where a subject's voxels are."""

    @abstractmethod
    def millimetres(self, subject_id: str) -> NDArray[np.float64]:
        """Where each voxel of a subject lies, (n_voxels, 3) x, y, z in mm by its number; NaN where nothing says it."""

    def surface(self, subject: SubjectRow) -> Surface:
        """The surface that a subject is shown on.

        Raises:
            NotFoundError: it has none, or it is not on this machine.
        """
        if not subject["surface"]:
            raise NotFoundError(f"Subject {subject['subject_id']!r} has no surface; a volume has to_nifti().")
        grid = Grid(tuple(subject["shape"] or ()), tuple(subject["affine"]) if subject["affine"] else None)
        cache = surfaces_cache(self.settings.home)
        return self._load(subject["surface"], subject["transform"], cache, self.settings.cortex_filestore, grid)

    def affine(self, subject: SubjectRow) -> NDArray[np.float64] | None:
        """Where a volume lies, as an export has it; None where this machine does not know the surface."""
        with suppress(NotFoundError):
            return anatomical_affine(self.settings, subject, self._load)
        return None


class LocalDesk(Desk):
    """Answers from an atlas that is open in this process; see Desk."""

    def __init__(self, atlas: Atlas, settings: Settings, load: LoadSurface = load_surface) -> None:
        super().__init__(settings, load)
        self._atlas, self._cortices = atlas, CortexCache(atlas, settings, load)

    def model(self, model_id: str) -> Model:
        """See Desk."""
        return Atlas.model(self._atlas, model_id)

    def values(self, request: MapRequest) -> Values:
        """See Desk."""
        mapped = value_map(self._atlas, request)
        return mapped.about, mapped.frame, mapped.values

    def picture(self, request: MapRequest, options: RenderOptions) -> bytes:
        """See Desk."""
        mapped = value_map(self._atlas, request)
        cortex = self._cortices.of(mapped.model.subject_id)
        return render(mapped.picture(cortex, options.focus), cortex.surface, options, cortex)

    def group(self, request: GroupRequest) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]:
        """See Desk."""
        found = group_map(self._atlas, request, self._cortices)
        return found.about, found.arrays

    def group_picture(self, request: GroupRequest, options: RenderOptions) -> bytes:
        """See Desk."""
        found = group_map(self._atlas, request, self._cortices)
        cortex = self._cortices.of(found.subject_id)
        return render(found.picture(cortex, options.focus), cortex.surface, options, cortex)

    def card(self, model_id: str, voxel: int) -> bytes:
        """See Desk."""
        return card_png(voxel_card(self._atlas, model_id, voxel))

    def thumbnail(self, stimulus_id: str, box: str) -> bytes:
        """See Desk."""
        try:
            return thumbnail(self._atlas, stimulus_id, box)
        except NotFoundError:  # an atlas travels without its images
            return b""

    def fetch(self, path: str) -> bytes:
        """See Desk: asks the server's own app in this process, without a socket."""
        response = asyncio.run_coroutine_threadsafe(self._app.get(path), self._loop).result()
        if response.status_code != httpx.codes.OK:
            raise error_of(response, path)
        return response.content

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """A loop in a thread of its own: a notebook's runs all the time."""
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="explorer in a cell", daemon=True).start()
        return loop

    @cached_property
    def _app(self) -> httpx.AsyncClient:
        from ..http.app import create_app

        token = secrets.token_urlsafe(24)
        alone = {"token": SecretStr(token), "host": "127.0.0.1", "public_url": "", "trusted_proxies": ()}
        app = create_app(self._atlas, self.settings.model_copy(update=alone), load=self._load)
        shown = {"authorization": f"Bearer {token}"}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=("127.0.0.1", 0)), base_url="http://127.0.0.1", headers=shown
        )

    def volume(self, subject_id: str) -> Volume:
        """See Desk."""
        return self._atlas.volume(subject_id)

    def millimetres(self, subject_id: str) -> NDArray[np.float64]:
        """See Desk."""
        return self._cortices.millimetres(subject_id)


_PICTURE = """query($concept: String, $metric: Metric, $label: String, $image: String, $model: String, $by: By!,
  $readout: Readout, $baseline: Baseline!, $scorer: String, $colormap: String, $range: [Float!], $rois: [String!],
  $width: Int!, $format: PictureFormat!, $significant: Boolean!, $minZ: Float, $maxQ: Float, $specific: Boolean!,
  $semantic: Boolean!, $opacity: Metric, $views: [View!], $focus: [Int!], $mark: Int, $thick: Int!,
  $nullBand: Boolean!) {
  map: flatmap(concept: $concept, metric: $metric, label: $label, image: $image, model: $model, by: $by,
    readout: $readout, baseline: $baseline, scorer: $scorer, colormap: $colormap, range: $range, rois: $rois,
    width: $width, format: $format, significant: $significant, minZ: $minZ, maxQ: $maxQ, specific: $specific,
    semantic: $semantic, opacity: $opacity, views: $views, focus: $focus, mark: $mark,
    thick: $thick, nullBand: $nullBand) { sha256 } }"""


_GROUP = """query($concept: String!, $models: [String!], $by: By!, $readout: Readout, $baseline: Baseline!,
  $significant: Boolean!, $semantic: Boolean!, $smooth: Float!, $minZ: Float, $maxQ: Float, $specific: Boolean!,
  $show: GroupQuantity!, $groupQ: Float, $colormap: String, $range: [Float!], $rois: [String!], $width: Int!,
  $format: PictureFormat!, $views: [View!], $focus: [Int!]) {
  map: groupMap(concept: $concept, models: $models, by: $by, readout: $readout, baseline: $baseline,
    significant: $significant, semantic: $semantic, smooth: $smooth, minZ: $minZ, maxQ: $maxQ, specific: $specific,
    show: $show, groupQ: $groupQ, colormap: $colormap, range: $range, rois: $rois, width: $width, format: $format,
    views: $views, focus: $focus) { sha256 } }"""


class ServedDesk(Desk):
    """Answers from a server over HTTP, which draws by itself; see Desk."""

    def __init__(self, atlas: RemoteAtlas, settings: Settings, load: LoadSurface = load_surface) -> None:
        super().__init__(settings, load)
        self._atlas = atlas

    def model(self, model_id: str) -> RemoteModel:
        """See Desk."""
        return RemoteAtlas.model(self._atlas, model_id)

    def values(self, request: MapRequest) -> Values:
        """See Desk."""
        asked = RemoteAtlas.model(self._atlas, request.model)
        how = {"by": request.by, "readout": request.readout, "baseline": request.baseline, "method": request.method}
        if request.picture is not None:
            frame = asked.predict(request.picture)
        elif request.concept:
            frame = asked.map(request.concept, **how).frame
        else:
            frame = asked.metric_map(request.metric or f"label_probability:{request.label}")
        picture = None if request.picture is None else png(request.picture)
        header, arrays = unpack(self._atlas.fetch("/values", content=picture, **_told(request)))
        return header, frame, arrays["value"][frame["voxel"].to_numpy()]

    def picture(self, request: MapRequest, options: RenderOptions) -> bytes:
        """See Desk."""
        variables = {
            **_variables(request, options),
            "metric": _name(request.metric),
            "label": request.label,
            "image": None if request.picture is None else b64encode(png(request.picture)).decode(),
            "model": request.model,
            "scorer": request.method,
            "opacity": _name(request.alpha),
            "mark": options.mark,
            "thick": options.thick,
            "nullBand": request.null_band,
        }
        return self._drawn(_PICTURE, variables, options)

    def group(self, request: GroupRequest) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]:
        """See Desk."""
        return unpack(self._atlas.fetch("/group", **{**_told(request), "models": ",".join(request.models)}))

    def group_picture(self, request: GroupRequest, options: RenderOptions) -> bytes:
        """See Desk."""
        variables = {
            **_variables(request, options),
            "models": list(request.models) or None,
            "smooth": request.smooth,
            "show": _name(request.show),
            "groupQ": request.group_q,
        }
        return self._drawn(_GROUP, variables, options)

    def _drawn(self, query: str, variables: Mapping[str, Any], options: RenderOptions) -> bytes:
        drawn = self._atlas.graphql(query, variables)["map"]
        return self._atlas.fetch(f"/flatmaps/{drawn['sha256']}.{options.suffix}")

    def card(self, model_id: str, voxel: int) -> bytes:
        """See Desk."""
        return self._atlas.fetch("/card.png", model=model_id, voxel=voxel)

    def thumbnail(self, stimulus_id: str, box: str) -> bytes:
        """See Desk."""
        try:
            return self._atlas.fetch(f"/stimuli/{quote(stimulus_id)}", box=box)
        except NotFoundError:
            return b""

    def fetch(self, path: str) -> bytes:
        """See Desk."""
        return self._atlas.fetch(path)

    def volume(self, subject_id: str) -> Volume:
        """See Desk."""
        return self._atlas.volume(subject_id)

    def millimetres(self, subject_id: str) -> NDArray[np.float64]:
        """See Desk."""
        return unpack(self._atlas.fetch(f"/places/{quote(subject_id)}.bin"))[1]["mm"].astype(float).reshape(-1, 3)


def _told(request: MapRequest | GroupRequest) -> Mapping[str, Any]:
    """A request as a query string has it."""
    told = {name: value for name, value in asdict(request).items() if value is not None and name != "picture"}
    return {name: int(value) if isinstance(value, bool) else value for name, value in told.items()}


def _name(value: str | None) -> str | None:
    """A value of an enum as GraphQL writes it."""
    return value and value.upper()


def _variables(request: MapRequest | GroupRequest, options: RenderOptions) -> Mapping[str, Any]:
    """What the queries for pictures of maps and groups both have."""
    return {
        "concept": request.concept,
        "by": _name(request.by),
        "readout": _name(request.readout),
        "baseline": _name(request.baseline),
        "colormap": request.colormap,
        "range": None if request.lo is None or request.hi is None else [request.lo, request.hi],
        "rois": options.rois,
        "width": options.width,
        "format": _name(options.suffix),
        "significant": request.significant,
        "minZ": request.min_z,
        "maxQ": request.max_q,
        "specific": request.specific,
        "semantic": request.semantic,
        "views": None if options.views is None else [view.upper() for view in options.views],
        "focus": options.focus,
    }
