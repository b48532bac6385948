"""`voxel-atlas ingest | check | dissect | plan`: their options are the fields of IngestConfig."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from ...schemas.config import FDR, DataConfig, FitConfig, IngestConfig, LabelConfig, Settings
from ...schemas.errors import AtlasError, BadInputError, MissingWeightsError, NotFoundError, redacted
from .console import FOR_PEOPLE, Bars, Output, rate, say
from .options import (
    DATA,
    FIT,
    LABELS,
    OTHER_LABELS,
    AtlasOption,
    DownloadOption,
    ModelArgument,
    OnErrorOption,
    WeightsOption,
    WorkersOption,
    between,
    open_store,
    settings_of,
)

if TYPE_CHECKING:
    from ...atlas.store.store import Store
    from ...ingest.datasets.interface import Dataset
    from ...ingest.datasets.inventory import Disk
    from ...ingest.plan import Plan
    from ...ingest.run import Parts, Pipeline

_CURVE = (
    "SELECT n_train AS images, median(r2) AS median_r2, median(r) AS median_r FROM learning_curve JOIN significance s "  # noqa: S608 - constant
    f"USING (model_id, voxel) WHERE model_id = ? AND s.q <= {FDR} GROUP BY ALL ORDER BY ALL"
)
"""The learning curve of the significant voxels."""

_COUNTS = (
    "SELECT (SELECT count(*) FROM encoding WHERE model_id = $model) AS n_fitted, "  # noqa: S608 - constant
    f"(SELECT count(*) FROM significance WHERE model_id = $model AND q <= {FDR}) AS n_significant, "
    f"(SELECT count(*) FROM semantic WHERE model_id = $model AND q <= {FDR}) AS n_semantic, "
    "(SELECT count(DISTINCT voxel) FROM label_score WHERE model_id = $model AND rank IS NOT NULL) AS n_labelled, "
    "(SELECT count(*) FROM dropped WHERE model_id = $model) AS n_dropped"
)
_DROPPED = "SELECT reason, count(*) AS n FROM dropped WHERE model_id = ? GROUP BY reason ORDER BY n DESC, reason"
"""What has become of a model's voxels."""

_REPEATED = {"rois": "roi", "skip_sessions": "skip-session", "methods": "method", "tasks": "task"}
"""Fields that hold several values, and the option that gives one of them and can be given again."""


def _option(field: str) -> str:
    return _REPEATED.get(field, field.replace("_", "-"))


def _dissect_option(field: str) -> str:
    return "voxels" if field == "dissect" else _option(field)


def _fields(group: Group, option: Callable[[str], str]) -> Parameter:
    """An option for each field of a model."""
    return Parameter(name="*", group=group, name_transform=option)


DataOptions = Annotated[DataConfig, _fields(DATA, _option)]
FitOptions = Annotated[FitConfig, _fields(FIT, _option)]
LabelOptions = Annotated[LabelConfig, _fields(LABELS, _option)]
LabelChanges = Annotated[
    LabelConfig,
    _fields(OTHER_LABELS, _dissect_option),
    Parameter(show_default=lambda _: "the model's own"),
]
DEFAULT_FIT, DEFAULT_LABELS = FitConfig(), LabelConfig()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class IngestOptions:
    """What `ingest` and `check` are asked to do with data, so that one command line serves both."""

    config: Annotated[
        Path | None, Parameter(help="YAML file with settings, before which options go; none: options alone.")
    ] = None
    fit: FitOptions = DEFAULT_FIT
    labels: LabelOptions = DEFAULT_LABELS
    weights: WeightsOption = None
    download: DownloadOption = False
    learning_curve: bool = False
    """Also fit every voxel on 5, 10, … 34 of 40 blocks of the images; can be added later."""
    on_error: OnErrorOption = "stop"
    workers: WorkersOption = ""
    output: Output = FOR_PEOPLE
    atlas: AtlasOption = ""

    def settings(self, data: DataConfig) -> IngestConfig:
        """All that the results will depend on."""
        return IngestConfig(**dict(data), **dict(self.fit), **dict(self.labels))


DEFAULT_INGEST = IngestOptions()


def ingest(*, data: DataOptions, options: IngestOptions = DEFAULT_INGEST) -> None:
    """Bring a subject's encoding models, labels and scores into the atlas, or go on with it."""
    from ...ingest.datasets import open_dataset

    config, settings = options.settings(data), settings_of(options.atlas)
    dataset = _on_its_surface(open_dataset(config, settings.home), settings)
    if (model_id := _finished(config, dataset, settings, options)) is not None:
        said = f"{model_id} is finished with these data and settings in {redacted(settings.address)}"
    else:
        model_id = _ingested(config, dataset, settings, options)
        said = f"{model_id} is in {redacted(settings.address)}"
    output = options.output
    if options.learning_curve:
        with open_store(settings, read_only=True) as store:
            output.show(store.frame(_CURVE, [model_id]))
        output = FOR_PEOPLE
    _tell(said, model_id, settings, output)


