"""The same model fitted again: on fewer images (learning curve), and to responses that were shuffled (control)."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....atlas.backbones.interface import Floats
from ....ingest.encoding.learning_curve import LearningCurve
from ....ingest.encoding.metrics import pearson, r2
from ....ingest.encoding.ridge import Ridge
from ....ingest.encoding.significance import benjamini_hochberg, p_values
from .study_data import StudyData


def sampled(voxels: NDArray[np.int32], n: int, seed: int = 0) -> NDArray[np.int32]:
    """At most `n` of the voxels, drawn without replacement, ascending."""
    if len(voxels) <= n:
        return np.sort(voxels)
    return np.sort(np.random.default_rng(seed).choice(voxels, n, replace=False))


def learning_curve(data: StudyData, features: Floats, voxels: NDArray[np.int32]) -> pl.DataFrame:
    """Test scores of voxels fitted on 5, 10, … 34 of 34 blocks of the training images.

    Returns:
        n_train, voxel, r2, r: a row for each point and voxel.
    """
    curve = LearningCurve(features, data.config, (data.train, data.test))
    fits = [curve.fit(responses) for _, responses in data.batches(voxels)]
    r2s, rs = (np.concatenate([getattr(fit, name) for fit in fits], axis=1) for name in ("r2", "r"))
    n_points = len(curve.n_train)
    return pl.DataFrame(
        {
            "n_train": np.repeat(np.array(curve.n_train, np.int32), len(voxels)),
            "voxel": np.tile(voxels, n_points),
            "r2": r2s.ravel(),
            "r": rs.ravel(),
        }
    )


def shuffled_control(data: StudyData, features: Floats, voxels: NDArray[np.int32], seed: int = 0) -> pl.DataFrame:
    """The pipeline on responses that were permuted over the images, each voxel's by a permutation of its own.

    Returns:
        voxel, responses ("measured" or "shuffled"), r2, r, p, q: both kinds fitted and tested in the same way. q is
        over these voxels.
    """
    config = data.config
    ridge = Ridge.from_config(features[data.train], config)
    rng = np.random.default_rng(seed)
    kinds: dict[str, list[pl.DataFrame]] = {"measured": [], "shuffled": []}
    for part, responses in data.batches(voxels):
        for kind, given in (("measured", responses), ("shuffled", rng.permuted(responses, axis=0))):
            predicted = ridge.fit(given[data.train]).predict(features[data.test])
            measured = given[data.test]
            scores = {
                "voxel": voxels[part],
                "r2": r2(measured, predicted),
                "r": pearson(measured, predicted),
                "p": p_values(config, measured, predicted),
            }
            kinds[kind].append(pl.DataFrame(scores))
    frames = []
    for kind, parts in kinds.items():
        frame = pl.concat(parts)
        q = pl.Series("q", benjamini_hochberg(frame["p"].to_numpy()))
        frames.append(frame.select("voxel", pl.lit(kind).alias("responses"), "r2", "r", "p", q))
    return pl.concat(frames)
