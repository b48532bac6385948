"""Maps as files: a model's values or colours, or the user's own map, on the flat map or from several sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, NotFoundError
from ...viz.render import flatmap, inflated, legend, vector
from ...viz.render.colormaps import Scale, fit_scale
from ...viz.render.contours import rings
from ...viz.render.legend import Names
from ...viz.surfaces.surface import Surface, regions
from ...viz.surfaces.user_maps import read_map
from .cortex_places import BUILT_WIDTHS, Place
from .top_labels import ColourMap
from .value_maps import ValueMap

Floats = NDArray[np.float32]
MEDIA_TYPES = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
Thing = TypeVar("Thing")
_PALE = np.float32(0.25)
"""Opacity of what is out of focus; the page's."""


@dataclass(frozen=True)
class Look:
    """How a map is drawn.

    Attributes:
        width: Pixels across.
        suffix: png, svg or pdf.
        rois: The ROIs that are outlined; None for all.
        views: Sides that the cortex is seen from; None for the flat map.
        kind: The surface that is seen from these sides.
        focus: Voxels that stand out, by number; the others are pale. None where none does.
        mark: A voxel that gets a ring on the flat map.
    """

    width: int = 1024
    suffix: str = "png"
    rois: tuple[str, ...] | None = None
    views: tuple[str, ...] | None = None
    kind: str = "inflated"
    focus: tuple[int, ...] | None = None
    mark: int | None = None

    def __post_init__(self) -> None:
        """Checks that there is such a picture."""
        if self.suffix not in MEDIA_TYPES:
            known = ", ".join(f".{suffix}" for suffix in MEDIA_TYPES)
            raise BadInputError(f"Pictures are {known} files, not {self.suffix or 'files without an ending'}.")
        if self.views is not None and self.suffix != "png":
            raise BadInputError(f"Views of the folded cortex are png pictures, not {self.suffix}; take png.")


@dataclass(frozen=True, eq=False)
class Cells:
    """What a surface's cells (voxels of its volume, or vertices) show.

    Attributes:
        values: (n_cells,), NaN for none; or (n_cells, 3) colours from 0 to 1.
        scale: Colormap and range; None where values are colours.
        title: Text above.
        unit: Quantity at the colour bar.
        note: Text at the right below.
        alpha: (n_cells,) opacity, or None.
        legend: Names and their colours, where values are colours.
    """

    values: Floats
    scale: Scale | None
    title: str
    unit: str
    note: str
    alpha: Floats | None = None
    legend: Names = ()


def on_cells(shown: ValueMap | ColourMap, place: Place, focus: Sequence[int] | None = None) -> Cells:
    """A model's map on its subject's surface; voxels out of focus are pale."""
    if isinstance(shown, ValueMap):
        alpha = _pale(shown.voxels, shown.alpha, focus)
        return Cells(
            values=place.on_surface(shown.voxels, shown.values),
            scale=shown.scale,
            title=shown.title,
            unit=shown.unit,
            note=_note(shown.model.model_id, simulated=shown.model.simulated),
            alpha=None if alpha is None else place.on_surface(shown.voxels, alpha),
        )
    top = shown.top
    alpha = _pale(top.voxels, None, focus)
    return Cells(
        values=np.stack([place.on_surface(top.voxels, shown.rgb[:, part]) for part in range(3)], 1),
        scale=None,
        title="First labels, coloured by meaning",
        unit="",
        note=f"trustworthiness {shown.colours.trustworthiness:.2f}, "
        + _note(top.model.model_id, simulated=top.model.simulated),
        alpha=None if alpha is None else place.on_surface(top.voxels, alpha),
        legend=shown.legend,
    )


def _pale(voxels: NDArray[np.int32], alpha: Floats | None, focus: Sequence[int] | None) -> Floats | None:
    """Opacities of voxels, (n,), when those in focus stand out."""
    if focus is None:
        return alpha
    share = np.where(np.isin(voxels, focus), np.float32(1), _PALE)
    return share if alpha is None else share * alpha


