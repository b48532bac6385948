"""Subjects' surfaces: which voxel or vertex each pixel of a flat map shows, ROI outlines, regions.

pycortex and scipy work each of them out once; then they are small files in the cache folder, and loading one takes
milliseconds and neither library. Voxels are positions in the C-ordered (z, y, x) volume of the transform, vertices are
counted left hemisphere first, as in pycortex.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from cachetools import LRUCache
from cachetools import cached as memoised
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from ...schemas.files import replacing
from ...schemas.spaces import MNI152, MNI152_SURFACE
from . import filestore as stores
from . import projection, registration, unfold
from .locked_files import cached
from .pixel_map import PixelMap, View, check_width
from .raster import Mesh, between
from .standard import DENSER

_KEPT_BYTES = 256 * 2**20
"""Pixel maps and views that stay in memory; what was used least is read again when it is asked for."""
_kept = memoised(LRUCache(_KEPT_BYTES, lambda pixels: min(pixels.nbytes, _KEPT_BYTES)), lock=Lock())


class Grid(NamedTuple):
    """Where the voxels of a functional volume are."""

    shape: tuple[int, ...]
    """(z, y, x)"""
    affine: tuple[float, ...] | None
    """(4, 4) row by row, from voxel indices (x, y, z) to mm."""


@dataclass(frozen=True)
class Surface:
    """A subject's surfaces as one transform (or none, for vertex data) sees them."""

    name: str
    """The pycortex subject."""
    transform: str | None
    """Its transform from volume to surface; None for values on vertices."""
    shape: tuple[int, ...]
    """(z, y, x) of the volume, or (left, right) vertices of the mesh that values belong to."""
    n_vertices: tuple[int, int]
    """Vertices of the left and of the right hemisphere as they are drawn: the first ones of a denser mesh."""
    kinds: frozenset[str]
    """Surfaces that both hemispheres have: flat, inflated, pia, wm, fiducial …"""
    subject: Path
    """Its folder in a pycortex store."""
    cache: Path
    """The folder of all caches."""
    folder: Path
    """Where what was worked out about this subject is kept."""
    affine: tuple[float, ...] | None = None
    """Transform MNI152: the volume's affine (4, 4) row by row, from voxel indices (x, y, z) to mm."""

    @property
    def key(self) -> str:
        """What tells files about this transform apart from those about others of the subject."""
        if self.affine is None:
            return self.transform or "vertices"
        return f"{self.transform}-{hashlib.sha256(repr((self.shape, self.affine)).encode()).hexdigest()[:10]}"

    @property
    def n_cells(self) -> int:
        """Values that a map on this surface has: voxels of the volume or vertices."""
        return int(np.prod(self.shape)) if self.transform else sum(self.shape)

    @property
    def has_flat(self) -> bool:
        """Whether there is a flat map."""
        return "flat" in self.kinds

    def pixel_map(self, width: int) -> PixelMap:
        """Which cell each pixel of a flat map of this width shows; built once, then read from the cache.

        A pixel shows the voxel half-way between white matter and pia, or the nearest vertex: the same as
        `cortex.quickflat.make_figure(…, thick=1, depth=0.5)`. The height follows from the flat map's shape.

        Args:
            width: pixels.

        Raises:
            BadInputError: the width is not between 16 and 8,192 pixels.
            NotFoundError: the subject has no flat map.
        """
        check_width(width)
        self._require_flat()
        return _flat_pixels(self, width)

    def blend(self, values: NDArray[np.float32], width: int, thick: int) -> tuple[NDArray[np.float32], PixelMap]:
        """Means over depths between white matter and pia, as `cortex.quickflat.make_figure(…, thick=thick)` has them.

        Args:
            values: (n_cells, k) of the volume's voxels; NaN does not count.
            width: pixels of the flat map.
            thick: number of depths, equally spaced; pycortex's default is 32. Warps have their own: NSD's have 3.

        Returns:
            (h · w, k) means of each pixel, NaN where none of its voxels has a value, and the flat map of these pixels.

        Raises:
            BadInputError: this is a surface of vertices, or the transform has not so many depths.
        """
        pixel_map = self.pixel_map(width)
        corners = unfold.under_pixels(self.flat_layout(), pixel_map.inside)
        depths = [self._voxels_between(coordinates) for coordinates in self.in_volume(thick)]
        means = unfold.blend(values, pixel_map.inside.size, corners, depths)
        own = np.arange(pixel_map.inside.size, dtype=np.int32).reshape(pixel_map.shape)
        return means, replace(pixel_map, index=np.where(pixel_map.inside, own, np.int32(-1)), n_cells=own.size)

    def view(self, width: int = 1024, kind: str = "inflated", views: Sequence[str] = projection.DEFAULT_VIEWS) -> View:
        """Which cell each pixel of a picture of both hemispheres from some sides shows, all at one scale.

        Args:
            width: pixels.
            kind: a kind of surface that the subject has: inflated, pia, wm, fiducial …
            views: some of `projection.VIEWS`. The left hemisphere stands left, except from below and in front, where
                it is right.

        Raises:
            NotFoundError: no such kind or view.
            BadInputError: the width is not between 16 and 8,192 pixels.
        """
        check_width(width)
        unknown = [name for name in views if name not in projection.VIEWS]
        if unknown or not views:
            raise NotFoundError(
                f"There is no view {', '.join(unknown) or '(none given)'}; known are {', '.join(projection.VIEWS)}."
            )
        if kind not in self.kinds or kind == "flat":
            raise NotFoundError(
                f"Subject {self.name!r} has no {kind!r} surface to look at from all sides; it has "
                f"{', '.join(sorted(self.kinds - {'flat'}))}."
            )
        return _view(self, width, kind, tuple(dict.fromkeys(views)))

    def vertex_curvature(self) -> NDArray[np.uint8]:
        """Mean curvature of each vertex, (n_vertices,) uint8, from sulcus (0) to gyrus (255)."""
        return self._cached("curvature", lambda: stores.curvature(self.subject, self.cache))["curvature"]

    def roi_outlines(self) -> dict[str, list[NDArray[np.float32]]]:
        """The ROIs that are drawn on the flat map, from the subject's overlays.svg; empty where there is none."""
        self._require_flat()
        file = self.subject / "overlays.svg"
        arrays = self._cached(
            "outlines", lambda: unfold.outlines(self.flat_layout(), file, self.cache) if file.exists() else {}
        )
        paths: dict[str, list[NDArray[np.float32]]] = {}
        for key, path in arrays.items():
            paths.setdefault(key.rsplit("|", 1)[0], []).append(path)
        return paths

    def mesh(self, kind: str) -> Mesh:
        """One kind of surface.

        Raises:
            NotFoundError: the subject does not have it; the message lists what it has.
        """
        if kind not in self.kinds:
            raise NotFoundError(
                f"Subject {self.name!r} has no {kind!r} surface; it has {', '.join(sorted(self.kinds))}."
            )
        arrays = self._cached(f"mesh-{kind}", lambda: stores.mesh(self.subject, self.cache, kind))
        return Mesh(arrays["points"], arrays["faces"])

    def vertex_cells(self) -> NDArray[np.int32]:
        """The cell that each vertex shows half-way between white matter and pia, (n_vertices,) int32; -1 for none."""
        if self.transform is None:
            left, right = self.n_vertices
            return np.concatenate([np.arange(left), self.shape[0] + np.arange(right)]).astype(np.int32)

        def build() -> dict[str, NDArray[Any]]:
            (middle,) = self.in_volume()
            return {"cells": registration.nearest(middle, self.shape).astype(np.int32)}

        return self._cached(f"vertices-{self.key}", build)["cells"]

    def in_volume(self, thick: int = 1) -> Sequence[NDArray[np.float64]]:
        """Where each vertex lies in the volume, (n_vertices, 3) x, y, z in voxels, at each of so many depths."""
        if self.transform is None:
            raise BadInputError(f"{self.name!r} shows vertices, which have one depth; leave the number of depths out.")
        layers = registration.layers(self.subject / "transforms" / self.transform, thick)
        if layers is not None:
            return layers
        matrix = self.transform_matrix()
        if thick == 1:
            places = [self.mesh("fiducial").points]
        else:
            white, pial = self.mesh("wm").points, self.mesh("pia").points
            places = [pial * depth + white * (1 - depth) for depth in np.linspace(0, 1, thick + 2)[1:-1]]
        return [points @ matrix[:3, :3].T + matrix[:3, 3] for points in places]

    def flat_layout(self) -> dict[str, NDArray[Any]]:
        """What flat maps of all widths share; see `unfold.flat_layout`."""
        self._require_flat()
        return self._cached("flat", lambda: unfold.flat_layout(self.mesh("flat"), self.cache))

    def voxels_between(self) -> unfold.VoxelsBetween | None:
        """Finds the voxels half-way between white matter and pia; None where this is a surface of vertices."""
        if self.transform is None:
            return None
        (middle,) = self.in_volume()
        return self._voxels_between(middle)

    def _voxels_between(self, coordinates: NDArray[np.float64]) -> unfold.VoxelsBetween:
        return lambda corners, weights: registration.nearest(between(coordinates, corners, weights), self.shape)

    def transform_matrix(self) -> NDArray[np.float64]:
        """(4, 4), from mm on the surface to voxel indices (x, y, z).

        Raises:
            SpaceMismatchError: this is a surface of vertices.
        """
        if self.transform is None:
            raise SpaceMismatchError(
                f"{self.name!r} was loaded for vertex data; name a transform to use it with voxels."
            )
        if self.affine is not None:
            return np.asarray(np.linalg.inv(self.volume_affine()), np.float64)
        name = self.transform
        return self._cached(f"transform-{name}", lambda: stores.transform(self.subject, self.cache, name))["matrix"]

    def volume_affine(self) -> NDArray[np.float64]:
        """(4, 4), from voxel indices (x, y, z) to the mm of the volume's own space.

        Raises:
            SpaceMismatchError: this is a surface of vertices.
        """
        if self.affine is not None:
            return np.array(self.affine).reshape(4, 4)
        if self.transform is None:
            raise SpaceMismatchError(f"{self.name!r} was loaded for vertex data, which have no volume.")
        return np.asarray(nib.load(self.subject / "transforms" / self.transform / "reference.nii.gz").affine)

    def _cached(self, name: str, build: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        return cached(self.folder / f"{name}.npz", build)

    def _require_flat(self) -> None:
        if not self.has_flat:
            raise NotFoundError(
                f"Subject {self.name!r} has no flat map in {self.subject / 'surfaces'}; ask for the inflated view "
                f"instead, or make flat maps (autoflatten does) and import them with `voxel-atlas surface import`."
            )


def load_surface(
    surface: str, transform: str | None, cache: Path, filestore: Path | None = None, grid: Grid | None = None
) -> Surface:
    """Find a pycortex subject and one of its transforms.

    Args:
        surface: the subject: one of the user's store, S1, or a standard cortex: fs_LR, or fsaverage of any density from
            fsaverage5 on. Denser ones are drawn on fsaverage5's vertices where the user's store does not have them.
        transform: its transform; None for values on its vertices. MNI152 is one of fsaverage5 for any volume.
        cache: folder for everything that is worked out once; made when it is not there.
        filestore: the user's own pycortex store; None for the shipped one.
        grid: of the volume, which transform MNI152 needs.

    Raises:
        NotFoundError: there is no such subject or transform; the message lists what there is.
        SpaceMismatchError: transform MNI152 without the affine of the volume.
    """
    denser = DENSER.get(surface, 0) if not (filestore and (filestore / surface / "surfaces").is_dir()) else 0
    if denser:
        surface = "fsaverage5"
    subject = stores.find(surface, cache, filestore)
    folder = _folder(subject, cache)
    shapes = _shapes(subject, folder)
    n_vertices = (shapes["lh"][0], shapes["rh"][0])
    transforms = _of_transforms(shapes)
    affine = None
    if transform == MNI152 and surface == MNI152_SURFACE:
        if grid is None or grid.affine is None:
            raise SpaceMismatchError("Nothing says where the volume lies in MNI152: its image has no affine.")
        transforms[MNI152], affine = grid.shape, grid.affine
    if transform is not None and transform not in transforms:
        known = ", ".join(sorted(transforms)) or "none: this subject shows vertex data only"
        raise NotFoundError(f"Subject {surface!r} has no transform {transform!r}; known are {known}.")
    return Surface(
        name=surface,
        transform=transform,
        shape=transforms[transform] if transform else (denser, denser) if denser else n_vertices,
        n_vertices=n_vertices,
        kinds=frozenset(stores.kinds(subject)),
        subject=subject,
        cache=cache,
        folder=folder,
        affine=affine,
    )


def transform_shapes(surface: str, cache: Path, filestore: Path | None = None) -> dict[str, tuple[int, ...]]:
    """Transforms of a pycortex subject → (z, y, x) of their volumes.

    Raises:
        NotFoundError: there is no such subject; the message lists what there is.
    """
    subject = stores.find(surface, cache, filestore)
    return _of_transforms(_shapes(subject, _folder(subject, cache)))


def regions(
    surface: str, transform: str | None, cache: Path, filestore: Path | None = None
) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.bool_]]]:
    """Which voxels (or vertices) are cortex, and which lie in each ROI that is drawn on the flat map.

    A voxel is cortex when a vertex half-way between white matter and pia falls into it, and in an ROI when one of the
    ROI's vertices does (pycortex's `nearest` mapper).

    Returns:
        mask: (z, y, x) bool, or (n_vertices,) for vertex data.
        rois: ROI name → array of the same shape. ROIs that have a name but no outline are left out.
    """
    loaded = load_surface(surface, transform, cache, filestore)

    def build() -> dict[str, NDArray[Any]]:
        cells = loaded.vertex_cells()
        cortex = cells[np.unique(loaded.mesh("fiducial").faces)]
        outlines = loaded.roi_outlines() if loaded.has_flat else {}
        members = unfold.members(loaded.flat_layout(), outlines, cells) if outlines else {}
        return {"cortex": np.unique(cortex[cortex >= 0]), **members}

    arrays = cached(loaded.folder / f"regions-{loaded.key}.npz", build)
    shape = loaded.shape if transform else (loaded.n_cells,)
    volumes = {name: np.zeros(loaded.n_cells, np.bool_) for name in arrays}
    for name, cells in arrays.items():
        volumes[name][cells] = True
    rois = {name.removeprefix("roi:"): volume.reshape(shape) for name, volume in volumes.items() if name != "cortex"}
    return volumes["cortex"].reshape(shape), rois


