"""The food region that the atlas makes, on the simulated subject, whose scenes say what they show.

- food_recovered: Dice of the voxels that the contrast of food finds with those whose planted weight for food is at
  least a half, within the regions that are tuned to a category and their surroundings (V1 to V3 are contrast's);
- food_null: voxels that it finds when every voxel's responses are permuted over the images.

`rows` runs three of the method's rows on a session of NSD's layout, and says of each whether it is as loops have it.
"""

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import polars as pl
from scipy import stats

from voxel_atlas.api.cli import demo
from voxel_atlas.ingest.datasets.nsd.nsd import Nsd
from voxel_atlas.ingest.encoding.contrast import category_contrast
from voxel_atlas.schemas.config import FDR, IngestConfig

LEAST_WEIGHT = 0.5


def measure(home: Path, n_images: int = 2000) -> dict[str, float]:
    """The figures of the module.

    Args:
        home: of the demo, whose scenes are there.
        n_images: of its scenes, the first so many: all its subjects saw all of them.
    """
    subject = demo.subject(home, None)
    planted = subject.planting()
    voxels = planted.filter(pl.col("category") != "contrast")["voxel"].unique().sort().to_numpy()
    food = planted.filter(category="food").group_by("voxel").agg(pl.col("weight").sum())
    truth = np.isin(voxels, food.filter(pl.col("weight") >= LEAST_WEIGHT)["voxel"].to_numpy())
    contents = subject.contents()
    categories = sorted(contents["category"].unique())
    row_of = {stimulus: row for row, stimulus in enumerate(subject.stimuli["stimulus_id"])}
    shows = np.zeros((len(row_of), len(categories)), bool)
    for stimulus, category in contents.iter_rows():
        shows[row_of[stimulus], categories.index(category)] = True
    responses, shows = subject.responses_of(voxels.astype(np.intp))[:n_images], shows[:n_images]
    made = category_contrast(responses, shows, categories, "food")[1] <= FDR
    null = np.random.default_rng(0).permuted(responses, axis=0)
    return {
        "food_recovered": float(2 * (made & truth).sum() / (made.sum() + truth.sum())),
        "food_null": float((category_contrast(null, shows, categories, "food")[1] <= FDR).mean()),
    }


def rows(folder: Path) -> dict[str, bool]:
    """Whether z-score, selective ROI and FOOD are the paper's.

    Args:
        folder: an empty one, for a small NSD.
    """
    betas, images = _small_nsd(folder)
    config = IngestConfig(dataset="nsd", subject="8", root=str(folder), allow_missing=True)
    dataset = Nsd(config, folder / "home")
    scored, start = [], 0
    for run in range(1, 13):
        stop = start + (63 if run % 2 else 62)
        scored.append(stats.zscore(betas[start:stop].astype(float), axis=0))
        start = stop
    expected = np.concatenate(scored)[np.argsort(images)]
    by_run = np.allclose(dataset.responses_of(np.arange(betas.shape[1])), expected, atol=1e-5)
    inside = [_members(dataset, "selective"), _members(dataset, "floc")]
    for category in ("faces", "bodies", "places", "word"):
        _save(folder / f"nsddata/ppdata/subj08/func1pt8mm/floc_{category}tval.nii.gz", np.full(24, -1.0, np.float32))
    dataset = Nsd(config, folder / "home")
    with_maps = [_members(dataset, "selective"), _members(dataset, "floc")]
    # FFA of faces 2 and 3, EBA of bodies 1, RSC of places 3, VWFA of words 2 and 3.
    selective = (
        inside == with_maps == [[1, 2, 6, 14, 19, 20], [*range(3), *range(6, 9), *range(12, 15), *range(18, 21)]]
    )
    return {"NSD z-score": by_run, "selective ROI, NSD": selective, "FOOD": _food_is_a_loops()}


def _members(dataset: Nsd, roi: str) -> list[int]:
    return sorted(dataset.voxel_rois.filter(roi=roi)["voxel"].to_list())


def _save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values.reshape(2, 3, 4).T.copy(), np.eye(4)), path)


def _small_nsd(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """One session of subject 8, 24 voxels: its betas, (750, 24), and the image of each trial."""
    rng = np.random.default_rng(0)
    # Every image at most once in the session that is there, so that no average hides what was scored.
    later = np.concatenate([np.repeat(np.arange(750), 2), np.repeat(np.arange(750, 7500), 3)])
    images = rng.permutation(750)
    trials = np.argsort(np.concatenate([images, rng.permutation(later)]), kind="stable").reshape(7500, 3) + 1
    (root / "nsddata/experiments/nsd").mkdir(parents=True)
    table = pl.DataFrame({"nsdId": np.arange(7500), **{f"subject8_rep{n}": trials[:, n] for n in range(3)}})
    table.write_csv(root / "nsddata/experiments/nsd/nsd_stim_info_merged.csv")
    betas = rng.integers(-3000, 3000, (750, 24)).astype(np.int16)
    path = root / "nsddata_betas/ppdata/subj08/func1pt8mm/betas_fithrf_GLMdenoise_RR/betas_session01.hdf5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        file["betas"] = betas.reshape(750, 2, 3, 4)
    for number, name in enumerate(("faces", "bodies", "places", "words")):
        labels = np.zeros(24, np.int16)
        labels[6 * number : 6 * number + 3] = 1, 2, 3
        _save(root / f"nsddata/ppdata/subj08/func1pt8mm/roi/floc-{name}.nii.gz", labels)
    stimuli = root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
    stimuli.parent.mkdir(parents=True)
    with h5py.File(stimuli, "w") as file:
        file["imgBrick"] = np.tile(np.arange(7500, dtype=np.int32)[:, None, None, None], (1, 2, 2, 3))
    return betas, images


def _food_is_a_loops() -> bool:
    rng = np.random.default_rng(1)
    shows = rng.random((200, 4)) < 0.3
    responses = rng.standard_normal((200, 6)) + np.outer(shows[:, 1], [1, 0.5, 0, 0, -1, 0])
    t, q = category_contrast(responses, shows, ("animal", "food", "person", "vehicle"), "food")
    design = np.column_stack([np.ones(200), shows])
    weights = np.array([0, -1 / 3, 1, -1 / 3, -1 / 3])
    expected = []
    for y in responses.T:
        beta = np.linalg.solve(design.T @ design, design.T @ y)
        variance = ((y - design @ beta) ** 2).sum() / 195
        expected.append(weights @ beta / np.sqrt(variance * weights @ np.linalg.inv(design.T @ design) @ weights))
    p = np.sort(stats.t.sf(expected, 195))
    passed = max((k for k in range(1, 7) if p[k - 1] <= FDR * k / 6), default=0)
    return bool(np.allclose(t, expected, rtol=1e-5) and (q <= FDR).sum() == passed)
