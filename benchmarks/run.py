"""Run all benchmarks, print one table, and write RESULTS.md with the machine described.

    python benchmarks/run.py                       # all, hours on a small machine
    python benchmarks/run.py ridge bootstrap       # some
    python benchmarks/run.py --no-run              # RESULTS.md again from what was measured before

Each benchmark is a process of its own and writes build/benchmarks/NAME.json. Those of the demo read the atlas of
VOXEL_ATLAS_HOME, which `voxel-atlas demo --no-serve` fills. One that fails is named, and the others go on.
"""

import argparse
import ast
import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
KEPT = HERE.parent / "build" / "benchmarks"
RESULTS = HERE / "RESULTS.md"
BEGIN, END = "<!-- begin: python benchmarks/run.py -->", "<!-- end -->"
"""What stands between these lines of RESULTS.md is written by this program; the rest is left as it is."""


def main() -> None:
    """Run what was asked for and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="benchmarks to run; none: all")
    parser.add_argument("--no-run", action="store_true", help="only write RESULTS.md from what was measured before")
    arguments = parser.parse_args()
    known = benchmarks()
    if unknown := sorted(set(arguments.names) - set(known)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    KEPT.mkdir(parents=True, exist_ok=True)
    chosen = [] if arguments.no_run else arguments.names or list(known)
    failed = [name for name in chosen if not run(name)]
    measured = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(KEPT.glob("*.json"))}
    show(measured)
    write(measured, known)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def benchmarks() -> dict[str, str]:
    """Name → first line of what it says of itself; those modules that report figures."""
    found = {}
    for path in sorted(HERE.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "figures.arguments(" in text and path.stem not in ("figures", "run"):
            found[path.stem] = (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]
    return found


def run(name: str) -> bool:
    """Run one benchmark; whether it succeeded."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(KEPT / f"{name}.json")]
    return subprocess.run(command, check=False).returncode == 0


def rows(measured: dict[str, dict]) -> list[tuple[str, str, str, str]]:
    """(benchmark, figure, value, kind): ratios to a peer, shares of a floor, and the others as they are."""
    kinds = {"ratio": "times a peer", "floor": "share of the floor"}
    return [
        (name, figure, f"{value:.4g}", next((kind for part, kind in kinds.items() if part in figure), ""))
        for name, result in measured.items()
        for figure, value in result["figures"].items()
    ]


def show(measured: dict[str, dict]) -> None:
    """Print the table."""
    table = Table("benchmark", "figure", "value", "is")
    for row in rows(measured):
        table.add_row(*row)
    Console().print(table)


def write(measured: dict[str, dict], described: dict[str, str]) -> None:
    """Put the results between the marks of RESULTS.md."""
    parts = [BEGIN, "", "# Results", ""]
    for name, result in measured.items():
        machine = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
        parts += [f"## {name}", "", described.get(name, ""), "", f"Measured on: {machine}.", ""]
        parts += ["| figure | value | is |", "|---|---|---|"]
        parts += [f"| {figure} | {value} | {kind} |" for owner, figure, value, kind in rows(measured) if owner == name]
        parts.append("")
    text = "\n".join([*parts, END])
    present = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else f"{BEGIN}\n{END}\n"
    if BEGIN not in present:
        present = f"{present.rstrip()}\n\n{BEGIN}\n{END}\n"
    before, _, rest = present.partition(BEGIN)
    RESULTS.write_text(before + text + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
