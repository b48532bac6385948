"""Pictures of the cortex as GraphQL gives them out: an address and what is on it."""

import strawberry

from api.maps import ValueMap
from api.pictures import Picture


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
    n_values: int = strawberry.field(description="Voxels that have a value.")
    model_id: str = strawberry.field(description="The model.")
    subject_id: str = strawberry.field(description="Its subject.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    readout: str | None = strawberry.field(
        description="weights or pattern; null when the map is not a similarity to weights."
    )
    generation: int = strawberry.field(description="Number of the atlas's state that is shown.")

    @classmethod
    def of(cls, shown: ValueMap, picture: Picture) -> "Flatmap":
        """A picture that was given an address."""
        return cls(
            url=picture.url,
            sha256=picture.sha256,
            width=picture.width,
            height=picture.height,
            title=shown.title,
            unit=shown.unit,
            colormap=shown.scale.colormap,
            lo=shown.scale.vmin,
            hi=shown.scale.vmax,
            n_values=len(shown.voxels),
            model_id=shown.model["model_id"],
            subject_id=shown.model["subject_id"],
            simulated=shown.model["simulated"],
            readout=shown.readout,
            generation=shown.generation,
        )
