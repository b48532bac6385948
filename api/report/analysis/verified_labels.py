"""First labels on held-out responses, and how many would hold if the responses said nothing (METHOD §6.5)."""

from pathlib import Path, PurePath

import numpy as np
import polars as pl

from ....atlas.search.atlas import Atlas
from ....atlas.search.model import Model
from ....atlas.search.tables.label_table import label_vectors
from ....ingest.dissection.verification import compare_labels, shown_by_captions, shown_by_detector
from ....schemas.config import FDR
from ....schemas.errors import NotFoundError
from .study_data import StudyData


def tested_labels(atlas: Atlas, model: Model) -> pl.DataFrame:
    """First labels that were held against responses: method, voxel, label, shown_by, n_images, auc, label_q, verified.

    `shown_by` is what says that an image shows the label.
    """
    sql = (
        "SELECT t.method, t.voxel, t.label, e.shown_by, t.n_images, t.auc, t.label_q, t.verified FROM top_label t "
        "JOIN label l ON l.lemma = t.label JOIN label_evidence e USING (model_id, voxel, method, label_id) "
        "WHERE t.model_id = ? AND t.verified IS NOT NULL ORDER BY t.method, t.voxel"
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
        tested: method, voxel, label, shown_by, as `tested_labels` gives them.
        evidence: the model's data.
        home: where features of images are kept.
        batch_images: images that a network sees at once.

    Returns:
        method, voxel, by_chance.

    Raises:
        AtlasError: the network or the images are not on this machine, or captions not in the atlas.
    """
    kinds, columns = [], []
    for (by,), own in tested.group_by("shown_by", maintain_order=True):
        labels = own["label"].unique().sort()
        if by == "caption":
            kinds.append(shown_by_captions(_captions(atlas, model, evidence), labels.to_list()))
        else:
            words, vectors = label_vectors(atlas.store, model.label_backbone, model.model_id)
            tower = atlas.text_towers.backbone(model.label_backbone)
            images = evidence.features(tower, home, batch_images, evidence.test)
            kinds.append(shown_by_detector(images, vectors, atlas.text_towers.vocabulary(tower.name)))
            labels = words["label"]
        columns.append(labels.to_frame().select(pl.lit(by).alias("shown_by"), "label"))
    shows = np.hstack(kinds)
    limits = atlas.store.frame(
        "SELECT method, max(p) AS most FROM label_evidence WHERE model_id = ? AND q <= ?::FLOAT GROUP BY method",
        [model.model_id, FDR],
    )
    numbered = pl.concat(columns).with_row_index("column")
    pairs = tested.join(numbered, on=["shown_by", "label"]).join(limits, on="method", how="left").sort("voxel")
    numbers = pairs["voxel"].unique().sort().to_numpy()
    chance, p = np.random.default_rng(0), []
    for place, responses in evidence.batches(numbers):
        own = pairs.filter(pl.col("voxel").is_in(numbers[place].tolist()))
        voxel = np.searchsorted(numbers[place], own["voxel"].to_numpy())
        permuted = chance.permuted(responses[evidence.test], axis=0)
        p.append(compare_labels(permuted, shows, voxel, own["column"].to_numpy()).p)
    passes = pl.Series("p", np.concatenate(p)) <= pairs["most"]
    return pairs.select("method", "voxel", passes.fill_null(value=False).alias("by_chance"))


def _captions(atlas: Atlas, model: Model, evidence: StudyData) -> list[str]:
    """What the model's captioner said of its test images, in their order; an empty text of one that was skipped.

    Raises:
        NotFoundError: there are none.
    """
    sql = (
        "SELECT stimulus_id, arg_min(text, captioner) FROM caption WHERE starts_with(captioner, ? || '@') "
        "AND len(box) = 0 GROUP BY stimulus_id"
    )
    captioner = PurePath(model.settings["captioner"]).name
    texts: dict[str, str] = dict(atlas.store.frame(sql, [captioner]).iter_rows())
    if not texts:
        raise NotFoundError(f"The atlas has no caption of a whole image by {captioner}.")
    return [texts.get(name, "") for name in evidence.dataset.stimuli["stimulus_id"].gather(evidence.test)]
