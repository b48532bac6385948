"""Values of options that stand in files: the settings of `--config`, and the list of `--concepts`."""

from pathlib import Path
from typing import Any

from cyclopts import App, ArgumentCollection, Token, UnknownOptionError

from ...schemas.errors import BadInputError, NotFoundError

_PATHS = (Path, Path | None)
"""Types of options whose ~ a shell leaves as it is in --weights=~/file."""


def _expanded(path: str) -> str:
    if not path.startswith("~"):
        return path
    from ...schemas.config import expanded

    try:
        return expanded(path)
    except ValueError as error:
        raise BadInputError(f"{error}.") from None


def fill_in(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Read the files that options name. A setting of --config counts where no option gives it.

    Raises:
        NotFoundError: there is no such file.
        BadInputError: it is no YAML, holds something else, or names no concept.
        UnknownOptionError: it holds a setting that does not exist.
    """
    for argument in arguments:
        if argument.hint in _PATHS:
            argument.tokens = [token.evolve(value=_expanded(token.value)) for token in argument.tokens]
    options = {argument.field_info.name: argument for argument in arguments if not argument.children}
    if "concepts" in options and options["concepts"].tokens:
        from ...ingest.dissection.clip_msm import read_concepts

        file = options["concepts"].tokens[-1]
        options["concepts"].tokens = [file.evolve(implicit_value=read_concepts(Path(file.value)))]
    if "config" not in options or not options["config"].tokens:
        return
    from ...schemas.config import IngestConfig

    file = options["config"].tokens[-1]
    for name, value in _settings(Path(file.value)).items():
        token = Token(keyword=str(name), value=str(value), source=file.value)
        is_field = name in IngestConfig.model_fields
        if name not in options:
            if is_field:  # of a configuration as it is stored: filled in anew from the data
                continue
            raise UnknownOptionError(token=token, argument_collection=arguments)
        if options[name].tokens or (value is None and not is_field):
            continue
        if is_field:  # as YAML has it, so that 05 is not taken for subject 5
            if options[name].token_count()[1] and not isinstance(value, list):
                raise BadInputError(f"{file.value}: {name} takes a list; write {name}: [{value}] for one.")
            if IngestConfig.model_fields[name].annotation in (str, tuple[str, ...]):
                _require_text(file.value, name, value)
            token = token.evolve(implicit_value=value)
        options[name].append(token)


def _settings(file: Path) -> dict[str, Any]:
    import yaml

    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{file} is not there; --config takes a YAML file.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInputError(f"{file} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(read, dict):
        raise BadInputError(f"{file} must hold settings, one `name: value` a line.")
    return read


def _require_text(file: str, name: str, value: object) -> None:
    """Refuse what YAML takes for a number or nothing, where a text is wanted: 012 is ten to it, and no subject."""
    for each in value if isinstance(value, list) else [value]:
        if each is None:
            raise BadInputError(f'{file}: {name} is empty; leave the line out, or write {name}: "".')
        if not isinstance(each, str):
            raise BadInputError(
                f"{file}: {name} takes text, and YAML reads {each!r} without quotes; put quotes around what is meant."
            )
