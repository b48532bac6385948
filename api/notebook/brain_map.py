"""A map of one model in a notebook: a value for every voxel, as a picture and as what other programs open."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import nibabel as nib
import numpy as np
import polars as pl
from nibabel.gifti import GiftiImage
from numpy.typing import NDArray

from ...atlas.release.export import placement
from ...atlas.release.map_files import VoxelMap, gifti_image, nifti_image, spread
from ...atlas.search.atlas import Volume
from ...atlas.search.similarity import ConceptMap
from ...atlas.search.tables.answer_html import answer_html
from ...schemas.errors import BadInputError, NotFoundError
from ...viz.surfaces.filestore import make_known
from ..maps.rendering import RenderOptions
from ..maps.value_maps import MapRequest
from .cortex_picture import CortexPicture
from .desk import Desk

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ...atlas.search.concepts import Baseline


_AT_ONCE = 10_000
"""Voxels that a server tells of in one answer."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BrainMap(ConceptMap):
    """A value for every voxel of a model, which a notebook shows as a flat map.

    `frame` has all that the model answered, of every fitted voxel; `values` are those of its rows as they are drawn.

    >>> faces = model.map("face")
    >>> faces.plot(views=["ventral"])
    >>> faces.to_nifti().to_filename("face.nii.gz")
    """

    subject_id: str
    title: str
    quantity: str
    """What the values are: cosine similarity, say."""
    unit: str
    """The same with readout and baseline, or the labels' scorer."""
    values: NDArray[np.float32] = field(repr=False)
    """(n,) of the rows of `frame`; NaN where a voxel is not shown, as it passes no limit or contrast may explain it."""
    colormap: str
    limits: tuple[float, float]
    """Values of the first and of the last colour, in `unit`."""
    held_to: str
    """What voxels have to pass to be shown; "" for nothing beyond the defaults."""
    left_out: str
    """How many are left out as contrast and edges may explain them; "" for none."""
    request: MapRequest = field(repr=False)
    desk: Desk = field(repr=False)

    @classmethod
    def of(cls, request: MapRequest, desk: Desk) -> "BrainMap":
        """Ask for a map.

        Raises:
            BadInputError: a request that makes no sense for this model.
            NotFoundError: no such model, label or colormap.
        """
        told, frame, values = desk.values(request)
        return cls(
            frame,
            model_id=told["model"],
            simulated=told["simulated"],
            by="labels" if request.by == "labels" else "weights",
            readout=told["readout"],
            baseline=cast("Baseline", request.baseline) if request.concept else None,
            method=told["method"],
            warnings=list(told["warnings"]),
            generation=told["generation"],
            subject_id=told["subject"],
            title=told["title"],
            quantity=told["unit"],
            unit=f"{told['unit']} ({told['how']})" if told["how"] else told["unit"],
            values=values,
            colormap=told["colormap"],
            limits=(told["lo"], told["hi"]),
            held_to=told["held_to"],
            left_out=told["left_out"],
            request=request,
            desk=desk,
        )

    def plot(
        self,
        *,
        views: Sequence[str] | None = None,
        kind: str = "inflated",
        rois: Sequence[str] | None = None,
        focus: Sequence[int] | None = None,
        mark: int | None = None,
        thick: int = 1,
        width: int = 1024,
        format: str = "png",  # noqa: A002 - as matplotlib's savefig calls it
        ax: "Axes | None" = None,
    ) -> CortexPicture:
        """The map on the cortex, as `voxel-atlas flatmap` and the page draw it.

        Args:
            views: sides that the cortex is seen from: lateral, medial, ventral, posterior, dorsal, anterior; [] for the
                first four; None for the flat map.
            kind: surface that `views` show: inflated, pia, wm or fiducial.
            rois: regions to outline; None for all, [] for none.
            focus: voxels that stand out, by number; the others are pale.
            mark: a voxel that gets a ring on the flat map.
            thick: depths between white matter and pia over which a volume's flat map shows the mean, as pycortex's;
                1 for half-way. A server takes up to 32.
            width: pixels across.
            format: png, or for a flat map svg or pdf.
            ax: matplotlib's axes to draw into, too, where it is to be part of a figure.

        Returns:
            The picture, which a notebook shows as a cell's last value, and which has `save`.

        Raises:
            BadInputError: there is no such picture in this format, or the subject has not so many depths.
            NotFoundError: the subject has no flat map, no such view, region or voxel.
        """
        options = RenderOptions(
            width,
            format,
            None if rois is None else tuple(rois),
            None if views is None else tuple(views),
            kind,
            None if focus is None else tuple(int(voxel) for voxel in focus),
            mark,
            thick,
        )
        drawing = CortexPicture(self.desk.picture(self.request, options), format)
        if ax is not None:
            ax.imshow(np.asarray(drawing))
            ax.set_axis_off()
        return drawing

    def at_limits(self, lo: float, hi: float) -> "BrainMap":
        """The same map in the colours of other limits, such as those of a map beside it."""
        return BrainMap.of(replace(self.request, lo=lo, hi=hi), self.desk)

    def to_nifti(self) -> nib.Nifti1Image:
        """The values as a volume (x, y, z), NaN where none is shown, with the header that an export has.

        Raises:
            BadInputError: the subject has vertices, no volume.
        """
        if self._volume.subject["space"] != "volume":
            raise BadInputError(f"{self.subject_id} has vertices and no volume; take to_gifti().")
        return nifti_image(self._volume, self._voxel_map, placement(self._volume.subject, self.desk.affine))

    def to_gifti(self) -> tuple[GiftiImage, GiftiImage]:
        """The values on the vertices of the left and of the right hemisphere, NaN where none is shown.

        A vertex shows the voxel that lies half-way between white matter and pia there, as in pictures.

        Raises:
            NotFoundError: the subject has a volume and no surface, or it is not on this machine.
        """
        left, right = (gifti_image(side, half, self._voxel_map) for side, half in zip("LR", self._halves, strict=True))
        return left, right

    def to_cortex(self) -> Any:
        """The values as pycortex's Volume or Vertex, with this map's colours: `cortex.webshow(faces.to_cortex())`.

        Raises:
            NotFoundError: the subject has no surface, or pycortex's own store does not know it.
        """
        subject, surface = self._volume.subject, self.desk.surface(self._volume.subject)
        cortex = make_known(surface.subject, surface.cache)
        about = {"vmin": self.limits[0], "vmax": self.limits[1], "cmap": self.colormap}
        if subject["space"] == "volume":
            values = spread(self._volume, self._voxel_map).reshape(self._volume.shape)
            return cortex.Volume(values, surface.name, subject["transform"], **about)
        return cortex.Vertex(np.concatenate(self._halves), surface.name, **about)

    def to_nilearn(self) -> Any:
        """The values as nilearn takes them: a NIfTI image of a volume, a SurfaceImage on the inflated surface.

        Raises:
            NotFoundError: the subject has vertices, and its surface is not on this machine.
        """
        if self._volume.subject["space"] == "volume":
            return self.to_nifti()
        from nilearn.surface import InMemoryMesh, PolyData, PolyMesh, SurfaceImage

        surface = self.desk.surface(self._volume.subject)
        mesh, n_left = surface.mesh("inflated"), surface.n_vertices[0]
        is_left = (mesh.faces < n_left).all(axis=1)
        left = InMemoryMesh(mesh.points[:n_left].astype(np.float32), mesh.faces[is_left])
        right = InMemoryMesh(mesh.points[n_left:].astype(np.float32), mesh.faces[~is_left] - n_left)
        return SurfaceImage(PolyMesh(left=left, right=right), PolyData(*self._halves))

    def rois_of(self, voxels: Sequence[int]) -> pl.DataFrame:
        """In which regions voxels lie: voxel, rois."""
        model = self.desk.model(self.model_id)
        parts = [model.voxels(voxels[start : start + _AT_ONCE]) for start in range(0, max(len(voxels), 1), _AT_ONCE)]
        return pl.concat([part.select("voxel", "rois") for part in parts])

    def picture(self, width: int = 1024, focus: Sequence[int] | None = None) -> bytes:
        """The flat map as a PNG, of which some voxels stand out; empty where the subject has none."""
        try:
            return self.plot(width=width, focus=focus).content
        except NotFoundError:
            return b""

    @cached_property
    def _volume(self) -> Volume:
        return self.desk.volume(self.subject_id)

    @property
    def _voxel_map(self) -> VoxelMap:
        return VoxelMap(self.title, f"{self.title}, {self.unit}", self.frame["voxel"].to_numpy(), self.values, {})

    @property
    def _halves(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Values of the left and the right hemisphere's vertices."""
        surface = self.desk.surface(self._volume.subject)
        cells = np.append(spread(self._volume, self._voxel_map), np.float32(np.nan))
        left, right = np.split(cells[surface.vertex_cells()], [surface.n_vertices[0]])
        return left, right

    def __repr__(self) -> str:
        shown = np.count_nonzero(np.isfinite(self.values))
        return f"<BrainMap {self.title!r} of {self.model_id}: {shown} of {len(self.values)} voxels, {self.unit}>"

    @cached_property
    def _shown(self) -> bytes:
        return self.picture()

    def _repr_png_(self) -> bytes | None:
        return self._shown or None

    def _repr_html_(self) -> str:
        shown = f"{np.count_nonzero(np.isfinite(self.values)):,} of {len(self.values):,} voxels are shown"
        facts = [self.model_id, self.unit, f"colours from {self.limits[0]:.3g} to {self.limits[1]:.3g}", shown]
        table = None if self._shown else self.frame
        facts += [self.held_to, self.left_out]
        return answer_html(
            self.title, facts, table, simulated=self.simulated, warnings=self.warnings, picture=self._shown
        )