@_kept
def _flat_pixels(surface: Surface, width: int) -> PixelMap:
    path = surface.folder / f"pixels-{surface.key}-{width}.npz"
    arrays = cached(
        path,
        lambda: unfold.pixel_map(surface.flat_layout(), surface.vertex_curvature(), width, surface.voxels_between()),
    )
    return PixelMap(**_in_cells(arrays, surface), n_cells=surface.n_cells)


@_kept
def _view(surface: Surface, width: int, kind: str, views: tuple[str, ...]) -> View:
    path = surface.folder / f"view-{kind}-{'-'.join(views)}-{surface.key}-{width}.npz"

    def build() -> dict[str, NDArray[Any]]:
        curvature, voxels = surface.vertex_curvature(), surface.voxels_between()
        return projection.view(surface.mesh(kind), surface.n_vertices[0], curvature, width, views, voxels)

    arrays = _in_cells(cached(path, build), surface)
    captions = zip(arrays["captions"].tolist(), arrays["caption_x"].tolist(), arrays["caption_y"].tolist(), strict=True)
    shown = {name: arrays[name] for name in ("index", "curvature", "light", "vertex")}
    return View(**shown, inside=arrays["vertex"] >= 0, n_cells=surface.n_cells, captions=tuple(captions))


def _in_cells(arrays: dict[str, NDArray[Any]], surface: Surface) -> dict[str, NDArray[Any]]:
    """`index` of the drawn mesh's vertices as one of cells, which are others where a denser mesh is drawn."""
    if surface.transform is not None or surface.shape == surface.n_vertices:
        return arrays
    return {**arrays, "index": np.append(surface.vertex_cells(), np.int32(-1))[arrays["index"]]}


