"""The command line: `voxel-atlas demo | ingest | serve | query | flatmap | sql | settings | …`.

Heavy imports are inside the commands, so that `voxel-atlas --help` answers at once.
"""

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper

from cyclopts import App, CycloptsError, Group, Parameter, UnknownOptionError
from cyclopts import ValidationError as InvalidOptionError
from rich.text import Text

from ... import __version__
from ...schemas.errors import AtlasError
from . import STOPPED
from .atlas_commands import export, import_, publish, rm, runs, upgrade, vacuum, verify
from .console import screen
from .doctor import doctor
from .draw_commands import flatmap, group, surfaces
from .options import CONTENT
from .query_commands import card, contrast, models, predict, query, rois, sql, subjects
from .report_commands import compare, report
from .serve_commands import calibrate, demo, mcp, serve, settings, tokens, url
from .settings_file import fill_in


def default_text(value: object) -> str | None:
    """How help tells a default; nothing where it is nothing."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or None
    return None if value is None or value is False or value == "" else str(value)


app = App(
    name="voxel-atlas",
    help="What does every voxel care about? Encoding models, label-free concepts and flatmaps in one atlas.",
    version=f"voxel-atlas {__version__}",
    config=fill_in,
    group_parameters=CONTENT,
    # What is given again replaces what was given before, and no list has an option that empties it.
    default_parameter=Parameter(allow_repeating=True, negative_iterable=(), show_default=default_text),
    help_format="plaintext",
    print_error=False,
    exit_on_error=False,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
_INGESTING = {
    "ingest_commands:ingest": "Bring a subject's encoding models, labels and scores into the atlas, or go on with it.",
    "ingest_commands:check": "List what is found of a data set, what is missing, and how big the job is.",
    "dissect_commands:dissect": "Label the voxels of a fitted model, by its own settings or by others, which make a "
    "model of their own; or go on with that.",
    "dissect_commands:plan": "Say how much there will be to caption and to draw, and how long a dissection takes.",
}
"""Commands that are imported when they are called: their options, fields of IngestConfig, take as long as all else."""
_OTHERS: dict[str, tuple[Callable[..., None] | App, ...]] = {
    "Fill the atlas": (demo, calibrate),
    "Ask": (query, contrast, card, predict, models, subjects, rois, sql),
    "Draw": (flatmap, group, surfaces),
    "Evaluate": (report, compare),
    "Serve": (serve, mcp, url, tokens, settings),
    "Keep atlases": (doctor, runs, export, publish, import_, verify, rm, vacuum, upgrade),
}
for _title, _commands in _OTHERS.items():
    _group = Group.create_ordered(_title)
    if demo in _commands:
        for _name, _help in _INGESTING.items():
            app.command(f"{__package__}.ingesting.{_name}", help=_help, group=_group)
    for _command in _commands:
        if isinstance(_command, App):
            _command.group = (_group,)
            app.command(_command)
        else:
            app.command(_command, group=_group)
app.register_install_completion_command(help="Install completion for this shell.")


@app.command(name="--show-completion")
def show_completion() -> None:
    """Show completion for this shell, to copy it or to change how it is installed."""
    print(app.generate_completion())


def main() -> None:
    """Run the command line. What a user can act on is one sentence and status 2, never a traceback.

    Statuses: 0 done, 1 not done because the user said no or reads no further, or a fault of ours with its traceback, 2
    something that the user can act on, 130 stopped by Ctrl-C.
    """
    words = sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        # A terminal that is no UTF-8, or a path that is none, must not keep a sentence from being said.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            app(words)
        finally:
            _flush()
        _, apps, rest = app.parse_commands(words)
        if apps[-1].default_command is None and not rest:  # help was shown since no command was named
            sys.exit(2)
    except KeyboardInterrupt:
        screen.print(f"\n{STOPPED}")
        sys.exit(130)
    except BrokenPipeError:
        _give_up_output()
        sys.exit(1)
    except Exception as error:
        _give_up_output()
        sentence = _sentence(error)
        if sentence is None:
            raise
        if isinstance(error, AtlasError):
            sentence = _with_option(sentence, words)
        # A line, whatever is quoted in it.
        screen.print(Text.assemble(("voxel-atlas:", "red"), " ", " ".join(sentence.splitlines())), soft_wrap=True)
        sys.exit(2)


def _flush() -> None:
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.flush()


def _give_up_output() -> None:
    """Drop what is still to be printed where it is refused, as on a full disk.

    As it ends, the interpreter would try once more, and say so in lines of its own.
    """
    try:
        _flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _with_option(sentence: str, words: list[str]) -> str:
    """A sentence of the library about a setting, whose name it begins with, about the command's option of that name."""
    _, apps, _ = app.parse_commands(words)
    name, _, rest = sentence.partition(" ")
    options = {argument.field_info.name: argument.name for argument in apps[-1].assemble_argument_collection()}
    return f"{options[name]} {rest}" if "_" in name and name in options else sentence


def _sentence(error: Exception) -> str | None:
    """What a user can act on; None for a fault of ours."""
    from cyclopts.completion.detect import ShellDetectionError
    from pydantic import ValidationError

    from ...schemas.config import IngestConfig, Settings

    cause = error.__cause__ if isinstance(error, InvalidOptionError) else error
    if isinstance(cause, ValidationError):
        first = cause.errors()[0]
        if first["type"] == "string_pattern_mismatch":  # whose pattern nobody can read
            field = {**Settings.model_fields, **IngestConfig.model_fields}[str(first["loc"][0])]
            return f"setting {first['loc'][0]} cannot be {first['input']!r}: {field.description}"
        return f"setting {'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}."
    if isinstance(error, UnknownOptionError) and " " in str(error.token.keyword or error.token.value):
        said = error.token.keyword or error.token.value
        return f'{said!r} is no option and no concept: + and - stand between words, as in "cake - kitchen".'
    if isinstance(error, AtlasError | CycloptsError | ShellDetectionError):
        return str(error)
    if isinstance(error, OSError):  # a full disk, a folder that is not ours, wherever it was met
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}."
    return None
