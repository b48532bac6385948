"""Values of options that stand in files: the settings of `--config`, and the list of `--concepts`."""

from collections import ChainMap
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, get_origin

from cyclopts import App, ArgumentCollection, Token, UnknownOptionError

from ...schemas.errors import BadInputError, NotFoundError, meant

_LISTS = {"subjects": "subject", "backbones": "backbone"}
"""What a study lists, and the setting that names one of them."""
_OF_INGESTS = ("learning_curve", "on_error", "workers")
"""Options of `ingest` that a plan does without."""
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
    if "study" in options and options["study"].tokens:  # no option, but what a file stands for
        token = options["study"].tokens[-1]
        arguments.remove(options["study"])
        raise UnknownOptionError(token=token, argument_collection=arguments)
    if "config" not in options or not options["config"].tokens:
        return
    from ...schemas.config import IngestConfig

    file = options["config"].tokens[-1]
    settings = _settings(Path(file.value))
    given = {name for name, option in options.items() if option.tokens}
    if any(name in settings for name in _LISTS) or "dataset" not in options:  # `plan` is of studies, also of one
        asked = {name: options[one].tokens for name, one in _LISTS.items() if name in settings and one in given}
        models = models_of(settings, file.value)
        for name, tokens in asked.items():
            models = _narrowed(models, name, tokens[-1].value, file.value)
        # What only some of them say is theirs alone.
        settings = {name: value for name, value in models[0].items() if all(name in each for each in models)}
        own = tuple(
            {name: value for name, value in of_model.items() if name in IngestConfig.model_fields and name not in given}
            for of_model in models
        )
        options["study"].append(Token(keyword="study", source=file.value, implicit_value=own))
    for name, value in settings.items():
        token = Token(keyword=str(name), value=str(value), source=file.value)
        is_field = name in IngestConfig.model_fields
        if name not in options:
            # Of a configuration as it is stored, filled in anew from the data; or of an ingest that is planned.
            if is_field or ("dataset" not in options and name in _OF_INGESTS):
                continue
            hint = meant(str(name), [*options, *_LISTS])
            if hint in (meant(one, _LISTS) for one in _LISTS):
                raise BadInputError(f"{file.value} has an unknown setting {name!r}.{hint}")
            raise UnknownOptionError(token=token, argument_collection=arguments)
        if name in given or (value is None and not is_field):
            continue
        if is_field:  # as YAML has it, so that 05 is not taken for subject 5
            _require_kind(file.value, name, value)
            token = token.evolve(implicit_value=value)
        options[name].append(token)


def models_of(settings: Mapping[str, Any], file: str) -> list[dict[str, object]]:
    """The settings of every model of a study: each subject with each network, those of one network together.

    Args:
        settings: of a study, in which `subjects` and `backbones` are lists. What stands in them is a name, or settings
            of that subject or network, its name among them, which go before those of the study.
        file: where they stand.

    Raises:
        BadInputError: a list is none, is empty or has something twice, or a setting is not known.
    """
    from ...schemas.config import IngestConfig

    shared = {name: value for name, value in settings.items() if name not in _LISTS}
    lists = {name: _entries(settings[name], name, file) for name in reversed(_LISTS) if name in settings}
    for name in lists:
        if _LISTS[name] in shared:
            raise BadInputError(f"{file} has both {_LISTS[name]} and {name}; take one of the two lines out.")
    for entry in (entry for entries in lists.values() for entry in entries):
        for name, value in entry.items():
            if name not in IngestConfig.model_fields:
                raise BadInputError(
                    f"{file} has an unknown setting {name!r}.{meant(str(name), IngestConfig.model_fields)}"
                )
            _require_kind(file, name, value)
    return [{**shared, **ChainMap(*own)} for own in product(*lists.values())]


def _entries(listed: object, name: str, file: str) -> list[dict[str, object]]:
    """What a list of a study names, as settings."""
    one = _LISTS[name]
    if not isinstance(listed, list):
        raise BadInputError(f"{file}: {name} takes a list; write {name}: [{listed}] for one.")
    if not listed:
        raise BadInputError(f"{file}: {name} is an empty list; name each {one}.")
    entries = list[dict[str, object]]()
    for value in listed:
        entry = value if isinstance(value, dict) else {one: value}
        if one not in entry:
            raise BadInputError(f"{file}: one of the {name} has no name; give it a line `{one}: …`.")
        if entry in entries:
            raise BadInputError(f"{file}: {one} {entry[one]} is there twice in {name}; take it out once.")
        entries.append(entry)
    return entries


def _narrowed(models: list[dict[str, object]], name: str, wanted: str, file: str) -> list[dict[str, object]]:
    """The models of the one subject or network that an option names."""
    one = _LISTS[name]
    if kept := [settings for settings in models if settings[one] == wanted]:
        return kept
    known = dict.fromkeys(str(settings[one]) for settings in models)
    raise BadInputError(f"{one} {wanted} is none of the {name} of {file}: {', '.join(known)}.{meant(wanted, known)}")


def _settings(file: Path) -> dict[str, object]:
    import yaml

    try:
        loader = yaml.SafeLoader(file.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        twice = _named_twice(node)  # before what a mapping merges in stands among its own
        read = loader.construct_document(node) if node else None
    except FileNotFoundError:
        raise NotFoundError(f"{file} is not there; --config takes a YAML file.") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadInputError(f"{file} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(read, dict):
        raise BadInputError(f"{file} must hold settings, one `name: value` a line.")
    if twice:
        raise BadInputError(f"{file} has {twice} in two lines, of which YAML takes the last; take one of them out.")
    return read


def _named_twice(settings: Any) -> str:
    """A name that settings, or those of an entry of a list, have twice; "" where none have."""
    from yaml import MappingNode, SequenceNode

    if not isinstance(settings, MappingNode):
        return ""
    entries = [entry for _, value in settings.value if isinstance(value, SequenceNode) for entry in value.value]
    for mapping in (settings, *(entry for entry in entries if isinstance(entry, MappingNode))):
        names = [str(name.value) for name, _ in mapping.value]
        if twice := [name for name in names if names.count(name) > 1]:
            return twice[0]
    return ""


def _require_kind(file: str, name: str, value: object) -> None:
    """Refuse one value where a list is wanted, and what is no text where text is."""
    from ...schemas.config import IngestConfig

    kind = IngestConfig.model_fields[name].annotation
    if get_origin(kind) is tuple and not isinstance(value, list):
        raise BadInputError(f"{file}: {name} takes a list; write {name}: [{value}] for one.")
    if kind in (str, tuple[str, ...]):
        _require_text(file, name, value)


def _require_text(file: str, name: str, value: object) -> None:
    """Refuse what YAML takes for a number or nothing, where a text is wanted: 012 is ten to it, and no subject."""
    for each in value if isinstance(value, list) else [value]:
        if each is None:
            raise BadInputError(f'{file}: {name} is empty; leave the line out, or write {name}: "".')
        if not isinstance(each, str):
            raise BadInputError(
                f"{file}: {name} takes text, and YAML reads {each!r} without quotes; put quotes around what is meant."
            )
