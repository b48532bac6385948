"""Command-line options that are fields of IngestConfig, one each: values come as text, and pydantic reads them."""

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import typer
import yaml
from pydantic.fields import FieldInfo

from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError, NotFoundError

OnError = Literal["stop", "skip"]
"""What becomes of a run when an image cannot be read, or a caption or a picture cannot be made."""
ON_ERROR_HELP = "When an image cannot be read or a picture cannot be made: stop, or skip it and say so. [default: stop]"

WORKERS_HELP = "Where costly batches are worked on: dask://HOST:PORT, dask:PROCESSES or slurm:JOBS; none: here."

_SINGULAR = {"rois": "roi", "skip_sessions": "skip-session", "methods": "method", "tasks": "task"}
"""Fields that hold several values, and the option that gives one of them and can be given again."""


def parameter(name: str, kind: Any, help_text: str, *, option: str = "") -> inspect.Parameter:
    """An option of a command whose signature is made up; typer reads it as if it were written."""
    flag = f"--{option or name.replace('_', '-')}"
    annotation = Annotated[kind, typer.Option(flag, help=help_text)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def style_parameters() -> list[inspect.Parameter]:
    """--json and --csv."""
    return [parameter("json", bool | None, "Print JSON."), parameter("csv", bool | None, "Print CSV.")]


def field_parameters(names: Iterable[str], options: Mapping[str, str] | None = None) -> list[inspect.Parameter]:
    """Options for fields of IngestConfig, so that the command line and YAML meet the same checks.

    Args:
        names: the fields.
        options: field → name of its option, where it is another.
    """
    return [_field_parameter(name, IngestConfig.model_fields[name], (options or {}).get(name, "")) for name in names]


def given_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the options that were given; the list of concepts is read from its file.

    Raises:
        NotFoundError: there is no such file.
        BadInputError: it names no concept.
    """
    chosen = {name: value for name, value in given.items() if value not in (None, [])}
    if isinstance(chosen.get("concepts"), Path):
        from ...ingest.dissection.clip_msm import read_concepts

        chosen["concepts"] = read_concepts(chosen["concepts"])
    return chosen


def settings_from_yaml(file: Path | None) -> dict[str, Any]:
    """The settings in a YAML file; none where there is none.

    Raises:
        NotFoundError: the file is not there.
        BadInputError: it is no YAML, or holds something else.
    """
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


def _field_parameter(name: str, field: FieldInfo, option: str) -> inspect.Parameter:
    default = "" if field.is_required() else f" [default: {field.default}]"
    option = option or _SINGULAR.get(name, "")
    kind: Any = str | None
    if name == "concepts":
        kind, default = Path | None, ""
    elif get_origin(field.annotation) is tuple:
        kind = list[str] | None
    elif field.annotation is bool:
        kind, option = bool | None, f"{name.replace('_', '-')}/--no-{name.replace('_', '-')}"
    return parameter(name, kind, f"{field.description}{default}", option=option)