def own_map(files: Sequence[Path], surface: Surface, colormap: str, lo: float | None, hi: float | None) -> Cells:
    """A map that is in files: one NIfTI or CIFTI, or a left and a right GIFTI or MGH.

    Raises:
        SpaceMismatchError: It belongs to another volume, transform, mesh or hemisphere.
    """
    values = read_map(files, surface)
    names = " and ".join(file.name for file in files)
    return Cells(values, fit_scale(values, colormap, lo, hi), names, "value", "")


def draw(cells: Cells, surface: Surface, look: Look, place: Place | None = None) -> bytes:
    """The file.

    Args:
        cells: What is shown.
        surface: What it is shown on.
        look: How.
        place: The atlas's subject of this surface, which knows more regions; None where there is none.

    Raises:
        NotFoundError: The surface has no flat map, no such view, or no ROI or voxel of that name.
    """
    if look.views is not None:
        return _draw_views(cells, surface, look, place)
    pixels = place.pixels(look.width) if place else surface.pixel_map(look.width)
    lines = _wanted(look, surface.roi_outlines() if place is None else place.outlines, place)
    if place and look.mark is not None:
        lines[f"voxel {look.mark}"] = rings(pixels.index, place.cell(look.mark))
    render, render_colours = flatmap.render, flatmap.render_colours
    if look.suffix != "png":
        form: vector.Form = "svg" if look.suffix == "svg" else "pdf"
        render, render_colours = partial(vector.render, form=form), partial(vector.render_colours, form=form)
    if cells.scale is None:
        return render_colours(
            cells.values,
            pixels,
            alpha=cells.alpha,
            outlines=lines,
            title=cells.title,
            legend_names=cells.legend,
            note=cells.note,
        )
    return render(
        cells.values,
        pixels,
        colormap=cells.scale.colormap,
        vmin=cells.scale.vmin,
        vmax=cells.scale.vmax,
        alpha=cells.alpha,
        outlines=lines,
        title=cells.title,
        colorbar=cells.unit,
        note=cells.note,
    )


def height(shown: ValueMap | ColourMap, place: Place, look: Look) -> int:
    """Height in pixels of what `draw` makes of a model's map."""
    pixels = place.pixels(look.width) if look.views is None else _view(place.surface, look).pixels
    if isinstance(shown, ValueMap):
        return flatmap.picture_height(pixels, title=True, colorbar=True)
    above = legend.strip_height(legend.TITLE_UNITS, pixels.width)
    return above + pixels.height + legend.names_height(len(shown.legend), pixels.width, note=True)


def _view(surface: Surface, look: Look) -> inflated.View:
    # Building a view takes seconds: like flat maps, views are built for few widths.
    built = next((width for width in BUILT_WIDTHS if width >= look.width), BUILT_WIDTHS[-1])
    sides = look.views or inflated.DEFAULT_VIEWS
    return inflated.view(surface, width=built, kind=look.kind, views=sides).at(look.width)


def _draw_views(cells: Cells, surface: Surface, look: Look, place: Place | None) -> bytes:
    seen = _view(surface, look)
    drawn = regions(surface.name, None, surface.cache, surface.subject.parent)[1] if place is None else {}
    rois = _wanted(look, place.vertex_rois if place else drawn, place)
    if cells.scale is None:
        return inflated.render_colours(
            cells.values,
            seen,
            alpha=cells.alpha,
            rois=rois,
            title=cells.title,
            legend_names=cells.legend,
            note=cells.note,
        )
    return inflated.render(
        cells.values,
        seen,
        colormap=cells.scale.colormap,
        vmin=cells.scale.vmin,
        vmax=cells.scale.vmax,
        alpha=cells.alpha,
        rois=rois,
        title=cells.title,
        colorbar=cells.unit,
        note=cells.note,
    )


def _wanted(look: Look, known: Mapping[str, Thing], place: Place | None) -> dict[str, Thing]:
    """The regions that are outlined. One that the picture does not show is left out; one that nobody knows is not."""
    names = set(known) | (set(place.rois) if place else set())
    unknown = sorted(set(look.rois or ()) - names)
    if unknown:
        raise NotFoundError(
            f"There is no ROI {', '.join(unknown)[:80]} to outline; there are {', '.join(sorted(names))}."
        )
    return {name: thing for name, thing in known.items() if look.rois is None or name in look.rois}


def _note(model_id: str, *, simulated: bool) -> str:
    return f"{model_id}{' (simulated)' if simulated else ''}"
