"""First labels on held-out responses, and how many would hold if the responses said nothing (METHOD §6.5)."""

from pathlib import Path

import numpy as np
import polars as pl

from ....atlas.search.atlas import Atlas
from ....atlas.search.model import Model
from ....atlas.search.tables.label_table import label_vectors
from ....ingest.dissection.verification import compare_labels, detected
from .study_data import StudyData


def tested_labels(atlas: Atlas, model: Model) -> pl.DataFrame:
    """First labels that were held against responses: method, voxel, label, n_images, auc, label_q, verified."""
    sql = (
        "SELECT method, voxel, label, n_images, auc, label_q, verified FROM top_label WHERE model_id = ? AND verified "
        "IS NOT NULL ORDER BY method, voxel"
    )
    return atlas.store.frame(sql, [model.model_id])


def verified_by_chance(
    atlas: Atlas, model: Model, tested: pl.DataFrame, evidence: StudyData, home: Path, batch_images: int
) -> pl.DataFrame:
    """Whether each first label would be verified with its voxel's responses permuted over the test images.

    It is verified with a p of at most the largest that was in truth; labels and the images that show them stay.

    Args:
        atlas: the atlas.
        model: a model of it.
        tested: method, voxel, label, as `tested_labels` gives them.
        evidence: the model's data.
        home: where features of images are kept.
        batch_images: images that a network sees at once.

    Returns:
        method, voxel, by_chance.

    Raises:
        AtlasError: the network or the images are not on this machine.
    """
    words, vectors = label_vectors(atlas.store, model.label_backbone, model.model_id)
    contrasts = atlas.text_towers.vocabulary(model.label_backbone).centred(vectors)
    tower = atlas.text_towers.backbone(model.label_backbone)
    shows = detected(evidence.features(tower, home, batch_images, evidence.test) @ contrasts.T)
    limits = atlas.store.frame(
        "SELECT method, max(p) AS most FROM label_evidence WHERE model_id = ? AND q <= 0.05 GROUP BY method",
        [model.model_id],
    )
    columns = pl.DataFrame({"label": words["label"], "column": np.arange(len(words))})
    pairs = tested.join(columns, on="label").join(limits, on="method", how="left").sort("voxel")
    numbers = pairs["voxel"].unique().sort().to_numpy()
    chance, p = np.random.default_rng(0), []
    for place, responses in evidence.batches(numbers):
        own = pairs.filter(pl.col("voxel").is_in(numbers[place].tolist()))
        voxel = np.searchsorted(numbers[place], own["voxel"].to_numpy())
        permuted = chance.permuted(responses[evidence.test], axis=0)
        p.append(compare_labels(permuted, shows, voxel, own["column"].to_numpy()).p)
    passes = pl.Series("p", np.concatenate(p)) <= pairs["most"]
    return pairs.select("method", "voxel", passes.fill_null(value=False).alias("by_chance"))
