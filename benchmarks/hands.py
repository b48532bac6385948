"""In a scientist's hands: how soon the shell answers, and whether notebooks, assistants and hostile lines are borne.

- help_s, query_label_s, query_text_s, query_text_served_s: medians of seven runs of `voxel-atlas --help`, of
  `query cake`, of `query "a birthday cake with candles"` where no server runs, and of the same where one does; pass_s
  is `python -c pass` and datasette_s `datasette --help` (of the program that --datasette names), in turns with them.
  Names that end in _cpu_s are the processor time of the same runs, to which a busy machine adds less;
- serve_s: seconds until `serve` answers /healthz, median of three;
- mcp_tools, mcp_client_ok: tools that `voxel-atlas mcp` lists to the protocol's own client, and 1 where each of them
  answers it;
- cli_options_with_choice_or_default: share of the options whose help tells choices, a default or what holds without
  them; options that take no value and required ones need none;
- tracebacks: of hostile_lines command lines that hypothesis makes of the table of options, and of ten commands in each
  of eleven surroundings (no home, Latin-1, closed streams, a full disk, twenty columns …), those that end in one;
- first_hour_commands_ok: 1 where every command of README and the tutorial, in order and in an empty home, ends with
  status 0; `make demo` is run as `voxel-atlas demo --no-serve`. Left out are those of data that cannot be shipped,
  tests, and the five further subjects. It takes minutes; --no-first-hour leaves it out;
- notebook_cells_run, notebook_pictures: share of the code cells of docs/*.ipynb that run on the atlas, and the pictures
  that they show.

They read the atlas of VOXEL_ATLAS_HOME, which `voxel-atlas demo --no-serve` fills; nothing else may serve it.
"""

import argparse
import asyncio
import os
import resource
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat
from hypothesis import HealthCheck, Phase, given, settings
from mcp import Client, StdioServerParameters
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

sys.path += [str(Path(__file__).parents[1] / part) for part in ("", "tests/api", "tests/api/cli")]

from command_table import share_told
from doc_blocks import blocks
from hostile_lines import ended, is_traceback, lines, surrounded

import figures
from voxel_atlas.schemas.config import Settings

ROOT = Path(__file__).parents[1]
PROGRAM = (sys.executable, "-m", "voxel_atlas")
LABEL, TEXT = "cake", "a birthday cake with candles"
REPEATS, SERVE_REPEATS, N_LINES = 7, 3, 300
_NO_DATA = "NSD"
"""In the reason why a block of README is no part of a first hour."""
CALLS: Sequence[tuple[str, Mapping[str, object]]] = (
    ("describe_atlas", {}),
    ("search_voxels", {"concept": LABEL, "first": 3}),
    ("read_voxel", {"voxel": 3}),
    ("run_sql", {"statement": "SELECT count(*) FROM voxel"}),
    ("flatmap", {"concept": LABEL, "width": 300}),
)
_PATIENCE_S = 120.0


def timed(command: Sequence[str]) -> tuple[float, float]:
    """Wall and processor seconds of a command that must succeed."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def medians(commands: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Median seconds of each command, run in turns; name_s and name_cpu_s."""
    runs = [{name: timed(command) for name, command in commands.items()} for _ in range(REPEATS)]
    found = {}
    for name in commands:
        for at, ending in enumerate(("s", "cpu_s")):
            found[f"{name}_{ending}"] = statistics.median(run[name][at] for run in runs)
    return found


