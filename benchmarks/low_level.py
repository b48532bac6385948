"""Voxels that contrast and edges explain: how many of them are shown with a label, and how many others are kept.

Whether a simulated voxel answers to contrast alone is known. Both shares are over significant voxels, all of which are
labelled.
In the null every voxel's responses are permuted over the images.

- lowlevel_labelled_share: voxels that answer to contrast alone and are shown with a label by default;
- semantic_kept_share: the other voxels that are shown;
- shuffled_semantic_p05, shuffled_semantic_share: voxels that reach p < 0.05 in the null, and that pass q <= 0.05;
- lowlevel_cost_ratio: time of the control over that of the fit, its predictions and its test of significance.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxel_atlas.atlas.backbones.feature_cache import FeatureCache
from voxel_atlas.atlas.search.model import Model
from voxel_atlas.ingest.datasets.interface import Dataset
from voxel_atlas.ingest.encoding.low_level import ControlledRidge, LowLevel
from voxel_atlas.ingest.encoding.ridge import Ridge
from voxel_atlas.ingest.encoding.significance import benjamini_hochberg, correlation_p, p_values
from voxel_atlas.ingest.encoding.split import split_by
from voxel_atlas.schemas.config import FDR, IngestConfig


def measure(
    model: Model, dataset: Dataset, features: NDArray[np.float32], planted: Mapping[int, set[str]], home: Path
) -> dict[str, float]:
    """The figures of the module.

    Args:
        model: of the simulated subject, fitted with the control.
        dataset: the subject.
        features: of all its images by the model's backbone, (n_stimuli, dim).
        planted: voxel → the categories that it is tuned to.
        home: where low-level properties of images are kept.
    """
    quality = model.tables.store.frame(
        "SELECT voxel, alpha, semantic FROM voxel_quality WHERE model_id = ? AND significant ORDER BY voxel",
        [model.model_id],
    )
    shown = quality["semantic"].to_numpy()
    contrast_only = np.array([planted[int(voxel)] == {"contrast"} for voxel in quality["voxel"]])

    config = IngestConfig.model_validate_json(model.config)
    train, test = split_by(config, len(features))
    responses = dataset.responses_of(quality["voxel"].to_numpy().astype(np.intp))
    low_level = FeatureCache(home, LowLevel(), 16).get(dataset.stimuli["sha256"].to_list(), dataset.image)
    start = time.process_time()
    fit = Ridge.from_config(features[train], config).fit(responses[train])
    p_values(config, responses[test], fit.predict(features[test]))
    fitted = time.process_time()
    controlled = ControlledRidge(features, low_level, train, test)
    correlation_p(*controlled.residuals(responses[train], responses[test], fit.alpha))
    ratio = (time.process_time() - fitted) / (fitted - start)

    null = np.random.default_rng(0).permuted(responses, axis=0)
    p = correlation_p(*controlled.residuals(null[train], null[test], quality["alpha"].to_numpy()))
    return {
        "lowlevel_labelled_share": float(shown[contrast_only].mean()),
        "semantic_kept_share": float(shown[~contrast_only].mean()),
        "shuffled_semantic_p05": float((p < 0.05).mean()),
        "shuffled_semantic_share": float((benjamini_hochberg(p) <= FDR).mean()),
        "lowlevel_cost_ratio": ratio,
    }
