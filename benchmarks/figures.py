"""How every benchmark reports: a table for people, `{"benchmark", "figures", "machine"}` for `--json FILE`.

    import figures

    arguments = figures.arguments(__doc__)
    figures.emit("Ridge regression", {"ratio_himalaya": 118.0}, rows, arguments.json)

Absolute seconds say little on a shared machine, so a benchmark times its peers in the same run and reports ratios.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

Result = TypeVar("Result")
Row = Mapping[str, object]
"""One line of the printed table: column name → value. All rows of a table have the same columns."""
_clock = time.perf_counter
_LOAD_BEFORE = round(os.getloadavg()[0], 2)
"""What else ran when the benchmark started."""


def arguments(
    description: str | None, extend: Callable[[argparse.ArgumentParser], None] | None = None
) -> argparse.Namespace:
    """Parse the command line: `--json FILE`, `--cpu-time`, and whatever `extend` adds to the parser."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE as JSON")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="times are processor time: what neighbours lengthen least; fair where OMP_NUM_THREADS is 1",
    )
    if extend is not None:
        extend(parser)
    given = parser.parse_args()
    if given.cpu_time:
        global _clock
        _clock = time.process_time
    return given


def clock() -> float:
    """Seconds since some moment, of the wall or, where `--cpu-time` was given, of this process's work."""
    return _clock()


def timed(run: Callable[[], Result], repeats: int = 1) -> tuple[float, Result]:
    """The shortest time of `repeats` runs in seconds (neighbours only ever add to it), and the last result."""
    best = float("inf")
    for _ in range(repeats):
        start = clock()
        result = run()
        best = min(best, clock() - start)
    return best, result


def memory_floor(n_bytes: int) -> float:
    """Seconds that all cores need to read so many bytes once."""
    words = np.ones(n_bytes // 8, np.int64)
    parts = np.array_split(words, len(os.sched_getaffinity(0)))

    def read() -> None:
        threads = [threading.Thread(target=part.max) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return timed(read, 5)[0]


def peak_gib(process: int | str = "self") -> float:
    """The most memory this process or another has held so far, in GiB (Linux; getrusage would count the parent's)."""
    return memory_gib(process, "VmHWM")


def memory_gib(process: int | str, line: str) -> float:
    """Memory of a process in GiB, by a line of Linux's /proc/PID/status: VmHWM, VmRSS or RssAnon."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(status.split(f"{line}:")[1].split()[0]) / 2**20


def watched(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds of a command, and the most memory that its process held, in GiB.

    Its own high-water mark is read while it runs: what getrusage says of a child is no less than what this process
    held when it started it.

    Raises:
        CalledProcessError: it failed.
    """
    start, peak = time.perf_counter(), 0.0
    with subprocess.Popen(command, env=environment) as process:
        while process.poll() is None:
            try:
                peak = max(peak, peak_gib(process.pid))
            except (OSError, IndexError):  # it is ending, and has no memory any more
                continue
            time.sleep(0.02)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - start, peak


def emit(title: str, figures: Mapping[str, float], rows: Sequence[Row] = (), json_path: Path | None = None) -> None:
    """Print the rows and the figures, and write the figures where `--json` said.

    Args:
        title: what was measured, on what sizes.
        figures: name → number; without any, only the rows are printed.
        rows: details for people, one mapping a line; not part of the JSON.
        json_path: the file to write, or None.
    """
    console = Console()
    if rows:
        table = Table(title=title, title_justify="left")
        for name in rows[0]:
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(*(_shown(value) for value in row.values()))
        console.print(table)
    if not figures:
        return
    summary = Table("figure", "value", title=None if rows else title, title_justify="left")
    for name, value in figures.items():
        summary.add_row(name, _shown(value))
    console.print(summary)
    described = machine()
    console.print(", ".join(f"{name} {value}" for name, value in described.items()), style="dim")
    if json_path is not None:
        result = {"benchmark": Path(sys.argv[0]).stem, "figures": dict(figures), "machine": described}
        text = json.dumps(result, indent=2)
        json_path.write_text(text + "\n", encoding="utf-8")


def machine() -> dict[str, str | int | float]:
    """What the figures were measured on, and when; loads are one-minute averages before and after."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "torch", "duckdb")},
        **({"clock": "of processor time"} if _clock is time.process_time else {}),
        "date": datetime.now(UTC).date().isoformat(),
        "load_before": _LOAD_BEFORE,
        "load_after": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
