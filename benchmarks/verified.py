"""Labels held against responses: how many right ones are verified, and what chance verifies.

A first label is right when it belongs to a category that the voxel was planted with, by kinds.py. In the null every
voxel's responses are permuted over the test images; the labels and the images that show them stay. A pair passes where
its p is at most the largest that was verified in truth.

- verified_recovered: right first labels that are verified; shuffled_verified_recovered: the same pairs in the null;
- verified_null_share: all pairs of voxel and label that pass in the null; verified_null_p05: with p at most 0.05;
- verified_wrong: first labels of none of the voxel's categories that are verified; verified_moved: the same of labels
  that are another voxel's; verified_contrast: first labels of voxels that answer to contrast alone;
- right_if_verified, right_if_not: right ones among the first labels that are verified, and among the others.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from kinds import kinds
from numpy.typing import NDArray
from wordnet import WordNet

from voxel_atlas.atlas.search.baseline import Vocabulary
from voxel_atlas.atlas.search.model import Model
from voxel_atlas.atlas.search.tables.label_table import label_vectors
from voxel_atlas.ingest.datasets.interface import Dataset
from voxel_atlas.ingest.dissection.verification import compare_labels, detected
from voxel_atlas.ingest.encoding.split import split_by
from voxel_atlas.schemas.config import FDR, IngestConfig


def measure(
    model: Model,
    dataset: Dataset,
    features: NDArray[np.float32],
    planted: Mapping[int, set[str]],
    wordnet: WordNet,
    method: str | None = None,
) -> dict[str, float]:
    """The figures of the module, for a model whose own backbone embeds its labels.

    Args:
        model: of the simulated subject.
        dataset: the subject.
        features: of all its images by the model's backbone, (n_stimuli, dim).
        planted: voxel → the categories that it is tuned to.
        wordnet: for the judge of labels.
        method: whose labels; None for the model's first one.
    """
    store, method = model.tables.store, model.method(method)
    pairs = store.frame(
        "SELECT voxel, label, rank, p, q FROM label_evidence JOIN label USING (label_id) "
        "JOIN voxel_label v USING (model_id, voxel, method) WHERE v.label = lemma AND model_id = ? AND method = ? "
        "ORDER BY voxel, rank",
        [model.model_id, method],
    )
    _, test = split_by(IngestConfig.model_validate_json(model.config), len(features))
    words, vectors = label_vectors(store, model.label_backbone, model.model_id)
    vocabulary = Vocabulary.stored(store, model.label_backbone)
    assert vocabulary is not None
    shows = detected(features[test] @ vocabulary.centred(vectors).T)
    place = {word: column for column, word in enumerate(words["label"])}
    voxels, voxel = np.unique(pairs["voxel"].to_numpy(), return_inverse=True)
    label = np.array([place[word] for word in pairs["label"]])
    responses = dataset.responses_of(voxels.astype(np.intp))[test]
    cutoff = pairs.filter(pl.col("q") <= FDR)["p"].to_numpy().max()
    null = compare_labels(np.random.default_rng(0).permuted(responses, axis=0), shows, voxel, label).p

    first = (pairs["rank"] == 1).to_numpy()
    verified = (pairs["q"] <= FDR).to_numpy()
    categories = [planted[int(number)] for number in pairs["voxel"]]
    tuned = first & np.array([bool(own - {"contrast"}) for own in categories])
    of_word = {word: kinds(wordnet, word) for word in place}
    right = np.array([bool(of_word[word] & own) for word, own in zip(pairs["label"], categories, strict=True)])

    rows = np.flatnonzero(tuned)
    other = np.random.default_rng(1).permutation(rows)
    wrong = [not of_word[pairs["label"][int(b)]] & categories[a] for a, b in zip(rows, other, strict=True)]
    moved = compare_labels(responses, shows, voxel[rows[wrong]], label[other[wrong]]).p
    shares = {
        "verified_recovered": verified[tuned & right],
        "shuffled_verified_recovered": null[tuned & right] <= cutoff,
        "verified_null_share": null <= cutoff,
        "verified_null_p05": null <= 0.05,
        "verified_wrong": verified[tuned & ~right],
        "verified_moved": moved <= cutoff,
        "verified_contrast": verified[first & ~tuned],
        "right_if_verified": right[tuned & verified],
        "right_if_not": right[tuned & ~verified],
    }
    counts = {"right_first_labels": np.count_nonzero(tuned & right), "first_labels": np.count_nonzero(tuned)}
    return {name: float(np.mean(share)) for name, share in shares.items()} | {k: float(n) for k, n in counts.items()}