def _tell(said: str, model_id: str, settings: Settings, output: Output) -> None:
    """Say what a model has come to, and which commands make sense next."""
    with open_store(settings, read_only=True) as store:
        counts = store.frame(_COUNTS, {"model": model_id}).row(0, named=True)
        dropped = store.frame(_DROPPED, [model_id])
    output.report(said, {"model_id": model_id, "atlas": redacted(settings.address), **counts})
    if not output.for_people:
        return
    say("voxels: " + ", ".join(f"{n:,} {name.removeprefix('n_')}" for name, n in counts.items()))
    for reason, n in dropped.iter_rows():
        say(f"  dropped, as {reason}: {n:,}")
    asked = f'query "cake" --model {model_id}' if counts["n_labelled"] else f"dissect {model_id}"
    say("Next:")
    for command in (asked, f"flatmap --metric r2 --model {model_id} -o r2.png", f"report {model_id} -o report"):
        say(f"  voxel-atlas {command}")


def _finished(config: IngestConfig, dataset: "Dataset", settings: Settings, options: IngestOptions) -> str | None:
    """Id of the model if the atlas has it whole, known in seconds; a run that skips what is bad looks at all anew."""
    from ...ingest.identity import finished
    from ...ingest.run_record import new_run_id
    from ...ingest.stages.context import DataContext

    if options.on_error == "skip":
        return None
    try:
        opened = open_store(settings)
    except NotFoundError:  # nothing has been ingested yet
        return None
    with opened as store:
        context = DataContext(dataset=dataset, config=config, store=store, run_id=new_run_id())
        return finished(context, settings.home, options.weights, learning_curve=options.learning_curve)


def _ingested(config: IngestConfig, dataset: "Dataset", settings: Settings, options: IngestOptions) -> str:
    """Id of the model that is brought into the atlas."""
    from ...ingest.identity import remember
    from ...ingest.workers import open_workers

    skip = options.on_error == "skip"
    with open_workers(options.workers or settings.workers, settings.home) as workers:
        parts = _parts(config, settings, options, dataset)
        remember(settings.home, config.backbone, options.weights, parts.backbone)
        with open_store(settings, create=True) as store, Bars() as bars:
            pipeline = _pipeline(settings, store=store, progress=bars, workers=workers, skip_bad=skip)
            return pipeline.ingest(config, parts, learning_curve=options.learning_curve)


def check(*, data: DataOptions, options: IngestOptions = DEFAULT_INGEST) -> None:
    """List what is found of a data set, what is missing, and how big the job is."""
    from ...atlas.backbones import backbone_class
    from ...ingest.datasets import check_dataset

    config, settings = options.settings(data), settings_of(options.atlas)
    contents = check_dataset(config, settings.home, backbone_class(config.backbone).dim)
    options.output.show(contents.files)
    if contents.dataset and contents.dataset.subject.recognised:
        say(contents.dataset.subject.recognised)
    if size := contents.size:
        say(
            f"{size.n_images:,} images, {size.n_trials:,} trials, {size.n_voxels:,} voxels in {size.n_batches:,} "
            f"batches; about {size.ram_bytes / 2**30:.1f} GiB of memory."
        )
        say(_disk_cost(size.disk, settings.home))
        if size.n_probe_images:
            say(_probe_cost(config, size.n_probe_images, size.probe_bytes))
    problems = [*contents.problems, *_problems_of_parts(config, contents.dataset, settings, options)]
    if problems:
        raise BadInputError(" ".join(dict.fromkeys(problems)))
    say("Ready to ingest.")


def _problems_of_parts(
    config: IngestConfig, dataset: "Dataset | None", settings: Settings, options: IngestOptions
) -> list[str]:
    """Why an ingest of a data set that can be opened would not start its work: the preparation is its own."""
    from ...ingest.datasets.inventory import unusable_voxels
    from ...ingest.datasets.readable import require_readable, without_unreadable
    from ...ingest.run import prepared

    if dataset is None:
        return []
    problems = list[str]()
    try:
        parts = _parts(config, settings, options, _on_its_surface(dataset, settings))
        with Bars() as bars:
            if options.on_error == "skip":
                parts = replace(parts, dataset=without_unreadable(dataset, bars))
            else:
                require_readable(dataset, bars)
        prepared(config, parts)
        if left_out := unusable_voxels(parts.dataset, config):
            say(left_out)
    except AtlasError as error:
        problems.append(str(error))
    return problems