@contextmanager
def served() -> Iterator[tuple[str, float]]:
    """A server of the atlas: its address, and after how many seconds it answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, start = f"http://127.0.0.1:{port}", time.perf_counter()
    process = subprocess.Popen([*PROGRAM, "serve", "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        _await(f"{url}/healthz", "true")
        yield url, time.perf_counter() - start
    finally:
        process.terminate()
        process.wait()


def _await(url: str, text: str) -> None:
    """Wait until an address answers with this text."""
    start = time.perf_counter()
    while time.perf_counter() - start < _PATIENCE_S:
        try:
            with urllib.request.urlopen(url) as answer:
                if text in answer.read().decode():
                    return
        except urllib.error.URLError:
            pass
        time.sleep(0.02)
    raise TimeoutError(f"{url} did not answer {text} within {_PATIENCE_S:.0f} s")


def starting(datasette: str | None) -> dict[str, float]:
    """How soon the shell and the server answer."""
    commands = {
        "pass": (sys.executable, "-c", "pass"),
        "help": (*PROGRAM, "--help"),
        "query_label": (*PROGRAM, "query", LABEL),
        "query_text": (*PROGRAM, "query", TEXT),
    }
    found = medians(commands | ({"datasette": (datasette, "--help")} if datasette else {}))
    ready = []
    for number in range(SERVE_REPEATS):
        with served() as (url, seconds):
            ready.append(seconds)
            if number == SERVE_REPEATS - 1:
                _await(f"{url}/readyz", '"textTowers":true')
                found |= medians({"query_text_served": commands["query_text"]})
    return {**found, "serve_s": statistics.median(ready)}


async def _conversation() -> tuple[int, bool]:
    server = StdioServerParameters(command=PROGRAM[0], args=[*PROGRAM[1:], "mcp"], env=dict(os.environ))
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
        answers = [await client.call_tool(name, dict(arguments)) for name, arguments in CALLS]
    return len(tools), not any(answer.is_error for answer in answers)


def hostile(home: Path, n: int) -> dict[str, float]:
    """Command lines that end in a traceback, on a copy of the atlas."""
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        own, inside = Path(folder) / "home", Path(folder) / "a" / "b" / "c"
        shutil.copytree(home, own)
        inside.mkdir(parents=True)
        os.environ["VOXEL_ATLAS_HOME"] = str(own)

        @settings(
            max_examples=n, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(line=lines())
        def run(line: list[str]) -> None:
            count[0] += 1
            status, said = ended(line, inside)
            if is_traceback(status, said):
                found.append(f"{shlex.join(line)}: {status!r}")

        count = [0]
        run()
        for name, words, status, said in surrounded(own):
            count[0] += 1
            if is_traceback(status, said):
                found.append(f"{name}: {words}: {status}")
    os.environ["VOXEL_ATLAS_HOME"] = str(home)
    print(*found, sep="\n")
    return {"hostile_lines": count[0], "tracebacks": len(found)}


def first_hour() -> dict[str, float]:
    """Every command of README and tutorial in an empty home."""
    commands = list[str]()
    for block in blocks():
        if block.page in ("README.md", "tutorial.md") and block.language == "sh" and _NO_DATA not in block.reason:
            commands += [
                line for line in block.code.replace("\\\n", " ").splitlines() if shlex.split(line, comments=True)
            ]
    wanted = [line for line in commands if not line.startswith("make test") and "--subjects" not in line]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "VOXEL_ATLAS_HOME": str(Path(folder) / "home")}
        failed = []
        for line in wanted:
            words = shlex.split(line, comments=True)
            words = ["demo", "--no-serve"] if words[0] == "make" else words[1:]
            print(f"voxel-atlas {shlex.join(words)}", flush=True)
            done = subprocess.run([*PROGRAM, *words], cwd=folder, env=environment, capture_output=True, check=False)
            if done.returncode:
                failed.append(f"{line}: {done.stderr.decode()}")
    print(*failed, sep="\n")
    return {"first_hour_commands": len(wanted), "first_hour_commands_ok": float(not failed)}


def notebooks() -> dict[str, float]:
    """Cells of the manual's notebooks that run, and the pictures that they show."""
    n_cells, n_run, n_pictures = 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IPYTHONDIR"] = folder
        for path in sorted((ROOT / "docs").glob("*.ipynb")):
            notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # it has no types
            code = [cell for cell in notebook.cells if cell.cell_type == "code"]
            client = NotebookClient(notebook, timeout=600, kernel_name="python3")
            try:
                client.execute()
            except CellExecutionError as error:
                print(f"{path.name}: {error}")
            n_cells += len(code)
            n_run += sum(
                cell.get("execution_count") is not None
                and not any(output.output_type == "error" for output in cell.outputs)
                for cell in code
            )
            n_pictures += sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    return {"notebook_cells_run": n_run / max(n_cells, 1), "notebook_pictures": n_pictures}


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--datasette", metavar="PROGRAM", help="path of datasette, in an environment of its own")
    parser.add_argument("--lines", type=int, default=N_LINES, help="command lines that hypothesis makes")
    parser.add_argument("--no-first-hour", action="store_true", help="leave out what takes minutes")


def main() -> None:
    """Measure all and report."""
    arguments = figures.arguments(__doc__, _more)
    home = Settings().home
    os.environ["VOXEL_ATLAS_HOME"] = str(home)
    found = starting(arguments.datasette)
    n_tools, ok = asyncio.run(_conversation())
    found |= {"mcp_tools": n_tools, "mcp_client_ok": float(ok), "cli_options_with_choice_or_default": share_told()}
    found |= hostile(home, arguments.lines)
    found |= notebooks()
    if not arguments.no_first_hour:
        found |= first_hour()
    figures.emit("In the notebook, in the shell, in an agent's hands", found, json_path=arguments.json)


if __name__ == "__main__":
    main()
