"""Where voxels are on the cortex: the surfaces of each subject as the page and the pictures need them."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...atlas.search.atlas import Atlas
from ...schemas.config import Settings
from ...schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from ...viz.render.contours import contours
from ...viz.surfaces.pixel_map import Outlines, PixelMap
from ...viz.surfaces.surface import Surface, load_surface
from ..http.responses import Content
from . import page_geometry as page

SURFACES = "surfaces"
"""Folder of the cached maps of surfaces, relative to the home folder."""
PAGE_WIDTH = 1024
"""Pixels across the flat map that the page paints."""
BUILT_WIDTHS = (1024, 2048, 4096)
"""Widths that pixel maps are built for."""

KEPT_WIDTH = 2048
"""Pixel maps up to this width stay in memory; one of 4,096 has 100 MB and is read when it is asked for."""

LoadSurface = Callable[[str, str | None, Path, Path | None], Surface]


@dataclass(frozen=True, eq=False)
class Place:
    """One subject's voxels on its surface."""

    subject: Mapping[str, Any]
    surface: Surface
    cells: NDArray[np.int64]
    """(n_voxels,) the cell of the surface's volume (or the vertex) that each voxel is, by voxel number."""
    rois: Mapping[str, NDArray[np.bool_]]
    """ROI → (n_cells,) bool, which cells its voxels are."""
    _pixels: dict[int, PixelMap] = field(default_factory=dict, init=False)
    _meshes: dict[str, Content] = field(default_factory=dict, init=False)

    @property
    def n_voxels(self) -> int:
        """Voxels of the subject."""
        return len(self.cells)

    def cell(self, voxel: int) -> int:
        """The cell of a voxel.

        Raises:
            NotFoundError: The subject has no voxel of this number.
        """
        if not 0 <= voxel < self.n_voxels:
            raise NotFoundError(f"There is no voxel {voxel}; the subject has {self.n_voxels}, numbered from 0.")
        return int(self.cells[voxel])

    def on_surface(self, voxels: NDArray[np.int32], values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values of voxels as values of the surface's cells, (n_cells,) float32; NaN where there is no voxel."""
        painted = np.full(self.surface.n_cells, np.nan, np.float32)
        painted[self.cells[voxels]] = values
        return painted

    def by_number(self, voxels: NDArray[np.int32], values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values as the page wants them, (n_voxels,) float32: position = voxel's number; NaN for none."""
        slots = np.full(self.n_voxels, np.nan, np.float32)
        slots[voxels] = values
        return slots

    def pixels(self, width: int) -> PixelMap:
        """The pixel map of a picture of this width, made from the nearest larger one of those that are built.

        Building one takes seconds, so a client that asks for every width there is must not make us build them all.
        """
        built = next((size for size in BUILT_WIDTHS if size >= width), BUILT_WIDTHS[-1])
        pixels = self._pixels.get(built) or self.surface.pixel_map(built)
        if built <= KEPT_WIDTH:
            self._pixels[built] = pixels
        return pixels.at(width)

    @cached_property
    def page_map(self) -> Content:
        """Which voxel each pixel of the page's flat map shows; see `viz.page.pixel_map_bytes` for the layout."""
        return Content.unzipped(page.pixel_map_bytes(self.surface, PAGE_WIDTH, self.cells), "application/octet-stream")

    @cached_property
    def outlines(self) -> Outlines:
        """Paths of the ROIs on the flat map: those that are drawn on the surface, and lines around the other ones.

        Raises:
            NotFoundError: The subject has no flat map.
        """
        drawn = self.surface.roi_outlines()
        others = {name: members for name, members in self.rois.items() if name not in drawn}
        return {**drawn, **contours(self.pixels(PAGE_WIDTH).index, others)}

    @cached_property
    def vertex_rois(self) -> Mapping[str, NDArray[np.bool_]]:
        """ROI → (n_vertices,) bool, for views of the folded or inflated cortex."""
        shown = self.surface.vertex_cells()
        return {name: np.append(members, False)[shown] for name, members in self.rois.items()}

    def mesh(self, kind: str) -> Content:
        """One kind of surface for the page's 3-D view; see `viz.page.mesh_bytes` for the layout.

        Raises:
            NotFoundError: The subject has no such surface.
        """
        if kind not in self._meshes:
            packed = page.mesh_bytes(self.surface, kind, self.cells)
            self._meshes[kind] = Content.unzipped(packed, "application/octet-stream")
        return self._meshes[kind]


class Places:
    """The places of all subjects, each worked out once."""

    def __init__(self, atlas: Atlas, settings: Settings, load: LoadSurface = load_surface) -> None:
        self._atlas = atlas
        self._cache = settings.home / SURFACES
        self._filestore = settings.cortex_filestore
        self._load = load
        self._known: dict[str, Place] = {}
        self._lock = threading.Lock()

    def of_model(self, model: str | None) -> Place:
        """The place of a model's subject."""
        return self.of_subject(self._atlas.model(model).subject_id)

    def of_subject(self, subject_id: str) -> Place:
        """The place of a subject.

        Raises:
            NotFoundError: There is no such subject, or it has no surface.
            SpaceMismatchError: Its volume is not the one that the surface's transform was made for.
            BadInputError: Its voxels are not numbered 0, 1, 2 …
        """
        with self._lock:
            if subject_id not in self._known:
                self._known[subject_id] = self._find(subject_id)
            return self._known[subject_id]

    def _find(self, subject_id: str) -> Place:
        volume = self._atlas.volume(subject_id)
        subject = volume.subject
        if not subject["surface"]:
            raise NotFoundError(f"Subject {subject_id!r} has no surface, so it cannot be shown on a cortex.")
        surface = self._load(subject["surface"], subject["transform"], self._cache, self._filestore)
        if volume.n_cells != surface.n_cells:
            raise SpaceMismatchError(
                f"Subject {subject_id!r} has a volume of {tuple(subject['shape'])}, but surface {subject['surface']!r} "
                f"with transform {subject['transform']!r} has {surface.n_cells} cells; ingest it with its transform."
            )
        if not np.array_equal(volume.voxels, np.arange(len(volume.voxels))):
            raise BadInputError(f"Subject {subject_id!r} does not number its voxels 0, 1, 2 …; ingest it again.")
        return Place(subject, surface, volume.cells, self._rois(subject_id, volume.cells, surface.n_cells))

    def _rois(self, subject_id: str, cells: NDArray[np.int64], n_cells: int) -> dict[str, NDArray[np.bool_]]:
        frame = self._atlas.store.frame("SELECT roi, voxel FROM voxel_roi WHERE subject_id = ?", [subject_id])
        rois = {}
        for (name,), part in frame.sort("roi").group_by("roi", maintain_order=True):
            rois[str(name)] = np.zeros(n_cells, np.bool_)
            rois[str(name)][cells[part["voxel"].to_numpy()]] = True
        return rois
