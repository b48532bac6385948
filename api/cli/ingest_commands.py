"""`voxel-atlas ingest` and `voxel-atlas check`: their options are the fields of IngestConfig, one each."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from pydantic import TypeAdapter
from rich.console import Console

from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError
from .config_options import (
    ON_ERROR_HELP,
    WORKERS_HELP,
    OnError,
    field_parameters,
    given_settings,
    parameter,
    settings_from_yaml,
    style_parameters,
)
from .options import settings_of, style_of

screen, output = Console(stderr=True), Console()

_FILLED_IN = {"data_sha256", "backbone_sha256", "preprocessing"}
_CURVE = (
    "SELECT n_train AS images, median(r2) AS median_r2, median(r) AS median_r FROM learning_curve JOIN significance s "
    "USING (model_id, voxel) WHERE model_id = ? AND s.q <= 0.05 GROUP BY ALL ORDER BY ALL"
)
"""The learning curve of the significant voxels."""


def register(app: typer.Typer) -> None:
    """Add the two commands."""
    app.command(
        "ingest", help="Bring a subject's encoding models, labels and scores into the atlas, or go on with it."
    )(_with_options(_ingest))
    app.command("check", help="List what is found of a data set, what is missing, and how big the job is.")(
        _with_options(_check)
    )


@dataclass(frozen=True)
class _Job:
    """What a command is to do besides its configuration: nothing here changes what a model is."""

    weights: Path | None = None
    atlas: str = ""
    learning_curve: bool = False
    on_error: OnError = "stop"
    workers: str = ""
    json: bool = False
    csv: bool = False


def _with_options(command: Callable[[IngestConfig, _Job], None]) -> Callable[..., None]:
    """A function with one option for each field of IngestConfig and of _Job, whose values `command` gets."""

    def run(**given: Any) -> None:
        chosen = given_settings(given)
        settings = {**settings_from_yaml(chosen.pop("config", None)), **chosen}
        job = {name: settings.pop(name) for name in _Job.__dataclass_fields__ if name in settings}
        command(IngestConfig.model_validate(settings), TypeAdapter(_Job).validate_python(job))

    parameters = [
        parameter("config", Path | None, "YAML file with settings; options go before it."),
        parameter("weights", Path | None, "File of the backbone's weights; none: the library's own cache."),
        parameter("atlas", str | None, "Address of the atlas; none: the default one."),
        parameter(
            "learning_curve",
            bool | None,
            "Also fit every voxel on 5, 10, … 34 of 40 blocks of the images; can be added later.",
            option="learning-curve/--no-learning-curve",
        ),
        parameter("on_error", str | None, ON_ERROR_HELP),
        parameter("workers", str | None, WORKERS_HELP),
        *style_parameters(),
    ]
    parameters += field_parameters(name for name in IngestConfig.model_fields if name not in _FILLED_IN)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # how typer learns of the options
    return run


def _ingest(config: IngestConfig, job: _Job) -> None:
    from ...atlas.backbones import load
    from ...atlas.store.store import Store
    from ...ingest.datasets import open_dataset
    from ...ingest.run import ingest
    from ...ingest.workers import open_workers
    from .console import Bars, report, show

    style, settings = style_of(job.json, job.csv), settings_of(job.atlas)
    with open_workers(job.workers or settings.workers, settings.home) as workers:
        dataset = open_dataset(config, settings.home)
        backbone = load(config.backbone, weights=job.weights, device=settings.device, home=settings.home)
        same = config.label_backbone == config.backbone
        label_backbone = backbone if same else load(config.label_backbone, device=settings.device, home=settings.home)
        with Store.open(settings.address, memory_limit=settings.memory_limit) as store, Bars(screen) as bars:
            model_id = ingest(
                store,
                dataset,
                config,
                backbone,
                label_backbone,
                home=settings.home,
                device=settings.device,
                batch_images=settings.batch_images,
                learning_curve=job.learning_curve,
                progress=bars,
                skip_bad=job.on_error == "skip",
                workers=workers,
            )
            curve = store.frame(_CURVE, [model_id])
    if job.learning_curve:
        show(output, curve, style)
        style = "table"
    row = {"model_id": model_id, "atlas": settings.address}
    report(screen, output, f"{model_id} is in {settings.address}", row, style)


def _check(config: IngestConfig, job: _Job) -> None:
    from ...atlas.backbones import backbone_class
    from ...ingest.datasets import check_dataset
    from .console import show

    found = check_dataset(config, settings_of(job.atlas).home, backbone_class(config.backbone).dim)
    show(output, found.files.filter(~found.files["found"] | found.files["needed"]), style_of(job.json, job.csv))
    if found.size is not None:
        screen.print(
            f"{found.size.n_images:,} images, {found.size.n_trials:,} trials, {found.size.n_voxels:,} voxels in "
            f"{found.n_batches:,} batches; about {(found.ram_bytes or 0) / 2**30:.1f} GiB of memory and "
            f"{(found.disk_bytes or 0) / 2**30:.1f} GiB of disk.",
            highlight=False,
        )
    if found.problems:
        raise BadInputError(" ".join(found.problems))
    screen.print("Ready to ingest.")
