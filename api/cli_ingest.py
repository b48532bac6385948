"""`voxel-atlas ingest` and `voxel-atlas check`: their options are the fields of IngestConfig, one each."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer
import yaml
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from rich.console import Console

from schemas.config import IngestConfig, Settings
from schemas.errors import BadInputError, NotFoundError

screen, output = Console(stderr=True), Console()

_FILLED_IN = {"data_sha256", "backbone_sha256"}
_SINGULAR = {"rois": "roi", "skip_sessions": "skip-session", "methods": "method", "tasks": "task"}
"""Fields that hold several values, and the option that gives one of them and can be given again."""

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

    @property
    def settings(self) -> Settings:
        return Settings(atlas=self.atlas) if self.atlas else Settings()


def _with_options(command: Callable[[IngestConfig, _Job], None]) -> Callable[..., None]:
    """A function with one option for each field of IngestConfig and of _Job, whose values `command` gets."""

    def run(**given: Any) -> None:
        chosen = {name: value for name, value in given.items() if value not in (None, [])}
        settings = {**_from_yaml(chosen.pop("config", None)), **chosen}
        job = {name: settings.pop(name) for name in _Job.__dataclass_fields__ if name in settings}
        command(IngestConfig.model_validate(settings), TypeAdapter(_Job).validate_python(job))

    parameters = [
        _parameter("config", Path | None, "YAML file with settings; options go before it."),
        _parameter("weights", Path | None, "File of the backbone's weights; none: the library's own cache."),
        _parameter("atlas", str | None, "Address of the atlas; none: the default one."),
        _parameter(
            "learning_curve",
            bool | None,
            "Also fit every voxel on 5, 10, … 34 of 40 blocks of the images; can be added later.",
            option="learning-curve/--no-learning-curve",
        ),
    ]
    parameters += [
        _field_parameter(name, field) for name, field in IngestConfig.model_fields.items() if name not in _FILLED_IN
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # how typer learns of the options
    return run


def _parameter(name: str, kind: Any, help_text: str, *, option: str = "") -> inspect.Parameter:
    flag = f"--{option or name.replace('_', '-')}"
    annotation = Annotated[kind, typer.Option(flag, help=help_text)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _field_parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Values come as text and pydantic reads them, so that the command line and YAML meet the same checks."""
    default = "" if field.is_required() else f" [default: {field.default}]"
    several = get_origin(field.annotation) is tuple
    kind = list[str] | None if several else bool | None if field.annotation is bool else str | None
    if field.annotation is bool:
        option = f"{name.replace('_', '-')}/--no-{name.replace('_', '-')}"
    else:
        option = _SINGULAR.get(name, "")
    return _parameter(name, kind, f"{field.description}{default}", option=option)


def _from_yaml(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{file} is not there; --config takes a YAML file.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInputError(f"{file} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(read, dict):
        raise BadInputError(f"{file} must hold settings, one `name: value` a line.")
    return read


def _ingest(config: IngestConfig, job: _Job) -> None:
    from api.console import Bars, show
    from atlas.backbones import load
    from atlas.store import Store
    from ingest.datasets import open_dataset
    from ingest.pipeline import ingest

    settings = job.settings
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
        )
        curve = store.frame(_CURVE, [model_id])
    screen.print(f"\n[bold]{model_id}[/bold] is in {settings.address}", highlight=False)
    if job.learning_curve:
        show(output, curve, "table")


def _check(config: IngestConfig, job: _Job) -> None:
    from api.console import show
    from ingest.datasets import check_dataset

    found = check_dataset(config, job.settings.home)
    show(output, found.files.filter(~found.files["found"] | found.files["needed"]), "table")
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
