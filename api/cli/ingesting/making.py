"""What commands that make models or label them do alike: data on their surface, networks, and what came of it."""

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from ....schemas.config import FDR, IngestConfig, Settings
from ....schemas.errors import NotFoundError, StoreLockedError, redacted
from ....schemas.registry import BACKBONES
from ..console import Bars, Output, say
from ..options import open_store
from .ingest_options import IngestOptions

if TYPE_CHECKING:
    from ....ingest.datasets.interface import Dataset
    from ....ingest.run import Parts, Pipeline
    from ....ingest.workers import WorkerPool

_COUNTS = (
    "SELECT (SELECT count(*) FROM encoding WHERE model_id = $model) AS n_fitted, "  # noqa: S608 - constant
    f"(SELECT count(*) FROM significance WHERE model_id = $model AND q <= {FDR}) AS n_significant, "
    f"(SELECT count(*) FROM semantic WHERE model_id = $model AND q <= {FDR}) AS n_semantic, "
    "(SELECT count(DISTINCT voxel) FROM label_score WHERE model_id = $model AND rank IS NOT NULL) AS n_labelled, "
    "(SELECT count(*) FROM dropped WHERE model_id = $model) AS n_dropped"
)
_DROPPED = "SELECT reason, count(*) AS n FROM dropped WHERE model_id = ? GROUP BY reason ORDER BY n DESC, reason"
"""What has become of a model's voxels."""


class Maker:
    """Makes one model after the other, by workers and networks that stay until the block ends.

    Args:
        settings: where the atlas is.
        options: what is asked for.
    """

    def __init__(self, settings: Settings, options: IngestOptions) -> None:
        self.settings, self.options = settings, options
        self._open = ExitStack()
        self._last: tuple[IngestConfig, Parts] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def bars(self) -> Bars:
        """Where stages are shown."""
        return self._open.enter_context(Bars())

    @cached_property
    def _workers(self) -> "WorkerPool":
        from ....ingest.workers import open_workers

        return self._open.enter_context(open_workers(self.options.workers or self.settings.workers, self.settings.home))

    def model(self, config: IngestConfig, *, others: Literal["refuse", "leave", "wait"] = "refuse") -> tuple[str, bool]:
        """Bring a model into the atlas, or go on with it.

        Args:
            config: its settings.
            others: whether a process of this home folder that is at work on the model is waited for, or an error;
                `leave` also leaves a model alone that was begun in another home folder.

        Returns:
            Its id, and whether the atlas had it whole, which is known in seconds.

        Raises:
            AtlasError: as `Pipeline.ingest` does.
        """
        # A misspelt name is answered at once, not when libraries are loaded and the data are read.
        BACKBONES.require(config.backbone)
        from ....ingest.datasets import open_dataset
        from ....ingest.identity import claim, remember

        settings, options = self.settings, self.options
        dataset = on_its_surface(open_dataset(config, settings.home), settings)
        if (model_id := self._finished(config, dataset)) is not None:
            return model_id, True
        workers, skip = self._workers, options.on_error == "skip"
        parts = parts_of(config, settings, options.weights, options.download, dataset, like=self._last)
        self._last = config, parts
        remember(settings.home, config.backbone, options.weights, parts.backbone)
        with open_store(settings, create=True) as store:
            if others == "leave" and not claim(store, settings.home, config, dataset, parts.backbone):
                raise StoreLockedError("It was begun on another machine, which may be at work on it.")
            pipeline = pipeline_of(settings, store=store, progress=self.bars, workers=workers, skip_bad=skip)
            curve, wait = options.learning_curve, others == "wait"
            return pipeline.ingest(config, parts, learning_curve=curve, wait=wait), False

    def _finished(self, config: IngestConfig, dataset: "Dataset") -> str | None:
        """Id of the model if the atlas has it whole; a run that skips what is bad looks at all anew."""
        from ....ingest.identity import finished
        from ....ingest.run_record import new_run_id
        from ....ingest.stages.context import DataContext

        if self.options.on_error == "skip":
            return None
        try:
            opened = open_store(self.settings)
        except NotFoundError:  # nothing has been ingested yet
            return None
        with opened as store:
            context = DataContext(dataset=dataset, config=config, store=store, run_id=new_run_id())
            curve = self.options.learning_curve
            return finished(context, self.settings.home, self.options.weights, learning_curve=curve)


def tell(said: str, model_id: str, settings: Settings, output: Output) -> None:
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


def on_its_surface(dataset: "Dataset", settings: Settings) -> "Dataset":
    """An open data set, which is seen to lie on its surface."""
    from ...maps import subject_cortex

    dataset.subject = subject_cortex.on_its_surface(dataset.subject, settings)
    return dataset


def pipeline_of(settings: Settings, **how: Any) -> "Pipeline":
    """Where models are made, by the settings; `how` is the rest."""
    from ....ingest.run import Pipeline

    return Pipeline(home=settings.home, device=settings.device, batch_images=settings.batch_images, **how)


def parts_of(
    config: IngestConfig,
    settings: Settings,
    weights: Path | None,
    download: bool,
    dataset: "Dataset | None" = None,
    like: "tuple[IngestConfig, Parts] | None" = None,
) -> "Parts":
    """Data set and networks by their names in the settings; those of a model before it that has the same are taken."""
    from ....ingest.run import open_parts

    before, parts = like or (config, None)
    loaded = {
        name: getattr(parts, name)
        for name in ("backbone", "label_backbone", "captioner", "generator")
        if parts and getattr(before, name) == getattr(config, name)
    }
    return open_parts(
        config,
        home=settings.home,
        device=settings.device,
        weights=weights,
        dataset=dataset,
        download=download or settings.download,
        **loaded,
    )