def _disk_cost(disk: "Disk", home: Path) -> str:
    """What is said of the disk that a whole job takes, and of what is free."""
    from ...ingest.datasets.probe import free_bytes

    parts = {"features": disk.features, "atlas": disk.atlas, "pictures of labels": disk.pictures, "copies": disk.copies}
    said = ", ".join(f"{name} {n_bytes / 2**30:.2f}" for name, n_bytes in parts.items() if n_bytes)
    free = free_bytes(home)
    said = f"About {disk.total / 2**30:.2f} GiB of disk ({said}); {free / 2**30:.2f} GiB are free at {home}"
    return said + (", which may not do." if free < disk.total else ".")


def _probe_cost(config: IngestConfig, n_images: int, n_bytes: int) -> str:
    """What is said of images that the subject need not have seen."""
    import time

    import numpy as np

    from ...atlas.backbones import load

    said = f"Voxels are described by {n_images:,} images, which are encoded once for all subjects: "
    said += f"{n_bytes / 2**30:.2f} GiB of disk, half of them while an ingest runs"
    try:
        backbone = load(config.backbone, home=settings_of().home)
    except MissingWeightsError:
        return f"{said}; the weights of {config.backbone} are not here to tell the time."
    pictures = list(np.random.default_rng(0).integers(0, 255, (16, 425, 425, 3), np.uint8))
    backbone.features(pictures[:1])
    start = time.perf_counter()
    backbone.features(pictures)
    return f"{said}, about {_duration((time.perf_counter() - start) * n_images / len(pictures))}."


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
        from ...atlas.search.atlas import Atlas

        model = Atlas(store, home=settings.home).model(name)
        config = self.config(IngestConfig.model_validate_json(model.config))
        return model.model_id, config, _parts(config, settings, self)


DEFAULT_DISSECTION = DissectionOptions()


def dissect(
    model: ModelArgument,
    /,
    *,
    options: DissectionOptions = DEFAULT_DISSECTION,
    on_error: OnErrorOption = "stop",
    workers: WorkersOption = "",
) -> None:
    """Label the voxels of a fitted model."""
    from ...ingest.workers import open_workers

    settings = settings_of(options.atlas)
    with (
        open_workers(workers or settings.workers, settings.home) as pool,
        open_store(settings) as store,
        Bars() as bars,
    ):
        pipeline = _pipeline(settings, store=store, progress=bars, workers=pool, skip_bad=on_error == "skip")
        model_id = pipeline.dissect(*options.model(model, store, settings))
    _tell(f"{model_id} is in {redacted(settings.address)}", model_id, settings, options.output)


def plan(
    model: ModelArgument,
    /,
    *,
    options: DissectionOptions = DEFAULT_DISSECTION,
    sample: Annotated[int, between(0)] = 100,
) -> None:
    """Say how much there will be to caption and to draw, and how long a dissection takes.

    Args:
        sample: Images to look at; 0 for all.
    """
    settings = settings_of(options.atlas)
    with open_store(settings, read_only=True) as store, Bars() as bars:
        model_id, config, parts = options.model(model, store, settings)
        planned = _pipeline(settings, store=store, progress=bars).plan(model_id, config, parts, n_sample=sample)
    _print_plan(config, planned, options.output)


def _on_its_surface(dataset: "Dataset", settings: Settings) -> "Dataset":
    """An open data set, which is seen to lie on its surface."""
    from ..maps.subject_cortex import on_its_surface

    dataset.subject = on_its_surface(dataset.subject, settings)
    return dataset


def _pipeline(settings: Settings, **how: Any) -> "Pipeline":
    """Where models are made, by the settings; `how` is the rest."""
    from ...ingest.run import Pipeline

    return Pipeline(home=settings.home, device=settings.device, batch_images=settings.batch_images, **how)


def _parts(
    config: IngestConfig,
    settings: Settings,
    options: "IngestOptions | DissectionOptions",
    dataset: "Dataset | None" = None,
) -> "Parts":
    """Data set and networks by their names in the settings."""
    from ...ingest.run import open_parts

    return open_parts(
        config,
        home=settings.home,
        device=settings.device,
        weights=options.weights,
        dataset=dataset,
        download=options.download or settings.download,
    )


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
            "time": "" if job.per_second == float("inf") else _duration(job.seconds),
        }
        for job in planned.jobs
    ]
    rows.append({**dict.fromkeys(rows[0], ""), "what": "together", "time": _duration(planned.seconds)})
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


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes:.0f} min" if minutes < 120 else f"{hours:.1f} h"
