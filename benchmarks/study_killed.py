"""A study that is killed in the midst of each of its models and run again, beside one that nothing disturbs.

A part of scale.py: two subjects by the offline network, each command in a process of its own. Equal are the digests of
all stages (`voxel-atlas runs --digests`).
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import probe_pass
import yaml

from voxel_atlas.atlas.store.store import Store

N_IMAGES, N_VOXELS = 60, 50
KILLED_BEFORE = (6, 9)
"""Which batch is not committed any more, in the first run and in the second."""
_PROGRAM = """
import os, signal, sys
from voxel_atlas.api.cli.main import main
from voxel_atlas.atlas.store.store import Store

last, append, batches = int(sys.argv.pop(1)), Store.append, []

def dying(*given, **named):
    batches.append(named["key"])
    if len(batches) == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return append(*given, **named)

Store.append = dying
main()
"""


def measure(folder: Path) -> dict[str, float]:
    """Make a study, ingest it twice and compare.

    Args:
        folder: an empty one.
    """
    home = folder / "home"
    probe_pass.draw(folder / "pictures", N_IMAGES)
    probe_pass.aligned(home)
    names = [path.name for path in sorted((folder / "pictures").iterdir())]
    pl.DataFrame({"image": [f"pictures/{name}" for name in names]}).write_csv(folder / "stimuli.csv")
    subjects = [{"subject": name, "responses": f"{name}.npy"} for name in ("1", "2")]
    for number, subject in enumerate(subjects):
        responses = np.random.default_rng(number).standard_normal((N_IMAGES, N_VOXELS), np.float32)
        np.save(folder / subject["responses"], responses)
    settings = {"dataset": "folder", "root": str(folder), "subjects": subjects, "backbones": ["lite"]}
    (folder / "study.yaml").write_text(yaml.safe_dump({**settings, "dissect": "none", "n_bootstrap": 100}))
    whole, killed = folder / "whole.duckdb", folder / "killed.duckdb"
    assert _ingest(folder, whole) == 0
    for last in KILLED_BEFORE:
        assert _ingest(folder, killed, last) == -signal.SIGKILL
    assert _ingest(folder, killed) == 0
    return {"study_resumed_equal": float(_digests(killed) == _digests(whole))}


def _ingest(folder: Path, atlas: Path, last: int = 0) -> int:
    """Status of a process that ingests the study, and is killed before a batch."""
    command = [sys.executable, "-c", _PROGRAM, str(last), "ingest", "--config", str(folder / "study.yaml")]
    environment = {**os.environ, "VOXEL_ATLAS_HOME": str(folder / "home")}
    command += ["--atlas", str(atlas)]
    return subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL).returncode


def _digests(atlas: Path) -> list[tuple[object, ...]]:
    with Store.open(str(atlas), read_only=True) as store:
        return store.frame("FROM stage_digest ORDER BY ALL").rows()
