"""`voxel-atlas ingest | check`: a subject's models, or those of a study of many subjects and networks."""

from dataclasses import replace
from typing import TYPE_CHECKING

from ....schemas.config import FDR, IngestConfig, Settings
from ....schemas.errors import AtlasError, BadInputError, MissingWeightsError, redacted
from ..console import FOR_PEOPLE, Bars, duration, say
from ..options import open_store, settings_of
from .ingest_options import DEFAULT_INGEST, DataOptions, IngestOptions
from .making import Maker, on_its_surface, parts_of, tell
from .study_commands import bring_study, check_study, disk_cost

if TYPE_CHECKING:
    from ....ingest.datasets.interface import Dataset
    from ....ingest.datasets.inventory import Size
    from ....ingest.run import Parts

_CURVE = (
    "SELECT n_train AS images, median(r2) AS median_r2, median(r) AS median_r FROM learning_curve JOIN significance s "  # noqa: S608 - constant
    f"USING (model_id, voxel) WHERE model_id = ? AND s.q <= {FDR} GROUP BY ALL ORDER BY ALL"
)
"""The learning curve of the significant voxels."""


def ingest(*, data: DataOptions, options: IngestOptions = DEFAULT_INGEST) -> None:
    """Bring a subject's encoding models, labels and scores into the atlas, or go on with it."""
    settings = settings_of(options.atlas)
    with Maker(settings, options) as maker:
        if options.study:
            bring_study(maker, options.models(data), options.output)
            return
        model_id, was_whole = maker.model(options.settings(data))
    said = "is finished with these data and settings in" if was_whole else "is in"
    output = options.output
    if options.learning_curve:
        with open_store(settings, read_only=True) as store:
            output.show(store.frame(_CURVE, [model_id]))
        output = FOR_PEOPLE
    tell(f"{model_id} {said} {redacted(settings.address)}", model_id, settings, output)


def check(*, data: DataOptions, options: IngestOptions = DEFAULT_INGEST) -> None:
    """List what is found of a data set, what is missing, and how big the job is."""
    from ....atlas.backbones import backbone_class
    from ....ingest.datasets import check_dataset

    settings = settings_of(options.atlas)
    preparation = _Preparation(settings, options)
    if options.study:
        check_study(options.models(data), settings, options.output, preparation.problems)
        return
    config = options.settings(data)
    contents = check_dataset(config, settings.home, backbone_class(config.backbone).dim)
    options.output.show(contents.files)
    if contents.dataset and contents.dataset.subject.recognised:
        say(contents.dataset.subject.recognised)
    if size := contents.size:
        say(
            f"{size.n_images:,} images, {size.n_trials:,} trials, {size.n_voxels:,} voxels in {size.n_batches:,} "
            f"batches; about {size.ram_bytes / 2**30:.1f} GiB of memory."
        )
        say(disk_cost(size.disk, settings))
        if size.n_probe_images:
            say(_probe_cost(config, settings, options, size))
    problems = [*contents.problems, *preparation.problems(config, contents.dataset)]
    if problems:
        raise BadInputError(" ".join(dict.fromkeys(problems)))
    say("Ready to ingest.")


class _Preparation:
    """Why ingests would not start their work, whose preparation this is.

    Networks that models after each other share are loaded once, and a data set's images are looked at once.

    Args:
        settings: where the atlas is.
        options: what is asked for.
    """

    def __init__(self, settings: Settings, options: IngestOptions) -> None:
        self._settings, self._options = settings, options
        self._last: tuple[IngestConfig, Parts] | None = None
        self._readable = set[str]()

    def problems(self, config: IngestConfig, dataset: "Dataset | None") -> list[str]:
        """Why the ingest of a data set, which is None where it cannot be opened, would not start: one or none."""
        from ....ingest.datasets.inventory import unusable_voxels
        from ....ingest.datasets.readable import require_readable, without_unreadable
        from ....ingest.run import prepared

        if dataset is None:
            return []
        settings, options = self._settings, self._options
        try:
            dataset = on_its_surface(dataset, settings)
            parts = parts_of(config, settings, options.weights, options.download, dataset, like=self._last)
            self._last = config, parts
            with Bars() as bars:
                if options.on_error == "skip":
                    parts = replace(parts, dataset=without_unreadable(dataset, bars))
                elif dataset.fingerprint not in self._readable:
                    require_readable(dataset, bars)
                    self._readable.add(dataset.fingerprint)
            prepared(config, parts)
            if left_out := unusable_voxels(parts.dataset, config):
                say(left_out)
        except AtlasError as error:
            return [str(error)]
        return []


def _probe_cost(config: IngestConfig, settings: Settings, options: IngestOptions, size: "Size") -> str:
    """What is said of images that the subject need not have seen."""
    from ....atlas.backbones import load
    from ....ingest.study_plan import seconds_per_image

    said = f"Voxels are described by {size.n_probe_images:,} images, which are encoded once for all subjects: "
    said += f"{size.probe_bytes / 2**30:.2f} GiB of disk, half of them while an ingest runs"
    try:
        backbone = load(config.backbone, weights=options.weights, device=settings.device, home=settings.home)
    except MissingWeightsError:
        return f"{said}; the weights of {config.backbone} are not here to tell the time."
    return f"{said}, about {duration(size.n_probe_images * seconds_per_image(backbone))}."
