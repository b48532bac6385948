"""Concepts beside each other and beside the vocabulary."""

import strawberry

from ..request_context import Info
from .enums import Readout, ReadoutArgument
from .fields import field, filled
from .label_types import ModelArgument


@strawberry.type(name="NullBand", description="What the vocabulary's nouns look like in a model's voxels.")
class NullBandNode:
    """The band of each voxel comes as a frame from /frames/null_band, and inside or not from /values with band=1."""

    model_id: str = strawberry.field(description="The model.")
    subject_id: str = strawberry.field(description="Its subject.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    generation: int = strawberry.field(description="Number of the atlas's state.")
    readout: Readout = strawberry.field(description="Which vector of a voxel is compared.")
    n_words: int = strawberry.field(description="Nouns of the vocabulary.")
    reach: float = strawberry.field(
        description="Similarity at the ends of the scale of concepts' maps: 99 % of the nouns' are nearer to 0."
    )
    reach_z: float = strawberry.field(description="The same of their z; 0 where z is not known.")


@strawberry.type
class ContrastQueries:
    """Root fields about concepts beside each other."""

    @field("The scale of a model's maps, by the vocabulary's nouns; `flatmap` takes it, and the band, too.")
    def null_band(self, info: Info, model: ModelArgument = None, readout: ReadoutArgument = None) -> NullBandNode:
        """One scale for the maps of all concepts."""
        owner = info.context.atlas.model(model)
        chosen = readout.value if readout else None
        band, reach = owner.null_band(readout=chosen), owner.reach(readout=chosen)
        reach_z = owner.reach(readout=chosen, z=True)
        about = vars(owner) | vars(band)
        return filled(NullBandNode, about, readout=Readout(band.readout), reach=reach, reach_z=reach_z)
