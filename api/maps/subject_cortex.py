"""Where voxels are on the cortex: the surfaces of each subject as the page and the pictures need them."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import platformdirs
import polars as pl
from nibabel.affines import apply_affine
from numpy.typing import NDArray

from ...atlas.search.atlas import Atlas, SubjectRow
from ...ingest.datasets.interface import Subject
from ...schemas.config import Settings
from ...schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from ...schemas.spaces import MESHES
from ...viz.render.contours import contours
from ...viz.surfaces.pixel_map import Outlines, PixelMap
from ...viz.surfaces.surface import Grid, Surface, load_surface, transform_shapes
from .shared_space import shared_space

Floats = NDArray[np.float32]
PAGE_WIDTH = 1024
"""Pixels across the flat map that the page paints."""
BUILT_WIDTHS = (1024, 2048, 4096)
"""Widths that pixel maps and views are built for."""
GROUP = "group/"
"""What stands before the name of a shared mesh where it takes a subject's place."""
_PALE = np.float32(0.25)
"""Opacity of what is out of focus; the page's."""

LoadSurface = Callable[[str, str | None, Path, Path | None, Grid | None], Surface]


def surfaces_cache(home: Path) -> Path:
    """Folder of what is worked out about surfaces: of the home folder, or the user's own where that is read-only.

    A lab's home folder may be shared, and not to be written by who looks at it.
    """
    folder = home.absolute() / "surfaces"
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return folder if os.access(nearest, os.W_OK) else Path(platformdirs.user_cache_dir("voxel-atlas")) / "surfaces"


def on_its_surface(subject: Subject, settings: Settings) -> Subject:
    """A subject as the surface that it names, or its own one, shows it, before anything is made of it.

    Places that are listed one by one may be a part of it, and so may one hemisphere: its grid is the surface's.

    Raises:
        NotFoundError: there is no such surface, or no such transform of it.
        SpaceMismatchError: the responses are of another space.
    """
    if not subject.surface:
        subject = _on_its_own(subject, settings)
    if not subject.surface:
        return subject
    surface = load_surface(
        subject.surface,
        subject.transform,
        surfaces_cache(settings.home),
        settings.cortex_filestore,
        Grid(subject.shape, subject.affine),
    )
    volume = subject.space == "volume"
    if volume != (subject.transform is not None):
        advice = "name the --transform from the volume to it" if volume else "leave --transform out"
        cells = "voxels" if volume else "vertices"
        raise SpaceMismatchError(f"{subject.subject_id} has {cells} to be shown on {subject.surface!r}; {advice}.")
    missing = (0,) if not volume else ()
    if len(subject.shape) != len(surface.shape) or any(
        own not in (full, *missing) and not (subject.listed and own < full)
        for own, full in zip(subject.shape, surface.shape, strict=True)
    ):
        raise SpaceMismatchError(
            f"{subject.subject_id} has {'a volume of' if volume else 'surfaces of'} {_by(subject.shape)}, but "
            f"{subject.surface!r} {f'by its transform {subject.transform!r} ' if volume else ''}is of "
            f"{_by(surface.shape)}; name the one that the responses are on."
        )
    return replace(subject, shape=surface.shape)


def _on_its_own(subject: Subject, settings: Settings) -> Subject:
    """A subject that names no surface, on its own one where the user's store has it for these responses."""
    cache, filestore = surfaces_cache(settings.home), settings.cortex_filestore
    if not subject.own_surface or filestore is None or not (filestore / subject.own_surface / "surfaces").is_dir():
        return subject
    if subject.space == "surface":
        return replace(subject, surface=subject.own_surface)
    shapes = transform_shapes(subject.own_surface, cache, filestore)
    transform = next((name for name, shape in shapes.items() if shape == subject.shape), None)
    return replace(subject, surface=subject.own_surface, transform=transform) if transform else subject


