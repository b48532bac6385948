"""Run all benchmarks, print one table, and write RESULTS.md with the machine described.

    python benchmarks/run.py                       # all, hours on a small machine
    python benchmarks/run.py ridge bootstrap       # some; the others' figures stay
    python benchmarks/run.py --add FILE…           # figures that a benchmark wrote with --json
    python benchmarks/run.py --no-run              # RESULTS.md again, after a change of goals.toml or of a docstring

Each benchmark is a process of its own. Those of the demo read the atlas of VOXEL_ATLAS_HOME, which
`voxel-atlas demo --no-serve` fills. What was measured is kept in results.json after each of them; one that fails is
named, and the others go on.
"""

import argparse
import fcntl
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import results
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
KEPT = HERE / "results.json"
RESULTS = HERE / "RESULTS.md"


def main() -> None:
    """Run what was asked for and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="benchmarks to run; none: all")
    parser.add_argument("--no-run", action="store_true", help="only write RESULTS.md from what was measured before")
    parser.add_argument("--add", nargs="+", type=Path, default=[], metavar="FILE", help="run none; take in these files")
    arguments = parser.parse_args()
    known = list(results.goals())
    if unknown := sorted(set(arguments.names) - set(known)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    for path in arguments.add:
        keep(path)
    chosen = [] if arguments.no_run or arguments.add else arguments.names or known
    failed = [name for name in chosen if not run(name)]
    kept = results.read(KEPT)
    RESULTS.write_text(results.written(kept), encoding="utf-8")
    show(kept)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def run(name: str) -> bool:
    """Run one benchmark and keep its figures; whether it succeeded."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(result)]
        if subprocess.run(command, check=False).returncode != 0:
            return False
        keep(result)
    return True


def keep(path: Path) -> None:
    """Take the figures of one run into results.json; two programs can do it at the same time."""
    result = json.loads(path.read_text(encoding="utf-8"))
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
