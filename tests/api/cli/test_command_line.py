"""The command line itself: every option that people rely on is there, and a wrong one is one sentence and status 2."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from command_table import table
from hostile import texts
from hypothesis import example, given, settings
from hypothesis import strategies as st

import voxel_atlas

Run = Callable[..., tuple[int, str, str]]
COMMANDS: dict[str, str] = yaml.safe_load(Path(__file__).with_name("command_line.yaml").read_text())
SILENT = {"demo", "serve", "mcp", "surface import", "surface transform"}
"""Commands that have nothing to tell to programs."""
SECTIONS = [
    "Arguments", "What is done", "Data", "Fit", "Labels", "Labels, where not by the model's settings", "Comparison",
    "Which voxels", "Picture", "Where, and by what", "Output",
]  # fmt: skip
ANY_NUMBER = {"report", "group", "publish"}
"""Commands that take any number of arguments."""


def options(command: str) -> list[str]:
    """The options of a command; one that takes a value ends in =."""
    return [word for word in COMMANDS[command].split() if word != "ARGUMENT"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_option_that_the_command_has_ever_had(run: Run, command: str) -> None:
    status, printed, _ = run(*command.split(), "--help")
    assert status == 0
    assert {option.rstrip("=") for option in options(command)} <= set(printed.split())
    assert printed.split("What is done")[0].count("[required]") <= COMMANDS[command].split().count("ARGUMENT")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_tells_something_tells_it_as_json_and_csv(command: str) -> None:
    assert ({"--json", "--csv"} <= set(options(command))) != (command in SILENT)


def test_help_names_every_command(run: Run) -> None:
    _, printed, _ = run("--help")
    assert {command.split()[0] for command in COMMANDS} <= set(printed.split())


@pytest.mark.parametrize("line", ["", "token", "surface"])
def test_no_command_is_answered_with_the_help_and_status_2(run: Run, line: str) -> None:
    status, printed, error = run(*line.split())
    assert (status, printed, error) == (2, run(*line.split(), "--help")[1], "")


def test_help_tells_defaults_and_choices(run: Run) -> None:
    _, printed, _ = run("query", "--help")
    assert "[choices: weights, labels] [default: weights]" in printed
    assert "[default: 20]" in printed
    _, printed, _ = run("ingest", "--help")
    assert "[default: imagenet, coco]" in printed
    assert "[default: 0.15]" in printed


def test_help_tells_of_every_option_what_it_takes_or_what_holds_without_it() -> None:
    untold = [f"{' '.join(option.command)} {option.name}" for option in table() if not option.is_told]
    assert untold == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_puts_options_into_the_same_sections_of_every_command(run: Run, command: str) -> None:
    _, printed, _ = run(*command.split(), "--help")
    sections, inside = list[str](), dict[str, str]()
    for line in printed.splitlines():
        if line.startswith("╭"):
            sections.append(line.strip("╭─╮ "))
        inside |= dict.fromkeys(re.findall(r" (--?[a-z0-9-]+)(?= )", line), sections[-1] if sections else "")
    assert sections == [section for section in SECTIONS if section in sections]
    places = {"--output": "Output", "--json": "Output", "--atlas": "Where, and by what", "--model": "Comparison"}
    if command == "export":  # whose models are what is done
        del places["--model"]
    assert {name: inside[name] for name in places.keys() & inside} == {
        name: section for name, section in places.items() if name in inside
    }


def test_the_version_is_the_packages(run: Run) -> None:
    assert run("--version") == (0, f"voxel-atlas {voxel_atlas.__version__}\n", "")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("qeury cake", 'Did you mean "query"?'),
        ("query cake --frist 3", "Did you mean --first?"),
        ("query cake --first 0", "Must be >= 1"),
        ("query cake --first many", "--first"),
        ("query cake --by smell", '"weights", "labels"'),
        ("query cake --json --csv", "--json and --csv exclude each other"),
        ("query cake --first", "--first requires an argument"),
        ("query cake kitchen", "kitchen"),
        ("query", "CONCEPT"),
        ("query cake --roi ffa", 'Did you mean "FFA"?'),
        ("query cake --model simulatd/T1", 'Did you mean "simulated/T1/toy/'),
        ("rois simulated/T7", 'Did you mean "simulated/T1"?'),
        ("token male me", 'Did you mean "make"?'),
        ("ingest", "--dataset"),
        ("ingest --dataset nsd", "--subject"),
        ("ingest --dataset nds --subject 5", "there are nsd, nod, laion-fmri"),
        ("ingest --dataset nds --subject 5", 'Did you mean "nsd"?'),
        ("ingest --dataset nsd --subject 5 --zscore trial", "setting zscore: Input should be 'auto'"),
        ("ingest --dataset nsd --subject 5 --data-sha256 0", "--data-sha256"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_sentence_with_what_is_right(run: Run, line: str, said: str) -> None:
    status, printed, error = run(*line.split())
    assert (status, printed) == (2, "")
    assert error.startswith("voxel-atlas: ")
    assert error.count("\n") == 1
    assert said in error


def test_a_concept_that_begins_with_a_sign_is_not_called_an_option(run: Run) -> None:
    status, _, error = run("query", "- cake")
    assert status == 2
    assert error.endswith(
        """'- cake' is no option and no concept: + and - stand between words, as in "cake - kitchen".\n"""
    )


@st.composite
def wrong_lines(draw: st.DrawFn) -> list[str]:
    """A command with arguments and options that it has, and one thing that it has not."""
    text = texts.filter(lambda text: "\0" not in text)
    command = draw(st.sampled_from(sorted(set(COMMANDS) - {"demo", "serve", "calibrate", "mcp"})))
    takes, flags = ([o for o in options(command) if o.endswith("=") == valued] for valued in (True, False))
    n_arguments = COMMANDS[command].split().count("ARGUMENT")
    fault = draw(
        st.sampled_from(["--no-such-option", "-Z", f"{draw(st.sampled_from(flags or ['--zzz']))}=perhaps"])
        if not takes or draw(st.booleans())
        else st.sampled_from(takes).map(lambda option: option.rstrip("="))
    )
    given = (
        [option + draw(text) for option in draw(st.lists(st.sampled_from(takes), max_size=3)) if "-" * 2 in option]
        if takes
        else []
    )
    arguments = [draw(text) for _ in range(n_arguments)]
    arguments = [argument for argument in arguments if not argument.startswith("-")]
    if command not in ANY_NUMBER and draw(st.booleans()):
        return [*command.split(), *given, *arguments, *["more"] * (n_arguments + 1)]
    return [*command.split(), *given, *arguments, fault]


@settings(max_examples=60)
@example(line=["ingest", "--weights=~nobody-of-this-name", "-Z"])
@given(line=wrong_lines())
def test_no_odd_command_line_does_anything(run: Run, line: list[str]) -> None:
    status, printed, error = run(*line)
    assert (status, printed) == (2, ""), line
    assert error.startswith("voxel-atlas: "), line
    assert error.count("\n") == 1, line


def test_what_is_given_again_replaces_what_was_given_before(run: Run) -> None:
    assert run("query", "cake", "--first", 3, "--by", "weights", "--first", 2, "--json")[1].count("subject_id") == 2


@pytest.fixture
def completions(run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What bash offers for the last of some words, by the script that the command line gives it."""
    monkeypatch.setenv("BASH_VERSION", "5")
    status, script, _ = run("--show-completion")
    assert status == 0
    (tmp_path / "completion.bash").write_text(script)
    environment = {
        **os.environ, "VOXEL_ATLAS_HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    }  # fmt: skip

    def complete(*words: str) -> list[str]:
        ask = (
            'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
            'read -r _ _ function _ < <(complete -p voxel-atlas); $function; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        line = ["bash", "--norc", "-c", ask, "bash", str(tmp_path / "completion.bash"), "voxel-atlas", *words]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.split()

    return complete


def test_the_shell_completes_commands_options_choices_and_names(completions: Callable[..., list[str]]) -> None:
    assert completions("que") == ["query"]
    assert sorted(completions("query", "cake", "--min")) == ["--min-r2", "--min-z"]
    assert completions("query", "cake", "--by", "w") == ["weights"]
    assert completions("query", "cake", "--roi", "F") == ["FFA", "FOOD"]
    assert completions("query", "cake", "--model", "simul")[0].startswith("simulated/T1/toy/")
    assert completions("card", "simul")[0].startswith("simulated/T1/toy/")


def test_the_package_runs_as_the_program_does(run: Run) -> None:
    command = [sys.executable, "-m", "voxel_atlas"]
    told = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == run("--version")[1]
    wrong = subprocess.run([*command, "bake"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == run("bake")
