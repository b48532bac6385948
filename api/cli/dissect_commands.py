"""`voxel-atlas dissect | plan | card`: label the voxels of a fitted model, say what that costs, show one voxel."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer
from pydantic import TypeAdapter
from rich.console import Console

from ...schemas.config import LABELLED_BY, IngestConfig, Settings
from ...schemas.errors import BadInputError, StoreError
from .config_options import (
    ON_ERROR_HELP,
    WORKERS_HELP,
    OnError,
    field_parameters,
    given_settings,
    parameter,
    style_parameters,
)
from .options import AtlasOption, CsvOption, JsonOption, open_atlas, settings_of, style_of

if TYPE_CHECKING:
    from ...atlas.backbones.interface import Backbone
    from ...atlas.store.store import Store
    from ...ingest.datasets.interface import Dataset
    from ...ingest.plan import Plan
    from .console import Format

screen, output = Console(stderr=True), Console()

ModelArgument = Annotated[str, typer.Argument(help="Model id, or its beginning or end where only one model has it.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(
        "dissect",
        help="Label the voxels of a fitted model, by its own settings or by others, which make a model of their own; "
        "or go on with that.",
    )(
        _with_options(
            _dissect,
            parameter("on_error", str | None, ON_ERROR_HELP),
            parameter("workers", str | None, WORKERS_HELP),
        )
    )
    app.command("plan", help="Say how much there will be to caption and to draw, and how long a dissection takes.")(
        _with_options(_plan, parameter("sample", int | None, "Images to look at; 0 for all. [default: 100]"))
    )
    app.command()(card)


@dataclass(frozen=True)
class _Job:
    """What a command is to do besides the model's settings."""

    model: str
    atlas: str = ""
    weights: Path | None = None
    on_error: OnError = "stop"
    workers: str = ""
    sample: int = 100
    json: bool = False
    csv: bool = False


def _with_options(command: Callable[[_Job, dict[str, Any]], None], *extra: inspect.Parameter) -> Callable[..., None]:
    """A function with an option for each setting of a dissection; `command` gets those that were given."""

    def run(**given: Any) -> None:
        changes = given_settings(given)
        job = {name: changes.pop(name) for name in _Job.__dataclass_fields__ if name in changes}
        command(TypeAdapter(_Job).validate_python(job), changes)

    model = inspect.Parameter("model", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=ModelArgument)
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # how typer learns of the options
        [
            model,
            parameter("atlas", str | None, "Address of the atlas; none: the default one."),
            parameter("weights", Path | None, "File of the backbone's weights; none: the library's own cache."),
            parameter("scorer", list[str] | None, "How labels are scored: eq2 (paper) or released (its code)."),
            *extra,
            *style_parameters(),
            *field_parameters(LABELLED_BY, {"dissect": "voxels"}),
        ]
    )
    return run


@dataclass(frozen=True)
class _Fitted:
    """A fitted model, and what is needed to label its voxels."""

    model_id: str
    config: IngestConfig
    dataset: "Dataset"
    backbone: "Backbone"
    label_backbone: "Backbone"


def _fitted(store: "Store", settings: Settings, job: _Job, changes: dict[str, Any]) -> _Fitted:
    from ...atlas.backbones import load
    from ...atlas.search.atlas import Atlas

    fitted = Atlas(store, home=settings.home).model(job.model)
    old = IngestConfig.model_validate_json(fitted.config)
    # A model that was fitted without labels is dissected all the same when one asks for it.
    voxels = {"dissect": "significant"} if old.dissect == "none" else {}
    config = IngestConfig.model_validate({**old.model_dump(), **voxels, **_with_methods(old, changes)})
    backbone = load(config.backbone, weights=job.weights, device=settings.device, home=settings.home)
    same = config.label_backbone == config.backbone
    label_backbone = backbone if same else load(config.label_backbone, device=settings.device, home=settings.home)
    return _Fitted(fitted.model_id, config, _dataset(config, settings), backbone, label_backbone)


def _with_methods(old: IngestConfig, changes: dict[str, Any]) -> dict[str, Any]:
    """Scorers take the place of the model's own, and other methods come beside them."""
    scorers = [f"brainlmm-{name.removeprefix('brainlmm-')}" for name in changes.pop("scorer", ())]
    beside = changes.get("methods", ())
    kept = scorers or [method for method in old.methods if method not in beside]
    return {**changes, "methods": tuple(dict.fromkeys([*kept, *beside]))}


