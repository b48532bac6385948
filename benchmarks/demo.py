"""How long a new user waits: `voxel-atlas demo` from an empty home folder, and again when everything is there.

The first run downloads the pictures' packages, makes scenes, fits, dissects; the second is timed until the server
answers /readyz.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import figures
from voxel_atlas.atlas.store.store import Store

PROGRAM = str(Path(sys.executable).with_name("voxel-atlas"))
_PATIENCE_S = 60.0


def first_run(home: Path) -> float:
    """Seconds of `voxel-atlas demo --no-serve`."""
    seconds, _ = figures.timed(
        lambda: subprocess.run([PROGRAM, "demo", "--no-serve"], env=_environment(home), check=True)
    )
    return seconds


def second_run(home: Path) -> float:
    """Seconds until the server of a second `voxel-atlas demo` is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = time.perf_counter()
    server = subprocess.Popen([PROGRAM, "demo", "--port", str(port)], env=_environment(home))
    try:
        while time.perf_counter() - start < _PATIENCE_S:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
                    json.load(answer)
                return time.perf_counter() - start
            except urllib.error.URLError:
                time.sleep(0.05)
        raise TimeoutError(f"the server was not ready after {_PATIENCE_S:.0f} s")
    finally:
        server.terminate()
        server.wait()


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "VOXEL_ATLAS_HOME": str(home)}


def main() -> None:
    """Run both and report."""
    arguments = figures.arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        measured = {"first_run_s": first_run(home), "second_run_s": second_run(home)}
        with Store.open(str(home / "atlas.duckdb"), read_only=True) as store:
            measured["voxels"] = float(store.frame("SELECT count(*) AS n FROM encoding")["n"][0])
    figures.emit("The demo on an empty home folder", measured, json_path=arguments.json)


if __name__ == "__main__":
    main()
