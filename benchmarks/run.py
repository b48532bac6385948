"""Run all benchmarks, print one table, and write RESULTS.md with the machine described.

    python benchmarks/run.py                       # all, unattended, in at most 90 minutes: `make bench`
    python benchmarks/run.py --quick               # some ratios, small, in at most 5 minutes: `make bench-quick`
    python benchmarks/run.py ridge bootstrap       # some, at full size; the others' figures stay
    python benchmarks/run.py --add FILE…           # figures that a benchmark wrote with --json
    python benchmarks/run.py --no-run              # RESULTS.md again, after a change of goals.toml or of a docstring

Each benchmark is a process of its own. Those of the demo read the atlas of VOXEL_ATLAS_HOME, which
`voxel-atlas demo --no-serve` fills. What was measured is kept in results.json after each of them; one that fails, or
that is not done within its minutes of goals.toml where all are run, is named, and the others go on.

`--quick` keeps nothing. Its ratios are of processor time on one thread, so that what else the machine does changes them
least, and each has a bound in goals.toml: its status is 1 where a ratio falls, or where one could not be measured.
"""

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import results
import torch
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
KEPT = HERE / "results.json"
RESULTS = HERE / "RESULTS.md"
QUICK_S = 300.0
"""What all of `--quick` may take."""


@dataclass(frozen=True)
class Run:
    """A benchmark that has run."""

    name: str
    seconds: float
    result: results.Run | None
    """As `--json` writes it; None where it failed."""
    said: str
    """What became of it."""


def main() -> None:
    """Run what was asked for and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="benchmarks to run; none: all")
    parser.add_argument("--quick", action="store_true", help="only hold some ratios against their bounds")
    parser.add_argument("--no-run", action="store_true", help="only write RESULTS.md from what was measured before")
    parser.add_argument("--add", nargs="+", type=Path, default=[], metavar="FILE", help="run none; take in these files")
    arguments = parser.parse_args()
    known = results.goals()
    if unknown := sorted(set(arguments.names) - set(known)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    if arguments.quick:
        sys.exit(quick(arguments.names or list(known)))
    for path in arguments.add:
        keep(json.loads(path.read_text(encoding="utf-8")))
    runs = []
    for name in [] if arguments.no_run or arguments.add else arguments.names or known:
        said = {} if arguments.names else known[name]
        if said.get("gpu") and not torch.cuda.is_available():
            print(f"{name} is left out: there is no GPU")
            continue
        runs.append(run(name, said.get("arguments", ()), 60 * said["minutes"] if "minutes" in said else None))
        if (result := runs[-1].result) is not None:
            keep(result)
    kept = results.read(KEPT)
    RESULTS.write_text(results.written(kept), encoding="utf-8")
    show(kept)
    show_runs(runs)
    if failed := [each.name for each in runs if each.result is None]:
        sys.exit(f"failed: {', '.join(failed)}")


def run(
    name: str, arguments: Sequence[str] = (), limit_s: float | None = None, variables: Mapping[str, str] | None = None
) -> Run:
    """Run one benchmark, which is stopped with all that it started when it takes longer than it may.

    Args:
        name: which.
        arguments: of its command line.
        limit_s: seconds that it may take; None for any.
        variables: of its environment, besides those of this process.
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        command = [sys.executable, str(HERE / f"{name}.py"), *arguments, "--json", str(path)]
        with subprocess.Popen(command, env={**os.environ, **(variables or {})}, start_new_session=True) as process:
            try:
                status = process.wait(limit_s)
                said = "" if status == 0 else f"failed with status {status}"
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                said = f"stopped after {limit_s:.0f} s"
        if not said and not path.exists():
            said = "wrote no figures"
        result = None if said else json.loads(path.read_text(encoding="utf-8"))
    return Run(name, time.monotonic() - start, result, said)


def quick(names: Sequence[str]) -> int:
    """Hold the ratios of small runs against their bounds, print them, and say by the status whether all are kept."""
    chosen = {name: said["quick"] for name, said in results.goals().items() if name in names and "quick" in said}
    ends = time.monotonic() + QUICK_S
    runs, table = [], Table("benchmark", "ratio", "bound", "measured", "", title="Quick", title_justify="left")
    fell = []
    for name, said in chosen.items():
        left = max(1.0, ends - time.monotonic())
        runs.append(run(name, [*said["arguments"], "--cpu-time"], left, {"OMP_NUM_THREADS": "1"}))
        measured = {} if (result := runs[-1].result) is None else result["figures"]
        for ratio, bound in said["ratios"].items():
            figure = results.Figure(ratio, measured.get(ratio), bound, "", 0)
            fell += [] if figure.verdict == "met" else [f"{name}.{ratio}"]
            table.add_row(name, ratio, figure.shown_goal, figure.shown, figure.verdict)
    Console().print(table)
    show_runs(runs)
    if fell:
        print(f"fell, or could not be measured: {', '.join(fell)}", file=sys.stderr)
    return 1 if fell else 0


def show_runs(runs: Sequence[Run]) -> None:
    """Print how long each benchmark took, and what became of it."""
    if not runs:
        return
    table = Table("benchmark", "seconds", "", title="Runs", title_justify="left")
    for each in runs:
        table.add_row(each.name, f"{each.seconds:.0f}", each.said or "done")
    table.add_row("all", f"{sum(each.seconds for each in runs):.0f}", "")
    Console().print(table)


def keep(result: results.Run) -> None:
    """Take the figures of one run into results.json; two programs can do it at the same time."""
    with KEPT.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        kept = results.merged(json.loads(file.read() or "{}"), result)
        file.truncate(0)
        file.write(json.dumps(kept, indent=1) + "\n")


def show(kept: results.Kept) -> None:
    """Print the tables."""
    compared = Table("job", "ours", "peer", "ratio", "floor", title="Ours, a peer, and the floor", title_justify="left")
    for row in results.comparisons(kept):
        compared.add_row(row.job, row.ours, row.peer, row.ratio, row.floor)
    table = Table("benchmark", "figure", "goal", "measured", "", title="Figures", title_justify="left")
    for benchmark in results.goals():
        for figure in results.figures_of(benchmark, kept):
            table.add_row(benchmark, figure.name, figure.shown_goal, figure.shown, figure.verdict)
    console = Console()
    console.print(compared)
    console.print(table)


if __name__ == "__main__":
    main()
