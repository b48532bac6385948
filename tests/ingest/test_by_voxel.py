"""The pipeline beside the usual way of dissecting, voxel after voxel: the same labels, scores and probabilities."""

import dissection_by_voxel
import numpy as np
import polars as pl
import pytest
from tiny import TinyBackbone, TinyCaptioner, TinyDataset, TinyGenerator, tiny_config, tiny_parts

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.dissection.nouns import NounExtractor
from voxel_atlas.ingest.run import Pipeline


class Naming(TinyCaptioner):
    """Names the strongest colour and one that is not there, so that voxels have several labels."""

    def caption(self, images, features=None):
        rows = TinyBackbone().features(list(images)) if features is None else features
        named = [(int(row.argmax()), 1 if row.max() > 0.15 else 2) for row in rows]
        return [f"a {TinyDataset.COLOURS[seen]} and a {TinyDataset.COLOURS[(seen + more) % 4]}" for seen, more in named]


@pytest.mark.parametrize(
    "changes", [{}, {"crops_per_image": 4, "crop_grid": 4}, {"max_candidates": 2, "n_captions": 6}]
)
def test_labels_and_scores_equal_those_of_the_usual_way(tmp_path, changes):
    backbone, dataset = TinyBackbone(), TinyDataset()
    config = tiny_config(dissect="all", **changes)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        Pipeline(store=store, home=tmp_path).ingest(config, tiny_parts(config, tmp_path, captioner=Naming()))
        fitted = store.frame("SELECT voxel, weights, bias FROM encoding ORDER BY voxel")
        mean = np.array(store.frame("SELECT feature_mean FROM model")["feature_mean"][0], np.float32)
        labels = store.frame("SELECT voxel, label, score, probability FROM voxel_label")
    networks = dissection_by_voxel.Networks(backbone, Naming(), TinyGenerator(), NounExtractor())
    features = backbone.features([dataset.image(index) for index in range(180)])
    n_labels = 0
    for voxel, weights, bias in fitted.iter_rows():
        usual = dissection_by_voxel.dissect(
            networks, config, dataset.image, features, mean, np.array(weights, np.float32), bias
        )
        ours = labels.filter(pl.col("voxel") == voxel)
        assert set(ours["label"]) == set(usual)
        for label, score, probability in ours.select("label", "score", "probability").iter_rows():
            assert (score, probability) == pytest.approx(usual[label], abs=1e-5)
        n_labels += len(usual)
    assert n_labels > 1.5 * fitted.height