def _by(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def built_width(width: int) -> int:
    """The width that is built for a picture of this one, which is made from the nearest pixels.

    Building takes seconds, so a client that asks for every width there is must not make us build them all.
    """
    return next((built for built in BUILT_WIDTHS if built >= width), BUILT_WIDTHS[-1])


def anatomical_affine(
    settings: Settings, subject: SubjectRow, load: LoadSurface | None = None
) -> NDArray[np.float64] | None:
    """Where a subject's volumes lie in space: what its pycortex transform to the anatomical surfaces says."""
    name, transform = subject["surface"], subject["transform"]
    if not name or not transform or subject["affine"]:  # the responses' own image says it
        return None
    load = load or load_surface
    surface = load(name, transform, surfaces_cache(settings.home), settings.cortex_filestore, None)
    return np.linalg.inv(surface.transform_matrix()).astype(np.float64)


@dataclass(frozen=True, eq=False)
class SubjectCortex:
    """One subject's voxels on its surface."""

    subject_id: str
    surface: Surface
    cells: NDArray[np.int64]
    """(n_voxels,) the cell of the surface's volume (or the vertex) that each voxel is, by voxel number."""
    rois: Mapping[str, NDArray[np.bool_]]
    """ROI → (n_cells,) bool, which cells its voxels are."""

    @property
    def n_voxels(self) -> int:
        """Voxels of the subject."""
        return len(self.cells)

    def cell(self, voxel: int) -> int:
        """The cell of a voxel.

        Raises:
            NotFoundError: the subject has no voxel of this number.
        """
        if not 0 <= voxel < self.n_voxels:
            raise NotFoundError(f"There is no voxel {voxel}; the subject has {self.n_voxels}, numbered from 0.")
        return int(self.cells[voxel])

    def on_surface(self, voxels: NDArray[np.int32], values: Floats) -> Floats:
        """Values of voxels, (n,) or (n, 3), as values of the surface's cells; NaN where there is no voxel."""
        painted = np.full((self.surface.n_cells, *values.shape[1:]), np.nan, np.float32)
        painted[self.cells[voxels]] = values
        return painted

    def opacity(self, voxels: NDArray[np.int32], alpha: Floats | None, focus: Sequence[int] | None) -> Floats | None:
        """Opacities of the surface's cells, (n_cells,), from those of voxels; the ones out of focus are pale.

        Args:
            voxels: (n,) voxel numbers.
            alpha: (n,) 0 to 1; None where all are opaque.
            focus: voxels that stand out; None where none does.
        """
        if focus is not None:
            share = np.where(np.isin(voxels, focus), np.float32(1), _PALE)
            alpha = share if alpha is None else share * alpha
        return None if alpha is None else self.on_surface(voxels, alpha)

    def by_number(self, voxels: NDArray[np.int32], values: Floats) -> Floats:
        """Values as the page wants them, (n_voxels,) float32: position = voxel's number; NaN for none."""
        slots = np.full(self.n_voxels, np.nan, np.float32)
        slots[voxels] = values
        return slots

    def pixels(self, width: int) -> PixelMap:
        """The pixel map of a flat map of this width."""
        return self.surface.pixel_map(built_width(width)).at(width)

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """Where each voxel lies, (n_voxels, 3) x, y, z in mm of the surface, by voxel number.

        A voxel's middle lies where the transform says, a vertex half-way between white matter and pia; NaN for vertices
        of a denser mesh that are not drawn.

        Raises:
            NotFoundError: the surface has no such middle.
        """
        surface = self.surface
        if surface.transform is None:
            of_cell = np.full((surface.n_cells, 3), np.nan)
            of_cell[surface.vertex_cells()] = surface.mesh("fiducial").points
            return of_cell[self.cells]
        xyz = np.stack(np.unravel_index(self.cells, surface.shape)[::-1], axis=1)
        points: NDArray[np.float64] = apply_affine(np.linalg.inv(surface.transform_matrix()), xyz)
        return points

    @cached_property
    def outlines(self) -> Outlines:
        """Paths of the ROIs on the flat map: those that are drawn on the surface, and lines around the other ones.

        Raises:
            NotFoundError: the subject has no flat map.
        """
        drawn = self.surface.roi_outlines()
        others = {name: members for name, members in self.rois.items() if name not in drawn}
        return {**drawn, **contours(self.pixels(PAGE_WIDTH).index, others)}

    @cached_property
    def vertex_rois(self) -> Mapping[str, NDArray[np.bool_]]:
        """ROI → (n_vertices,) bool, for views of the folded or inflated cortex."""
        cells = self.surface.vertex_cells()
        return {name: np.append(members, False)[cells] for name, members in self.rois.items()}


class CortexCache:
    """The cortex of each subject, worked out once."""

    def __init__(self, atlas: Atlas, settings: Settings, load: LoadSurface = load_surface) -> None:
        self._atlas = atlas
        self._cache = surfaces_cache(settings.home)
        self._filestore = settings.cortex_filestore
        self._load = load
        self._known: dict[str, SubjectCortex] = {}
        self._places: dict[str, tuple[int, NDArray[np.float64]]] = {}
        """By subject, as they were at a generation: an ingest may tell places later."""
        self._lock = threading.Lock()

    def of(self, subject_id: str) -> SubjectCortex:
        """The cortex of a subject; or that of a group, by the name of its mesh behind `GROUP`: its voxels are vertices.

        Raises:
            NotFoundError: there is no such subject, or it has no surface.
            SpaceMismatchError: its volume is not the one that the surface's transform was made for.
            BadInputError: its voxels are not numbered 0, 1, 2 …
        """
        if subject_id.startswith(GROUP):
            return self._group(subject_id)
        with self._lock:
            if subject_id not in self._known:
                self._known[subject_id] = self._find(subject_id)
            return self._known[subject_id]

    def _group(self, name: str) -> SubjectCortex:
        """A shared mesh, with the regions that at least half of the subjects have there who have them at all."""
        subjects = self._atlas.subjects()["subject_id"].to_list()
        # Anew where there are others: their regions belong to it, too.
        key = " ".join((name, *subjects))
        with self._lock:
            if known := self._known.get(key):
                return known
        mesh = name.removeprefix(GROUP)
        if mesh not in MESHES:
            raise NotFoundError(f"Subjects do not meet on {mesh[:40]!r}; they do on {', '.join(MESHES)}.")
        family = "fsaverage" if mesh.startswith("fsaverage") else mesh
        surface = self._load(mesh, None, self._cache, self._filestore, None)
        found: dict[str, list[NDArray[np.bool_]]] = {}
        for subject_id in subjects:
            try:
                cortex = self.of(subject_id)
                space = shared_space(cortex.surface)
            except (BadInputError, NotFoundError, SpaceMismatchError):  # it meets no others
                continue
            if space.family == family and space.n >= MESHES[mesh]:
                for roi, members in cortex.rois.items():
                    found.setdefault(roi, []).append(space.carried(members.astype(np.int32), MESHES[mesh]) > 0)
        rois = {roi: np.mean(halves, axis=0) >= 0.5 for roi, halves in sorted(found.items())}
        made = SubjectCortex(name, surface, np.arange(surface.n_cells), rois)
        with self._lock:
            return self._known.setdefault(key, made)

    def millimetres(self, subject_id: str) -> NDArray[np.float64]:
        """Where each voxel lies, (n_voxels, 3) x, y, z in mm by its number, rounded to 1e-4; NaN where nothing says it.

        A volume's mm are those of the responses' own image, or else of the surfaces that its transform leads to; a
        vertex's are those of its surface half-way between white matter and pia.

        Raises:
            NotFoundError: there is no such subject.
        """
        if subject_id.startswith(GROUP):
            return np.round(self.of(subject_id).places, 4)
        generation = self._atlas.generation()
        made, points = self._places.get(subject_id, (None, np.empty((0, 3))))
        if made != generation:
            points = np.round(self._located(self._atlas.subject(subject_id)), 4)
            self._places[subject_id] = generation, points
        return points

    def placed(self, voxels: pl.DataFrame, subject_id: str) -> pl.DataFrame:
        """Rows of a subject's voxels with `x_mm`, `y_mm` and `z_mm`, as `millimetres` has them; null for NaN."""
        points = self.millimetres(subject_id)[voxels["voxel"].to_numpy()]
        axes = {f"{axis}_mm": pl.Series(points[:, at], dtype=pl.Float64) for at, axis in enumerate("xyz")}
        return voxels.with_columns(**axes).with_columns(pl.col(*axes).fill_nan(None))

    def _located(self, subject: SubjectRow) -> NDArray[np.float64]:
        sql = "SELECT coalesce(max(voxel), -1) + 1 AS n FROM voxel WHERE subject_id = ?"
        points = np.full((self._atlas.store.frame(sql, [subject["subject_id"]])["n"][0], 3), np.nan)
        try:
            if subject["space"] != "volume" or not subject["affine"]:
                return self.of(subject["subject_id"]).places
            volume = self._atlas.volume(subject["subject_id"])
        except (BadInputError, NotFoundError, SpaceMismatchError):  # no place, or no surface that could say it
            return points
        xyz = np.stack(np.unravel_index(volume.cells, volume.shape)[::-1], axis=1)
        points[volume.voxels] = apply_affine(np.reshape(subject["affine"], (4, 4)), xyz)
        return points

    def _find(self, subject_id: str) -> SubjectCortex:
        volume = self._atlas.volume(subject_id)
        subject = volume.subject
        if not subject["surface"]:
            raise NotFoundError(
                f"Subject {subject_id!r} has no surface, so it cannot be shown on a cortex; the same ingest again with "
                "--space or --surface gives it one, and fits nothing anew."
            )
        affine = subject["affine"]
        grid = Grid(tuple(volume.shape), None if affine is None else tuple(affine))
        surface = self._load(subject["surface"], subject["transform"], self._cache, self._filestore, grid)
        if volume.n_cells != surface.n_cells:
            raise SpaceMismatchError(
                f"Subject {subject_id!r} has a volume of {tuple(volume.shape)}, but surface {subject['surface']!r} "
                f"with transform {subject['transform']!r} has {surface.n_cells} cells; ingest it with its transform."
            )
        if ((volume.cells < 0) | (volume.cells >= surface.n_cells)).any():
            raise BadInputError(
                f"Subject {subject_id!r} has voxels outside of surface {surface.name!r}, whose cells are 0 "
                f"to {surface.n_cells - 1}; ingest it again."
            )
        if not np.array_equal(volume.voxels, np.arange(len(volume.voxels))):
            raise BadInputError(f"Subject {subject_id!r} does not number its voxels 0, 1, 2 …; ingest it again.")
        return SubjectCortex(subject_id, surface, volume.cells, self._rois(subject_id, volume.cells, surface.n_cells))

    def _rois(self, subject_id: str, cells: NDArray[np.int64], n_cells: int) -> dict[str, NDArray[np.bool_]]:
        frame = self._atlas.store.frame("SELECT roi, voxel FROM voxel_roi WHERE subject_id = ?", [subject_id])
        rois = {}
        for (name,), part in frame.sort("roi").group_by("roi", maintain_order=True):
            rois[str(name)] = np.zeros(n_cells, np.bool_)
            rois[str(name)][cells[part["voxel"].to_numpy()]] = True
        return rois
