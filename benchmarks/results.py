"""What is kept of the benchmarks' runs, what each figure should be, and RESULTS.md, which is made of both.

results.json keeps, for each benchmark, the runs that a figure still comes from, oldest first: a run of one part
replaces the figures of that part and leaves the others. goals.toml keeps goals and notes, and which figures are ours, a
peer's and the floor's. The sentences of RESULTS.md are the benchmarks' docstrings and the remarks of goals.toml.
"""

import ast
import json
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GOALS = HERE / "goals.toml"
Run = dict[str, Any]
"""`{"figures": name → number, "machine": …}`, as `--json` writes it."""
Kept = dict[str, list[Run]]
"""Benchmark → its runs, oldest first. No figure is in two of them."""
_SIGNS = {">=": "≥", "<=": "≤", "==": ""}
_WHEN = ("date", "load_before", "load_after")


@dataclass(frozen=True)
class Figure:
    """A line of a benchmark's table."""

    name: str
    value: float | None
    """None where it was not measured."""
    goal: str
    """Like `>= 100`; empty where there is none."""
    note: str
    run: int
    """Which of the benchmark's runs it comes from, from 1."""

    @property
    def verdict(self) -> str:
        """Whether the goal is met."""
        if not self.goal or self.value is None:
            return ""
        sign, bound = self.goal.split()
        reached = {">=": self.value >= float(bound), "<=": self.value <= float(bound), "==": self.value == float(bound)}
        return "met" if reached[sign] else "missed"

    @property
    def shown_goal(self) -> str:
        """The goal for people."""
        sign, _, bound = self.goal.partition(" ")
        return f"{_SIGNS[sign]} {number(float(bound))}".strip() if bound else ""

    @property
    def shown(self) -> str:
        """The value for people."""
        return "not measured" if self.value is None else number(self.value)


@dataclass(frozen=True)
class Comparison:
    """One job done by us, by a peer, and by what no implementation can do without."""

    job: str
    ours: str
    peer: str
    ratio: str
    """The peer's time by ours."""
    floor: str
    """The floor's share of our time."""


def merged(kept: Kept, result: Run) -> Kept:
    """The runs with one more, whose figures replace older ones of their names."""
    name = result["benchmark"]
    runs = [{**run, "figures": _without(run["figures"], result["figures"])} for run in kept.get(name, [])]
    new = {"figures": result["figures"], "machine": result["machine"]}
    return {**kept, name: [*(run for run in runs if run["figures"]), new]}


def _without(figures: dict[str, float], replaced: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if name not in replaced}


def goals() -> dict[str, Any]:
    """Benchmark → its goals, notes, comparisons and remark, in the order of RESULTS.md."""
    return tomllib.loads(GOALS.read_text(encoding="utf-8"))


def figures_of(benchmark: str, kept: Kept) -> list[Figure]:
    """All figures of a benchmark: first those that goals.toml names, then the others as they were measured."""
    measured = {
        name: (value, position)
        for position, run in enumerate(kept.get(benchmark, []), start=1)
        for name, value in run["figures"].items()
    }
    known = goals().get(benchmark, {}).get("figures", {})
    found = []
    for name in dict.fromkeys((*known, *measured)):
        value, position = measured.get(name, (None, 0))
        said = known.get(name, {})
        found.append(Figure(name, value, said.get("goal", ""), said.get("note", ""), position))
    return found


def comparisons(kept: Kept) -> Iterator[Comparison]:
    """Every job of which our time and a peer's were measured."""
    for benchmark, said in goals().items():
        values = {figure.name: figure.value for figure in figures_of(benchmark, kept)}
        for row in said.get("compared", []):
            ours, theirs, floor = (values.get(row.get(key, "")) for key in ("ours", "theirs", "floor"))
            if ours is None or theirs is None:
                continue
            unit = row["ours"].rpartition("_")[2]
            yield Comparison(
                row["job"],
                f"{number(ours)} {unit}",
                f"{number(theirs)} {unit} ({row['peer']})",
                f"{number(theirs / ours)} ×",
                "" if floor is None else number(floor / ours),
            )


def number(value: float) -> str:
    """Three digits that say something; counts in full."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.6g}" if 0.99 < value < 1 else f"{value:.3g}"


def described(benchmark: str) -> str:
    """What a benchmark says of itself, without how it is called."""
    text = ast.get_docstring(ast.parse((HERE / f"{benchmark}.py").read_text(encoding="utf-8"))) or ""
    paragraphs = text.split("\n\n")
    return "\n\n".join(part for part in paragraphs if not part.startswith("    "))


def written(kept: Kept) -> str:
    """The text of RESULTS.md."""
    machines = Counter(_machine(run["machine"]) for runs in kept.values() for run in runs)
    machine = machines.most_common(1)[0][0]
    parts = [
        "# Measured",
        "Written by `python benchmarks/run.py` from benchmarks/results.json and benchmarks/goals.toml; do not edit it. "
        f"The machine, where a section names no other: {machine}. Other programs run on it. So only figures "
        "that were measured side by side say something: ratios to a peer, shares of a floor, counts. Loads are "
        "one-minute averages before and after a run, whose own work is in the second one.",
        "## Ours, a peer, and the floor",
        "The ratio is the peer's time by ours. The floor is what no implementation can do without, as a share of ours.",
        _table(
            ("job", "ours", "peer", "ratio", "floor"),
            [(row.job, row.ours, row.peer, row.ratio, row.floor) for row in comparisons(kept)],
        ),
    ]
    for benchmark, said in goals().items():
        runs = kept.get(benchmark, [])
        parts += [f"## {benchmark}.py", described(benchmark), *_when(runs, machine)]
        rows = [
            (
                figure.name,
                figure.shown_goal,
                figure.shown,
                "; ".join(filter(None, (figure.verdict, figure.note, _mark(figure, runs)))),
            )
            for figure in figures_of(benchmark, kept)
        ]
        parts += [_table(("figure", "goal", "measured", ""), rows), said.get("remark", "").strip()]
    return "\n\n".join(filter(None, parts)) + "\n"


def _when(runs: list[Run], machine: str) -> list[str]:
    lines = []
    for position, run in enumerate(runs, start=1):
        own = run["machine"]
        load = f"load {own['load_before']} before, {own['load_after']} after" if "load_before" in own else own["load"]
        other = "" if _machine(own) == machine else f"; {_machine(own)}"
        lines.append(f"{f'Run {position}' if len(runs) > 1 else 'Measured'}: {own['date']}, {load}{other}.")
    return ["\n".join(lines)] if lines else []


def _mark(figure: Figure, runs: list[Run]) -> str:
    return f"run {figure.run}" if len(runs) > 1 and figure.value is not None else ""


def _machine(machine: dict[str, Any]) -> str:
    shown = {name: value for name, value in machine.items() if name not in (*_WHEN, "load", "memory_gib", "cores")}
    processor = shown.pop("processor")
    versions = ", ".join(f"{name} {value}" for name, value in shown.items())
    return f"{processor}, {machine['cores']} cores, {machine['memory_gib']} GiB of memory, {versions}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def read(path: Path) -> Kept:
    """The runs that are kept."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
