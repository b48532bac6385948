"""Small CIFTI files in the layout of the Natural Object Dataset."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.stats
from nibabel import cifti2
from numpy.typing import NDArray

from voxel_atlas.ingest.datasets.nod.nod_runs import results_folder
from voxel_atlas.schemas.config import IngestConfig

N_VERTICES = 9
LEFT, RIGHT = np.array([0, 2, 3, 8]), np.array([1, 2, 5])
"""Vertices with values: the medial wall has none, and it differs between the hemispheres."""
N = len(LEFT) + len(RIGHT)


def axis(left: NDArray[np.intp] = LEFT, right: NDArray[np.intp] = RIGHT) -> cifti2.BrainModelAxis:
    return cifti2.BrainModelAxis.from_surface(left, N_VERTICES, "CortexLeft") + cifti2.BrainModelAxis.from_surface(
        right, N_VERTICES, "CortexRight"
    )


def write_maps(path: Path, values: NDArray[np.generic], names: list[str], columns: cifti2.BrainModelAxis) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = cifti2.Cifti2Image(values, (cifti2.ScalarAxis(names), columns))
    image.nifti_header.set_data_dtype(values.dtype)
    image.to_filename(path)


def write_labels(path: Path, keys: NDArray[np.uint8], names: dict[int, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {0: ("???", (1.0, 1.0, 1.0, 0.0))} | {key: (name, (1.0, 0.0, 0.0, 1.0)) for key, name in names.items()}
    image = cifti2.Cifti2Image(keys[None], (cifti2.LabelAxis(["labels"], [table]), axis()))
    image.nifti_header.set_data_dtype(np.uint8)
    image.to_filename(path)


def write_localiser(folder: Path) -> None:
    """Faces at columns 0 to 2, words at 2 and 3; bodies and places are missing, as for some subjects."""
    t = np.full((5, N), 3.0)
    t[2, 1] = 2.0  # Face: below the threshold
    t[0, 3] = 2.4  # Character
    # The names are in the label file; the maps bear numbers.
    write_maps(folder / "ses-floc_task-floc_beta.dscalar.nii", t, [f"map {i}" for i in range(5)], axis())
    contrasts = [f"{name} - others" for name in ("Character", "Body", "Face", "Place", "Object")]
    (folder / "ses-floc_task-floc_label.txt").write_text("\n".join(contrasts))
    write_labels(folder / "floc-faces.dlabel.nii", np.array([1, 1, 2, 0, 0, 0, 0], np.uint8), {1: "OFA", 2: "???"})
    write_labels(folder / "floc-words.dlabel.nii", np.array([0, 0, 1, 1, 0, 0, 0], np.uint8), {1: "VWFA"})


@dataclass
class Tree:
    """A small NOD subject, and the betas in the files' order of trials and of columns."""

    root: Path
    betas: dict[tuple[str, int], NDArray[np.float32]]
    names: dict[tuple[str, int], list[str]]
    """Path under stimuli/ of each trial."""

    def config(self, **settings: object) -> IngestConfig:
        return IngestConfig(**{"dataset": "nod", "subject": "1", "root": str(self.root), **settings})

    def run(self, session: str, task: str, number: int) -> Path:
        name = f"ses-{session}_task-{task}_run-{number}"
        return results_folder(self.root, "sub-01") / name / name

    def write_run(
        self,
        session: str,
        number: int,
        names: list[str],
        betas: NDArray[np.float32],
        columns: cifti2.BrainModelAxis | None = None,
    ) -> None:
        """A run's files; `names` are in the order of the trials, `betas` in the files' order."""
        task = session.rstrip("0123456789")
        events = f"sub-01_ses-{session}_task-{task}_run-{number:02d}_events.tsv"
        write_events(self.root / "sub-01" / f"ses-{session}" / "func" / events, task, names)
        # The betas of COCO are in the order of sorted names, those of ImageNet in the order of the trials.
        ordered = names if task == "imagenet" else sorted(names)
        self.names[session, number], self.betas[session, number] = ordered, betas
        base = self.run(session, task, number)
        numbers, columns = [str(i) for i in range(len(names))], columns or axis()
        write_maps(base.with_name(f"{base.name}_beta.dscalar.nii"), betas, numbers, columns)
        # One run of the data set has names with their folder.
        shown = [
            name.split("/", 1)[1] if (session, number) == ("imagenet01", 1) else Path(name).name for name in ordered
        ]
        base.with_name(f"{base.name}_label.txt").write_text("\n".join(shown))

    def trials(self, runs_of: list[tuple[str, int]]) -> dict[str, list[NDArray[np.float64]]]:
        """Image → its trials, z-scored within runs, by the plainest code."""
        trials: dict[str, list[NDArray[np.float64]]] = {}
        for key in runs_of:
            scored = scipy.stats.zscore(self.betas[key].astype(float), axis=0)
            for name, row in zip(self.names[key], scored, strict=True):
                trials.setdefault(name, []).append(row)
        return trials

    def expected(self, runs_of: list[tuple[str, int]]) -> tuple[list[str], NDArray[np.float64]]:
        """Images and responses by the plainest code."""
        trials = self.trials(runs_of)
        return sorted(trials), np.array([np.mean(trials[name], axis=0) for name in sorted(trials)])


def write_events(path: Path, task: str, images: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if task == "imagenet":
        header = "onset\tduration\ttrial_type\tresponse\tresponse_time\tstim_file"
        lines = [f"{4 * i}.0\t1.0\t406.0\t1\t0.9\t{image}" for i, image in enumerate(images)]
    else:
        header = "onset\tduration\ttrial_type\tresponse\tresponse_time\tcondition"
        lines = [f"{3 * i}.0\t0.5\t{i}.0\t0.0\t0.0\t{image}" for i, image in enumerate(images)]
        lines.insert(2, "6.0\t0.5\tn/a\t0.0\t0.0\tn/a")
    path.write_text("\n".join([header, *lines]) + "\n")


def everything(tree: Tree) -> list[tuple[str, int]]:
    return list(tree.betas)
