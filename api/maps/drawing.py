"""Maps as files: a model's values or colours, or the user's own map, on the flat map or from several sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, NotFoundError
from ...viz.render import png, vector
from ...viz.render.colormaps import fit_scale
from ...viz.render.contours import contours, rings
from ...viz.render.picture import Picture
from ...viz.surfaces.pixel_map import Outlines, PixelMap, View
from ...viz.surfaces.projection import DEFAULT_VIEWS
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


def on_cells(shown: ValueMap | ColourMap, place: Place, focus: Sequence[int] | None = None) -> Picture:
    """A model's map on its subject's surface; voxels out of focus are pale."""
    if isinstance(shown, ValueMap):
        alpha = _pale(shown.voxels, shown.alpha, focus)
        return Picture(
            values=place.on_surface(shown.voxels, shown.values),
            scale=shown.scale,
            title=shown.title,
            unit=shown.unit,
            note=_note(shown.model.model_id, simulated=shown.model.simulated),
            alpha=None if alpha is None else place.on_surface(shown.voxels, alpha),
        )
    top = shown.top
    alpha = _pale(top.voxels, None, focus)
    return Picture(
        values=np.stack([place.on_surface(top.voxels, shown.rgb[:, part]) for part in range(3)], 1),
        title="First labels, coloured by meaning",
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


def own_map(files: Sequence[Path], surface: Surface, colormap: str, lo: float | None, hi: float | None) -> Picture:
    """A map that is in files: one NIfTI or CIFTI, or a left and a right GIFTI or MGH.

    Raises:
        SpaceMismatchError: It belongs to another volume, transform, mesh or hemisphere.
    """
    values = read_map(files, surface)
    names = " and ".join(file.name for file in files)
    return Picture(values, fit_scale(values, colormap, lo, hi), title=names, unit="value")


def draw(picture: Picture, surface: Surface, look: Look, place: Place | None = None) -> bytes:
    """The file.

    Args:
        picture: What is shown.
        surface: What it is shown on.
        look: How.
        place: The atlas's subject of this surface, which knows more regions; None where there is none.

    Raises:
        NotFoundError: The surface has no flat map, no such view, or no ROI or voxel of that name.
    """
    pixels: PixelMap
    lines: Outlines
    if look.views is not None:
        pixels = view = _view(surface, look)
        drawn = regions(surface.name, None, surface.cache, surface.subject.parent)[1] if place is None else {}
        lines = contours(view.vertex, _wanted(look, place.vertex_rois if place else drawn, place))
    else:
        pixels = place.pixels(look.width) if place else surface.pixel_map(look.width)
        lines = _wanted(look, place.outlines if place else surface.roi_outlines(), place)
        if place and look.mark is not None:
            lines[f"voxel {look.mark}"] = rings(pixels.index, place.cell(look.mark))
    outlined = replace(picture, outlines=lines)
    return png.render(outlined, pixels) if look.suffix == "png" else vector.render(outlined, pixels, look.suffix)


def height(shown: ValueMap | ColourMap, place: Place, look: Look) -> int:
    """Height in pixels of what `draw` makes of a model's map."""
    pixels = place.pixels(look.width) if look.views is None else _view(place.surface, look)
    return on_cells(shown, place).height(pixels)


def _view(surface: Surface, look: Look) -> View:
    # Building a view takes seconds: like flat maps, views are built for few widths.
    built = next((width for width in BUILT_WIDTHS if width >= look.width), BUILT_WIDTHS[-1])
    return surface.view(built, look.kind, look.views or DEFAULT_VIEWS).at(look.width)


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