def _dataset(config: IngestConfig, settings: Settings) -> "Dataset":
    if config.dataset == "simulated":
        from .demo import subject

        return subject(settings.home, settings.cortex_filestore, name=config.subject)
    from ...ingest.datasets import open_dataset

    return open_dataset(config, settings.home)


def _dissect(job: _Job, changes: dict[str, Any]) -> None:
    from ...atlas.store.store import Store
    from ...ingest.redissection import dissect
    from ...ingest.workers import open_workers
    from .console import Bars, report

    settings = settings_of(job.atlas)
    token = settings.token.get_secret_value()
    with (
        open_workers(job.workers or settings.workers, settings.home) as workers,
        Store.open(settings.address, create=False, token=token, memory_limit=settings.memory_limit) as store,
        Bars(screen) as bars,
    ):
        fitted = _fitted(store, settings, job, changes)
        model_id = dissect(
            store,
            fitted.dataset,
            fitted.model_id,
            fitted.config,
            fitted.backbone,
            fitted.label_backbone,
            home=settings.home,
            device=settings.device,
            batch_images=settings.batch_images,
            progress=bars,
            skip_bad=job.on_error == "skip",
            workers=workers,
        )
    row = {"model_id": model_id, "atlas": settings.address}
    report(screen, output, f"{model_id} is in {settings.address}", row, style_of(job.json, job.csv))


def _plan(job: _Job, changes: dict[str, Any]) -> None:
    from ...atlas.store.store import Store
    from ...ingest.redissection import plan_dissection
    from .console import Bars

    settings = settings_of(job.atlas)
    if job.sample < 0:
        raise BadInputError(f"--sample {job.sample}: give a number of images, or 0 for all.")
    token = settings.token.get_secret_value()
    with (
        Store.open(settings.address, read_only=True, create=False, token=token) as store,
        Bars(screen) as bars,
    ):
        fitted = _fitted(store, settings, job, changes)
        found = plan_dissection(
            store,
            fitted.dataset,
            fitted.model_id,
            fitted.config,
            fitted.backbone,
            fitted.label_backbone,
            home=settings.home,
            device=settings.device,
            batch_images=settings.batch_images,
            progress=bars,
            n_sample=job.sample,
        )
    _print_plan(fitted.config, found, style_of(job.json, job.csv))


def _print_plan(config: IngestConfig, found: "Plan", style: "Format") -> None:
    from .console import rate, show

    about = "all" if found.n_looked_at == found.n_images else f"estimated from {found.n_looked_at}"
    screen.print(f"{found.n_voxels:,} voxels want {found.n_images:,} different images ({about}).", highlight=False)
    rows = [
        {
            "what": job.what,
            "number": f"{job.number:,}",
            "done": f"{job.done:,}",
            "per second": "" if job.per_second == float("inf") else rate(job.per_second),
            "time": "" if job.per_second == float("inf") else _duration(job.seconds),
        }
        for job in found.jobs
    ]
    rows.append({**dict.fromkeys(rows[0], ""), "what": "together", "time": _duration(found.seconds)})
    show(output, pl.DataFrame(rows), style)
    if style != "table":
        return
    cuts = [
        {
            "min_voxels_per_label": limit,
            "labels": n,
            "pictures": n * config.images_per_label,
            "cut": f"{1 - n / max(1, found.labels[1]):.0%}",
        }
        for limit, n in found.labels.items()
    ]
    show(output, pl.DataFrame(cuts), "table")


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes:.0f} min" if minutes < 120 else f"{hours:.1f} h"


def card(
    model: ModelArgument,
    voxel: Annotated[int, typer.Argument(min=0, help="Number of the voxel.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write, .png or .html; none: print what is known.")
    ] = None,
    json: JsonOption = False,
    csv: CsvOption = False,
    atlas: AtlasOption = "",
) -> None:
    """Show one voxel on one page: the images that drive it, their captions, its labels, and the settings."""
    from ...viz.render.card import card_png
    from ..maps.voxel_card import card_html, card_row, voxel_card
    from .console import report, show

    style = style_of(json, csv)
    suffix = out.suffix.lower() if out else ""
    if out and suffix not in (".png", ".html"):
        raise BadInputError(f"{out.name}: a card is a .png or an .html file.")
    with open_atlas(atlas) as opened:
        if out is None:
            show(output, card_row(opened, model, voxel), style)
            return
        found = voxel_card(opened, model, voxel)
    content = card_png(found) if suffix == ".png" else card_html(found).encode()
    try:
        out.write_bytes(content)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error.strerror}.") from error
    report(screen, output, f"wrote {out}", {"file": str(out), "bytes": len(content)}, style)
