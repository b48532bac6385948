"""Maps as files: a model's values or colours, or the user's own map, on the flat map or from several sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from ...schemas.errors import BadInputError, NotFoundError, meant
from ...viz.render import png, vector
from ...viz.render.colormaps import fit_scale
from ...viz.render.contours import contours, rings
from ...viz.render.picture import Picture
from ...viz.surfaces.pixel_map import Outlines, PixelMap, View
from ...viz.surfaces.projection import DEFAULT_VIEWS
from ...viz.surfaces.surface import Surface, regions
from ...viz.surfaces.user_maps import read_map
from .subject_cortex import SubjectCortex, built_width

MEDIA_TYPES = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
Region = TypeVar("Region")


@dataclass(frozen=True)
class RenderOptions:
    """How a map is drawn."""

    width: int = 1024
    """Pixels across."""
    suffix: str = "png"
    """png, svg or pdf."""
    rois: tuple[str, ...] | None = None
    """The ROIs that are outlined; None for all."""
    views: tuple[str, ...] | None = None
    """Sides that the cortex is seen from; None for the flat map."""
    kind: str = "inflated"
    """The surface that is seen from these sides."""
    focus: tuple[int, ...] | None = None
    """Voxels that stand out, by number; the others are pale. None where none does."""
    mark: int | None = None
    """A voxel that gets a ring on the flat map."""
    thick: int = 1
    """Depths between white matter and pia over which a flat map of a volume shows the mean; 1 for half-way."""

    def __post_init__(self) -> None:
        """Checks that there is such a picture."""
        if self.suffix not in MEDIA_TYPES:
            known = ", ".join(f".{suffix}" for suffix in MEDIA_TYPES)
            raise BadInputError(f"Pictures are {known} files, not {self.suffix or 'files without an ending'}.")
        if self.views is not None and self.suffix != "png":
            raise BadInputError(f"Views of the folded cortex are png pictures, not {self.suffix}; take png.")
        if self.views is not None and self.thick != 1:
            raise BadInputError("Views of the folded cortex show one depth; a mean over depths is of the flat map.")


def user_picture(files: Sequence[Path], surface: Surface, colormap: str, lo: float | None, hi: float | None) -> Picture:
    """A map that is in files: one NIfTI or CIFTI, or a left and a right GIFTI or MGH.

    Raises:
        SpaceMismatchError: it belongs to another volume, transform, mesh or hemisphere.
    """
    values = read_map(files, surface)
    names = " and ".join(file.name for file in files)
    return Picture(values, fit_scale(values, colormap, lo, hi), title=names, unit="value")


def render(picture: Picture, surface: Surface, options: RenderOptions, cortex: SubjectCortex | None = None) -> bytes:
    """The file.

    Args:
        picture: what is shown.
        surface: what it is shown on.
        options: how.
        cortex: the atlas's subject of this surface, which knows more regions; None where there is none.

    Raises:
        NotFoundError: the surface has no flat map, no such view, or no ROI or voxel of that name.
    """
    pixels: PixelMap
    lines: Outlines
    if options.views is not None:
        pixels = view = _view(surface, options)
        drawn = regions(surface.name, None, surface.cache, surface.subject.parent)[1] if cortex is None else {}
        lines = contours(view.vertex, _chosen(options, cortex.vertex_rois if cortex else drawn, cortex))
    else:
        pixels = cortex.pixels(options.width) if cortex else surface.pixel_map(options.width)
        lines = _chosen(options, cortex.outlines if cortex else surface.roi_outlines(), cortex)
        if cortex and options.mark is not None:
            lines[f"voxel {options.mark}"] = rings(pixels.index, cortex.cell(options.mark))
        if options.thick != 1:
            picture, pixels = _blended(picture, surface, options)
    outlined = replace(picture, outlines=lines)
    return png.render(outlined, pixels) if options.suffix == "png" else vector.render(outlined, pixels, options.suffix)


def _blended(picture: Picture, surface: Surface, options: RenderOptions) -> tuple[Picture, PixelMap]:
    """The picture as a mean over depths, and the flat map whose own pixels it is of."""
    columns = [picture.values] if picture.alpha is None else [picture.values, picture.alpha]
    means, pixels = surface.blend(np.stack(columns, axis=1), built_width(options.width), options.thick)
    values, *alpha = means.T
    unit = picture.unit and f"{picture.unit}, mean over {options.thick} depths"
    return replace(picture, values=values, alpha=alpha[0] if alpha else None, unit=unit), pixels.at(options.width)


def height(picture: Picture, cortex: SubjectCortex, options: RenderOptions) -> int:
    """Height in pixels of what `render` makes of a subject's map."""
    flat = options.views is None
    return picture.height(cortex.pixels(options.width) if flat else _view(cortex.surface, options))


def _view(surface: Surface, options: RenderOptions) -> View:
    views = options.views or DEFAULT_VIEWS
    return surface.view(built_width(options.width), options.kind, views).at(options.width)


def _chosen(options: RenderOptions, known: Mapping[str, Region], cortex: SubjectCortex | None) -> dict[str, Region]:
    """The regions that are outlined. One that the picture does not show is left out; one that nobody knows is not."""
    names = set(known) | (set(cortex.rois) if cortex else set())
    unknown = sorted(set(options.rois or ()) - names)
    if unknown:
        raise NotFoundError(
            f"There is no ROI {', '.join(unknown)[:80]} to outline; there are {', '.join(sorted(names))}."
            f"{meant(unknown[0], names)}"
        )
    return {name: region for name, region in known.items() if options.rois is None or name in options.rois}