def _folder(subject: Path, cache: Path) -> Path:
    return cache / "surfaces" / f"{subject.name}-{stores.fingerprint(subject)}"


def _of_transforms(shapes: dict[str, list[int]]) -> dict[str, tuple[int, ...]]:
    return {key.removeprefix("xfm:"): tuple(shape) for key, shape in shapes.items() if key.startswith("xfm:")}


def _shapes(subject: Path, folder: Path) -> dict[str, list[int]]:
    """Vertices of each hemisphere and volume of each transform, kept in a file so that no surface is read again."""
    path = folder / "shapes.json"
    if not path.exists():
        shapes: dict[str, list[int]] = {}
        for side in stores.SIDES:
            file = next(iter(sorted((subject / "surfaces").glob(f"*_{side}.gii"))), None)
            if file is None:
                raise NotFoundError(f"{subject / 'surfaces'} has no surface *_{side}.gii; both hemispheres are needed.")
            shapes[side] = [len(nib.load(file).darrays[0].data)]
        for reference in sorted((subject / "transforms").glob("*/reference.nii.gz")):
            shapes[f"xfm:{reference.parent.name}"] = [int(n) for n in nib.load(reference).shape[:3][::-1]]
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(shapes), encoding="utf-8")
    return dict(json.loads(path.read_text(encoding="utf-8")))
