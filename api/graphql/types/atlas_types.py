"""The atlas as a whole, and its ingests."""

import datetime

import strawberry


@strawberry.type(description="What this server holds.")
class AtlasInfo:
    """The atlas as a whole."""

    format: int = strawberry.field(description="Format of its tables, from 1.")
    generation: int = strawberry.field(description="Number of its state; it grows with every committed batch.")
    simulated: bool = strawberry.field(description="True when any subject's responses were computed, not measured.")
    n_subjects: int = strawberry.field(description="Subjects.")
    n_models: int = strawberry.field(description="Encoding models.")
    n_voxels: int = strawberry.field(description="Fitted voxels over all models.")


@strawberry.type(description="One ingest.")
class Run:
    """The latest state of a run."""

    run_id: str = strawberry.field(description="The run.")
    model_id: str = strawberry.field(description="The model that it fills.")
    state: str = strawberry.field(description="started, finished, interrupted or failed.")
    code_version: str = strawberry.field(description="Version of voxel-atlas that ran.")
    recorded_at: datetime.datetime = strawberry.field(description="When it came into this state (UTC).")
    message: str = strawberry.field(description="Empty, or the sentence that says why it ended.")
