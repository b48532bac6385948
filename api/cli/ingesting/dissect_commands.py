"""`voxel-atlas dissect | plan`: labels of a model that is fitted, and what they will cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ....schemas.config import IngestConfig, LabelConfig, Settings
from ....schemas.errors import BadInputError, redacted
from ..console import FOR_PEOPLE, Bars, Output, duration, rate, say
from ..options import (
    OTHER_LABELS,
    AtlasOption,
    DownloadOption,
    ModelArgument,
    OnErrorOption,
    PlannedArgument,
    WeightsOption,
    WorkersOption,
    between,
    open_store,
    settings_of,
)
from .ingest_options import DEFAULT_LABELS, Study, fields, models_of_study, option_of
from .making import parts_of, pipeline_of, tell
from .study_commands import plan_study

if TYPE_CHECKING:
    from ....atlas.store.store import Store
    from ....ingest.plan import Plan
    from ....ingest.run import Parts


def _dissect_option(field: str) -> str:
    return "voxels" if field == "dissect" else option_of(field)


LabelChanges = Annotated[
    LabelConfig,
    fields(OTHER_LABELS, _dissect_option),
    Parameter(show_default=lambda _: "the model's own"),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DissectionOptions:
    """What `dissect` and `plan` are asked to do with a fitted model."""

    labels: LabelChanges = DEFAULT_LABELS
    scorers: Annotated[list[str] | None, Parameter(name="--scorer")] = None
    """How labels are scored: eq2 (paper), fused, joint or released (its code); can be given again; none: as before."""
    weights: WeightsOption = None
    download: DownloadOption = False
    output: Output = FOR_PEOPLE
    atlas: AtlasOption = ""

    def config(self, fitted: IngestConfig) -> IngestConfig:
        """The model's own settings, and the changes to them."""
        changes = self.labels.model_dump(exclude_unset=True)
        # Scorers take the place of the model's own, and other methods come beside them.
        beside = changes.get("methods", ())
        kept = [f"brainlmm-{name.removeprefix('brainlmm-')}" for name in self.scorers or ()]
        kept = kept or [method for method in fitted.methods if method not in beside]
        changes["methods"] = tuple(dict.fromkeys([*kept, *beside]))
        # A model that was fitted without labels is dissected all the same when one asks for it.
        voxels = {"dissect": "significant"} if fitted.dissect == "none" else {}
        return IngestConfig.model_validate({**fitted.model_dump(), **voxels, **changes})

    def model(self, name: str, store: "Store", settings: Settings) -> tuple[str, IngestConfig, "Parts"]:
        """Id of the model of that name, the settings to label it by, and what they name."""
        from ....atlas.search.atlas import Atlas

        model = Atlas(store, home=settings.home).model(name)
        config = self.config(IngestConfig.model_validate_json(model.config))
        return model.model_id, config, parts_of(config, settings, self.weights, self.download)


DEFAULT_DISSECTION = DissectionOptions()
_SAMPLE = 100
"""Images that `plan` looks at."""


def dissect(
    model: ModelArgument,
    /,
    *,
    options: DissectionOptions = DEFAULT_DISSECTION,
    on_error: OnErrorOption = "stop",
    workers: WorkersOption = "",
) -> None:
    """Label the voxels of a fitted model."""
    from ....ingest.workers import open_workers

    settings = settings_of(options.atlas)
    with (
        open_workers(workers or settings.workers, settings.home) as pool,
        open_store(settings) as store,
        Bars() as bars,
    ):
        pipeline = pipeline_of(settings, store=store, progress=bars, workers=pool, skip_bad=on_error == "skip")
        model_id = pipeline.dissect(*options.model(model, store, settings))
    tell(f"{model_id} is in {redacted(settings.address)}", model_id, settings, options.output)


def plan(
    model: PlannedArgument = None,
    /,
    *,
    config: Annotated[
        Path | None,
        Parameter(
            help="YAML file of a study, before which options go: time and disk of all its models; none: of a model."
        ),
    ] = None,
    study: Study = (),
    options: DissectionOptions = DEFAULT_DISSECTION,
    sample: Annotated[int | None, between(0), Parameter(show_default=lambda _: str(_SAMPLE))] = None,
) -> None:
    """Say how much there will be to caption and to draw, and how long a dissection takes.

    Args:
        sample: Images to look at; 0 for all.
    """
    settings = settings_of(options.atlas)
    if (model is None) == (config is None):
        raise BadInputError("`plan` takes a model that is fitted, or --config with a study, and one of the two.")
    if model is None:
        of_fitted = {"--scorer": options.scorers, "--sample": sample}
        if given := [option for option, value in of_fitted.items() if value is not None]:
            raise BadInputError(
                f"`plan` takes {' and '.join(given)} with a model that is fitted, and not with --config; leave it out, "
                "and name scorers of a study as `ingest` takes them: --method brainlmm-joint, for one."
            )
        changes = options.labels.model_dump(exclude_unset=True)
        configs = models_of_study(changes, study, options.weights)
        download = options.download or settings.download
        plan_study(configs, settings, options.output, weights=options.weights, download=download)
        return
    with open_store(settings, read_only=True) as store, Bars() as bars:
        model_id, settled, parts = options.model(model, store, settings)
        n_sample = _SAMPLE if sample is None else sample
        planned = pipeline_of(settings, store=store, progress=bars).plan(model_id, settled, parts, n_sample=n_sample)
    _print_plan(settled, planned, options.output)


def _print_plan(config: IngestConfig, planned: "Plan", output: Output) -> None:
    import polars as pl

    about = "all" if planned.n_looked_at == planned.n_images else f"estimated from {planned.n_looked_at}"
    say(f"{planned.n_voxels:,} voxels want {planned.n_images:,} different images ({about}).")
    rows = [
        {
            "what": job.what,
            "number": f"{job.number:,}",
            "done": f"{job.done:,}",
            "per second": "" if job.per_second == float("inf") else rate(job.per_second),
            "time": "" if job.per_second == float("inf") else duration(job.seconds),
        }
        for job in planned.jobs
    ]
    rows.append({**dict.fromkeys(rows[0], ""), "what": "together", "time": duration(planned.seconds)})
    output.show(pl.DataFrame(rows))
    if output.for_people:
        cuts = [
            {
                "min_voxels_per_label": limit,
                "labels": n,
                "pictures": n * config.images_per_label,
                "cut": f"{1 - n / max(1, planned.labels[1]):.0%}",
            }
            for limit, n in planned.labels.items()
        ]
        output.show(pl.DataFrame(cuts))
