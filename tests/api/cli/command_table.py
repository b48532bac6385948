"""The command line as it describes itself: each command's options, and what help tells of each."""

from collections.abc import Iterator
from dataclasses import dataclass

from cyclopts import App, Argument

from voxel_atlas.api.cli.main import app, default_text

_TELLS = ("none:", "none means", "empty means", "empty for", "empty when", "the default", "leave out for")
"""How help tells what happens without an option that has no value of its own."""


@dataclass(frozen=True)
class Option:
    """An argument or option of a command."""

    command: tuple[str, ...]
    name: str
    help: str
    required: bool
    flag: bool
    choices: tuple[str, ...]
    default: str
    """As help tells it; empty where it tells none."""
    kind: object
    """Its type."""

    @property
    def is_told(self) -> bool:
        """Whether help says what may be given, or what holds where nothing is."""
        told = any(word in self.help.lower() for word in _TELLS)
        return bool(self.required or self.flag or self.choices or self.default or told)


def commands(of: App = app, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Every command that does something, with its words."""
    for name in of:
        if name.startswith("-"):
            continue
        command = of[name]
        if command.default_command is None:
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def table() -> list[Option]:
    """Every option that help shows."""
    return [
        Option(
            path,
            argument.name,
            " ".join((argument.parameter.help or "").split()),
            required=argument.required,
            flag=argument.hint is bool,
            choices=tuple(argument.get_choices() or ()),
            default=_default(argument),
            kind=argument.hint,
        )
        for path, command in commands()
        for argument in command.assemble_argument_collection(parse_docstring=True)
        if argument.show
    ]


def _default(argument: Argument) -> str:
    value = argument.field_info.default
    if value is argument.field_info.empty or not argument.show_default:
        return ""
    shown = argument.parameter.show_default
    return str(shown(value) if callable(shown) else default_text(value) or "")


def share_told() -> float:
    """Share of the options whose help tells choices, a default, or what holds where nothing is given."""
    options = table()
    return sum(option.is_told for option in options) / len(options)
