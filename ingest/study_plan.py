"""How long models of a study will take that are not there: as those that are there took, or measured on made data."""

from collections import defaultdict
from statistics import median

import numpy as np

from ..atlas.backbones.interface import Backbone
from ..atlas.store.store import Store
from ..schemas.config import IngestConfig
from .datasets.inventory import Size
from .encoding.ridge import Ridge
from .encoding.significance import p_values
from .plan import timed

_TOOK = """
SELECT m.config, epoch(ended.recorded_at - begun.recorded_at) / v.n_voxels AS seconds
FROM run begun JOIN run ended USING (run_id, model_id) JOIN model m USING (model_id)
     JOIN (SELECT model_id, count(*) AS n_voxels FROM encoding GROUP BY model_id) v USING (model_id)
     JOIN (SELECT model_id FROM run WHERE state = 'started' GROUP BY model_id HAVING count(*) = 1) USING (model_id)
WHERE begun.state = 'started' AND ended.state = 'finished'
"""
"""Models that one run made from beginning to end."""
_IMAGES, _VOXELS, _SIDE = 16, 500, 425
"""Pictures, of NSD's size, and voxels that are timed."""

Kind = tuple[str, ...]
"""A network, and how labels are made: models that have both in common take alike for each voxel."""


def kind_of(config: IngestConfig) -> Kind:
    """What decides how long a model takes for each voxel."""
    labels = () if config.dissect == "none" else (config.dissect, config.captioner, config.generator)
    return config.backbone, *labels


def seconds_per_voxel(store: Store) -> dict[Kind, float]:
    """Kind of model → seconds that those in an atlas took for each voxel, the median over models."""
    took = defaultdict[Kind, list[float]](list)
    for config, seconds in store.frame(_TOOK).iter_rows():
        took[kind_of(IngestConfig.model_validate_json(config))].append(seconds)
    return {kind: median(of_kind) for kind, of_kind in took.items()}


def seconds_per_image(backbone: Backbone) -> float:
    """Seconds that a network takes for each picture of a batch, measured here on made ones."""
    pictures = list(np.random.default_rng(0).integers(0, 255, (_IMAGES, _SIDE, _SIDE, 3), np.uint8))
    backbone.features(pictures[:1])
    return timed(lambda: backbone.features(pictures))[0] / _IMAGES


def seconds_to_fit(config: IngestConfig, size: Size, backbone: Backbone) -> float:
    """Seconds to encode all images and fit all voxels, without labels: measured here on made pictures and responses.

    Args:
        config: the model's settings.
        size: how big the job is.
        backbone: the network.
    """
    rng = np.random.default_rng(0)
    n_test = max(1, round(config.test_share * size.n_images))
    n_train, n_voxels = size.n_images - n_test, min(_VOXELS, size.n_voxels)
    features = rng.standard_normal((size.n_images, backbone.dim), np.float32)
    responses = rng.standard_normal((size.n_images, n_voxels), np.float32)
    prepared_s, ridge = timed(lambda: Ridge.from_config(features[:n_train], config))

    def fit() -> None:
        p_values(config, responses[n_train:], ridge.fit(responses[:n_train]).predict(features[n_train:]))

    n_images = size.n_images + size.n_probe_images
    return n_images * seconds_per_image(backbone) + prepared_s + timed(fit)[0] * size.n_voxels / n_voxels
