"""Command lines of any kind, and surroundings that a terminal or a service may give: none ends in a traceback."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import get_args

from command_table import Option, table
from hostile import texts
from hypothesis import strategies as st

from voxel_atlas.api.cli.main import main

STATUSES = {0, 1, 2, 130}
WITHOUT_END = {"demo", "serve", "mcp", "calibrate", "report"}
"""Commands that go on until they are stopped, or for minutes."""
KNOWN = ("cake", "face - kitchen", "simulated", "FFA", "r2", "lite", "folder", "0", "7", "1e400", "nan", "-1", "x.png")
_TABLE = [option for option in table() if option.command[0] not in WITHOUT_END]
_BY_COMMAND = {command: [one for one in _TABLE if one.command == command] for command in {o.command for o in _TABLE}}
# Nothing but the folder in which the lines run is written to.
_within = st.one_of(texts, st.sampled_from(KNOWN)).map(
    lambda text: text.replace("\0", "").replace("..", "").lstrip("/~ ")
)


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """A command with some of its options, their values likely or not."""
    command = draw(st.sampled_from(sorted(_BY_COMMAND)))
    options = _BY_COMMAND[command]
    words = [draw(_value(option)) for option in options if not option.name.startswith("-")]
    for option in draw(st.lists(st.sampled_from(options), max_size=4)):
        if option.name.startswith("-"):
            words += [option.name] if option.flag else [f"{option.name}={draw(_value(option))}"]
    return [*command, *words]


def _value(option: Option) -> st.SearchStrategy[str]:
    kinds = {option.kind, *get_args(option.kind)}
    likely: st.SearchStrategy[str] = st.sampled_from(option.choices) if option.choices else _within
    if int in kinds or float in kinds:
        likely = st.integers(-3, 10**6).map(str) | st.floats().map(str)
    return st.one_of(likely, _within)


def ended(words: Sequence[str], folder: Path) -> tuple[object, str]:
    """Exit status of a line that runs in this process, or the exception that it ended in; and what was said."""
    said, before = io.StringIO(), (sys.argv, sys.stdin)
    sys.argv, sys.stdin = ["voxel-atlas", *words], io.StringIO("")
    try:
        with chdir(folder), redirect_stdout(said), redirect_stderr(said):
            main()
    except SystemExit as stop:
        return stop.code or 0, said.getvalue()
    except Exception as error:  # noqa: BLE001 - what is looked for
        return error, said.getvalue()
    finally:
        sys.argv, sys.stdin = before
    return 0, said.getvalue()


SURROUNDINGS: Mapping[str, tuple[Mapping[str, str | None], str]] = {
    "C": ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, ""),
    "latin-1": ({"PYTHONIOENCODING": "latin-1"}, ""),
    "no home": ({"HOME": None, "XDG_DATA_HOME": None, "VOXEL_ATLAS_HOME": None}, ""),
    "a home that is no folder": ({"VOXEL_ATLAS_HOME": "/dev/null/home"}, ""),
    "no input": ({}, "<&-"),
    "no output": ({}, ">&-"),
    "no place for errors": ({}, "2>&-"),
    "a full disk": ({}, ">/dev/full"),
    "a reader that left": ({}, "| true"),
    "a narrow terminal": ({"COLUMNS": "20"}, ""),
    "a dumb terminal": ({"TERM": "dumb"}, ""),
}
"""Changes of the environment, and what a shell does with the streams."""
ASKED = (
    ("--help",), ("query", "--help"), ("query", "cake"), ("models",), ("settings",), ("doctor",),
    ("card", "simulated", "7"), ("sql", "FROM roi"), ("rm", "simulated"), ("bake",),
)  # fmt: skip


def surrounded(home: Path, asked: Sequence[Sequence[str]] = ASKED) -> Iterator[tuple[str, str, int, str]]:
    """Surroundings, command, exit status and what was said on standard error, of each of them in each."""
    for name, (changes, streams) in SURROUNDINGS.items():
        for words in asked:
            # As people have it: what is printed waits in a buffer, and may be refused only as the command ends.
            environment = {**os.environ, "PYTHONUNBUFFERED": None, "VOXEL_ATLAS_HOME": str(home), **changes}
            given = {key: value for key, value in environment.items() if value is not None}
            shell = f'set -o pipefail; "$0" "$@" {streams}'
            command = ["bash", "-c", shell, sys.executable, "-m", "voxel_atlas", *words]
            done = subprocess.run(command, env=given, capture_output=True, check=False, stdin=subprocess.DEVNULL)
            yield name, " ".join(words), done.returncode, done.stderr.decode(errors="replace")


def is_traceback(status: object, said: str) -> bool:
    """Whether a command ended in one, or by a status that means nothing."""
    return status not in STATUSES or "Traceback" in said
