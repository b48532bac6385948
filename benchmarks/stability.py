"""Whether labels depend on the machine: threads and processor features are varied, each in a process of its own.

Some voxels of a simulated subject with few pictures are ingested and dissected with the paper's crops: by the pipeline,
in batches, and one voxel at a time (dissection_by_voxel.py). `labels_equal` is the share of voxels that get the same
labels both ways; `first_labels_equal` the share whose first label is the one that the machine as it is gives; the
stages that differ from it in a digit are named in a table. Networks, pictures and scenes are those of VOXEL_ATLAS_HOME.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import dissection
import torch

import figures
from voxel_atlas.api.cli.demo import CONFIG, SURFACE, TRANSFORM
from voxel_atlas.api.maps.subject_cortex import surfaces_cache
from voxel_atlas.ingest.simulated.alignment import calibrate
from voxel_atlas.ingest.simulated.planting import Cortex
from voxel_atlas.ingest.simulated.scenes.scene_set import scene_set
from voxel_atlas.ingest.simulated.subject import Simulated
from voxel_atlas.schemas.config import Settings
from voxel_atlas.viz.surfaces.surface import regions

N_SCENES, N_VOXELS = 240, 12
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "as_it_is": {},
    "one_thread": dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "four_threads": dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "4"),
    "avx512": {"OPENBLAS_CORETYPE": "SkylakeX", "ATEN_CPU_CAPABILITY": "avx512"},
    "avx2": {
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
    "sse4": {
        "OPENBLAS_CORETYPE": "Nehalem",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    },
}
"""Name → environment: how many threads share sums, and which instructions BLAS, torch and oneDNN may use."""
_CONFIG = CONFIG.model_copy(
    update={
        "dissect": "all",
        "n_bootstrap": 100,
        "min_voxels_per_label": 1,
        "crop_grid": 0,
        "crops_per_image": 2,
        "top_images": 5,
        "n_captions": 5,
        "images_per_label": 4,
    }
)


@dataclass(frozen=True)
class Outcome:
    """What one process found."""

    labels_equal: float
    scores_max_diff: float
    first: dict[str, str]
    """Voxel → its first label."""
    digests: dict[str, str]
    """Stage → digest of what it has committed."""


def measure(home: Path, settings: Mapping[str, Mapping[str, str]] = SETTINGS) -> dict[str, float]:
    """Dissect under each setting, the first being what the others are held against.

    Args:
        home: the atlas's home folder, for networks, pictures and scenes; what they lack is made.
        settings: name → environment variables. The one with AVX-512 is passed over where the processor has none.
    """
    calibrate(home)
    scene_set(home, "B", N_SCENES, 0)
    has_avx512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
    names = [name for name in settings if has_avx512 or name != "avx512"]
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(names, pool.map(lambda name: _under(home, settings[name]), names), strict=True))
    reference, measured = found[names[0]], dict[str, float]()
    rows: list[figures.Row] = []
    for name, outcome in found.items():
        same = [label == outcome.first.get(voxel) for voxel, label in reference.first.items()]
        measured[f"labels_equal_{name}"] = outcome.labels_equal
        measured[f"first_labels_equal_{name}"] = sum(same) / len(same)
        others = [stage for stage, digest in reference.digests.items() if outcome.digests.get(stage) != digest]
        rows.append({"setting": name, "stages that differ": ", ".join(others) or "none"})
    figures.emit("Stages that differ in a digit", {}, rows)
    return {
        "labels_equal": min(outcome.labels_equal for outcome in found.values()),
        "first_labels_equal": min(measured[f"first_labels_equal_{name}"] for name in names),
        "scores_max_diff": max(outcome.scores_max_diff for outcome in found.values()),
        **measured,
    }


def _under(home: Path, environment: Mapping[str, str]) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcome.json"
        command = [sys.executable, __file__, "--one", str(file)]
        given = {**os.environ, **environment, "VOXEL_ATLAS_HOME": str(home)}
        subprocess.run(command, env=given, check=True, stdout=subprocess.DEVNULL)
        return Outcome(**json.loads(file.read_text(encoding="utf-8")))


def _dissected(home: Path) -> Outcome:
    mask, rois = regions(SURFACE, TRANSFORM, surfaces_cache(home), None)
    subject = Simulated(home, Cortex(mask, rois, SURFACE, TRANSFORM), n_scenes=N_SCENES)
    dataset = dissection.of_some_voxels(subject, N_VOXELS)
    with dissection.scratch_home(home) as scratch:
        ours = dissection.Dissected(scratch, dataset, _CONFIG)
        _, _, slow = dissection.one_by_one(scratch, ours, _CONFIG, dataset, ours.fitted)
    equal, difference = dissection.agreement(ours.labels, slow)
    best = ours.labels.sort("voxel", "score", "label", descending=[False, True, False]).unique("voxel", keep="first")
    first = {str(voxel): label for voxel, label in best.select("voxel", "label").iter_rows()}
    return Outcome(equal, difference, first, ours.digests)


def main() -> None:
    """Measure and report."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--one", type=Path, metavar="FILE", help="under this process's own setting only, to FILE")

    arguments = figures.arguments(__doc__, extend)
    home = Settings().home
    if arguments.one:
        arguments.one.write_text(json.dumps(asdict(_dissected(home))), encoding="utf-8")
        return
    figures.emit("Labels under other threads and processors", measure(home), json_path=arguments.json)


if __name__ == "__main__":
    main()
