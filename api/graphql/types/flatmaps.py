"""Pictures of the cortex as GraphQL gives them out: an address and what is on it."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import strawberry

from ....schemas.errors import BadInputError
from ...maps.picture_cache import PictureAddress
from ...maps.rendering import RenderOptions
from ...maps.top_labels import ColourMap
from ...maps.value_maps import ValueMap
from ..request_context import Info
from .enums import Baseline, PictureFormat, ViewSide
from .fields import filled, finite

MIN_WIDTH, MAX_WIDTH = 64, 4096
MOST_DEPTHS = 32
"""Of a mean; a picture of 4,096 pixels then takes 20 s of computing."""
Width = Annotated[int, strawberry.argument(description="Width in pixels, 64 to 4,096.")]
Format = Annotated[PictureFormat, strawberry.argument(description="File format.")]
Outlined = Annotated[
    list[str] | None, strawberry.argument(description="Regions to outline; all by default, [] for none.")
]
Views = Annotated[
    list[ViewSide] | None,
    strawberry.argument(
        description="Sides that the inflated cortex is seen from, as png; null for the flat map, [] for lateral, "
        "medial, ventral and posterior."
    ),
]
Focus = Annotated[
    list[int] | None,
    strawberry.argument(description="Numbers of the voxels that stand out, the others being pale; null for none."),
]
Mark = Annotated[
    int | None, strawberry.argument(description="Number of a voxel that gets a ring on the flat map; null for none.")
]

Range = Annotated[list[float] | None, strawberry.argument(description="Values of the first and the last colour.")]
Thick = Annotated[
    int,
    strawberry.argument(
        description="A volume's flat map shows the mean over so many depths between white matter and pia, 1 to 32; 1 "
        "for half-way. NSD's warps have 3."
    ),
]


def picture_url(info: Info, address: PictureAddress) -> str:
    """Where a picture is fetched."""
    return info.context.path(f"/flatmaps/{address.sha256}.{address.suffix}")


@strawberry.type(description="A picture of a map on the flattened cortex.")
class Flatmap:
    """Where to fetch a picture, and how to read it."""

    url: str = strawberry.field(description="Path on this server; its content never changes.")
    sha256: str = strawberry.field(description="SHA-256 of the request, the atlas's generation and the renderer.")
    width: int = strawberry.field(description="Width in pixels.")
    height: int = strawberry.field(description="Height in pixels.")
    title: str = strawberry.field(description="What is shown.")
    unit: str = strawberry.field(description="The quantity, as the colour bar names it.")
    colormap: str = strawberry.field(description="Name of the colormap (matplotlib's names).")
    lo: float = strawberry.field(description="Value of the first colour, in `unit`.")
    hi: float = strawberry.field(description="Value of the last colour, in `unit`.")
    n_values: int = strawberry.field(description="Voxels that are shown.")
    model_id: str = strawberry.field(description="The model.")
    subject_id: str = strawberry.field(description="Its subject.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    readout: str | None = strawberry.field(
        description="weights, half or pattern; null when the map is not a similarity to weights."
    )
    baseline: Baseline | None = strawberry.field(
        description="What the concept is a contrast to; null where none is shown."
    )
    held_to: str = strawberry.field(
        description="What voxels must pass to be shown, in the picture's words; empty where nothing is asked of them."
    )
    n_bare: int = strawberry.field(
        description="Voxels that are left out as contrast and edges may explain what is predicted of them."
    )
    method: str | None = strawberry.field(
        description="The method that scored the labels; null when the map is not made of labels."
    )
    warnings: list[str] = strawberry.field(
        description="A sentence for each word that the text tower does not seem to know."
    )
    generation: int = strawberry.field(description="Number of the atlas's state that is shown.")

    @classmethod
    def of(cls, info: Info, values: ValueMap, address: PictureAddress) -> "Flatmap":
        """A picture that was given an address."""
        return filled(
            cls,
            vars(values.model),
            vars(values),
            vars(address),
            url=picture_url(info, address),
            colormap=values.scale.colormap,
            lo=values.scale.vmin,
            hi=values.scale.vmax,
            n_values=int(np.count_nonzero(np.isfinite(values.values))),
            n_bare=values.bare,
            held_to=values.held_to,
            baseline=Baseline(values.request.baseline) if values.request.concept else None,
        )


@strawberry.type(description="A label and its colour in a picture.")
class LegendEntry:
    """One name of a legend."""

    text: str = strawberry.field(description="The label.")
    n_voxels: int = strawberry.field(description="Voxels whose first label it is.")
    colour: str = strawberry.field(description="Red, green and blue as #rrggbb.")


@strawberry.type(
    name="LabelColours",
    description="A picture of voxels in the colours of their first labels (UMAP in three dimensions).",
)
class LabelColoursPicture:
    """Where to fetch the picture, and how to read it."""

    url: str = strawberry.field(description="Path on this server; its content never changes.")
    width: int = strawberry.field(description="Width in pixels.")
    height: int = strawberry.field(description="Height in pixels.")
    legend: list[LegendEntry] = strawberry.field(
        description="The 50 commonest first labels, those of most voxels first."
    )
    trustworthiness: float | None = strawberry.field(
        description="How far neighbours in colour are neighbours in embedding (Venna & Kaski 2001), 0 to 1; null for "
        "fewer than 3 labels."
    )
    n_voxels: int = strawberry.field(description="Voxels that have a label.")
    model_id: str = strawberry.field(description="The model.")
    subject_id: str = strawberry.field(description="Its subject.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    method: str = strawberry.field(description="The method that scored the labels, for example brainlmm-eq2.")
    generation: int = strawberry.field(description="Number of the atlas's state that is shown.")

    @classmethod
    def of(cls, info: Info, coloured: ColourMap, address: PictureAddress) -> "LabelColoursPicture":
        """A picture that was given an address."""
        entries = zip(coloured.legend, coloured.top.counts, strict=False)
        return filled(
            cls,
            vars(coloured.model),
            vars(coloured.top),
            vars(address),
            url=picture_url(info, address),
            legend=[
                LegendEntry(text=text, n_voxels=count, colour="#{:02x}{:02x}{:02x}".format(*rgb))
                for (text, rgb), count in entries
            ],
            trustworthiness=finite(coloured.colours.trustworthiness),
            n_voxels=len(coloured.top.voxels),
        )


def colour_range(bounds: Sequence[float] | None) -> tuple[float | None, float | None]:
    """Values of the first and of the last colour; None where nothing says them.

    Raises:
        BadInputError: not two numbers.
    """
    if bounds is not None and len(bounds) != 2:
        raise BadInputError(f"range has {len(bounds)} numbers; give two, the values of the first and last colour.")
    return (bounds[0], bounds[1]) if bounds else (None, None)


def render_options(
    width: int,
    form: PictureFormat,
    rois: Sequence[str] | None,
    views: Sequence[ViewSide] | None,
    focus: Sequence[int] | None,
    mark: int | None,
    thick: int = 1,
) -> RenderOptions:
    """What a query says about how a picture looks.

    Raises:
        BadInputError: the width or the number of depths is out of range, or there is no such picture in this format.
    """
    if not 1 <= thick <= MOST_DEPTHS:
        raise BadInputError(f"thick is {thick}; take 1 to {MOST_DEPTHS} depths.")
    if not MIN_WIDTH <= width <= MAX_WIDTH:
        raise BadInputError(f"width is {width}; take {MIN_WIDTH} to {MAX_WIDTH} pixels.")
    return RenderOptions(
        width=width,
        suffix=form.value,
        rois=None if rois is None else tuple(sorted(rois)),
        views=None if views is None else tuple(view.value for view in views),
        focus=None if focus is None else tuple(sorted(set(focus))),
        mark=mark,
        thick=thick,
    )
