"""Dissection on a tiny subject: every method into one table, a fitted model labelled anew, and stops at any batch."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from labelled import ingest, rows
from literal_scores import literal_scores
from tiny import TinyBackbone, TinyCaptioner, TinyDataset, TinyGenerator, digest, picture, tiny_config, tiny_parts

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.dissection.crops import cut
from voxel_atlas.ingest.run import Pipeline
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import BadInputError, NotFoundError

EVERY_METHOD = ("brainlmm-eq2", "brainlmm-fused", "brainlmm-joint", "brainlmm-released", "clip-msm")
CONCEPTS = ("rose", "leaf", "truck")


def dissect(home: Path, source: str, *, backbone: TinyBackbone | None = None, **changes) -> str:
    with Store.open(str(home / "atlas.duckdb")) as store:
        config = json.loads(store.frame("SELECT config FROM model WHERE model_id = ?", [source])["config"][0])
        config = IngestConfig.model_validate({**config, **changes})
        parts = tiny_parts(config, home, backbone=backbone or TinyBackbone())
        return Pipeline(store=store, home=home).dissect(source, config, parts)


def test_every_method_goes_into_the_same_tables_and_can_be_compared(tmp_path):
    model_id = ingest(tmp_path, methods=EVERY_METHOD, concepts=CONCEPTS)
    scores = rows(tmp_path, "label_score", model_id)
    voxels = set(rows(tmp_path, "encoding", model_id).filter(pl.col("p") < 0.05)["voxel"])
    for method in EVERY_METHOD:
        assert set(scores.filter(pl.col("method") == method)["voxel"]) == voxels
    with Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path) as atlas:
        compared = atlas.model(model_id).compare("brainlmm-eq2", "clip-msm", semantic=False)
        labels = atlas.model(model_id).voxel_labels(sorted(voxels), method="clip-msm", first=1)
    assert set(compared["voxel"]) == voxels
    assert compared["similarity"].null_count() == 0
    right = {voxel: TinyDataset.COLOURS[voxel % 4] for voxel in voxels}
    # CLIP-MSM looks at a voxel's 100 strongest images, of which fewer than half show the voxel's colour.
    listed = [label == right[voxel] for voxel, label in labels.select("voxel", "label").iter_rows() if voxel % 4 < 2]
    assert np.mean(listed) > 0.6
    # The list lacks two colours, which need no list to be found.
    same = compared.filter(pl.col("voxel") % 4 < 2)["same"]
    assert same.mean() > 0.6
    assert not compared.filter(pl.col("voxel") % 4 >= 2)["same"].any()


class TwoThings(TinyCaptioner):
    """Names the strongest colour, and something else."""

    name = "two@1"

    def __init__(self, other: str) -> None:
        self.other = other

    def caption(self, images, features=None):
        return [f"{caption} and a {self.other}" for caption in super().caption(images, features)]


@pytest.mark.parametrize(
    ("other", "changes", "reason"),
    [
        ("lake", {"min_voxels_per_label": 5}, "of fewer than 5 voxels"),
        ("lake", {"max_candidates": 1}, "beyond the first 1 candidates of the voxel"),
        ("truth", {"candidates_from": "depictable"}, "not a depictable noun"),
    ],
)
def test_candidates_without_a_score_are_kept_with_the_reason_and_disturb_no_reader(tmp_path, other, changes, reason):
    config = tiny_config(dissect="all", methods=("brainlmm-eq2", "brainlmm-fused"), **changes)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        parts = tiny_parts(config, tmp_path, captioner=TwoThings(other))
        model_id = Pipeline(store=store, home=tmp_path).ingest(config, parts)
    captions = rows(tmp_path, "top_image", model_id)["voxel"].n_unique()
    scores = rows(tmp_path, "label_score", model_id).filter(method="brainlmm-eq2")
    scored, left = scores.drop_nulls("rank"), scores.filter(pl.col("rank").is_null())
    assert set(left["reason"]) == {reason}
    assert left.select("score", "probability", "stability").null_count().row(0) == (left.height,) * 3
    assert scored["reason"].null_count() == scored.height > 0
    assert scores["voxel"].n_unique() == captions
    with Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path) as atlas:
        model = atlas.model(model_id)
        assert model.voxel_labels(list(range(10)), first=99).height == scored.height
        assert model.labels(semantic=False).frame["n_voxels"].sum() == scored.height
        assert model.map("lake", by="labels").frame["voxel"].n_unique() == scored["voxel"].n_unique()
        assert atlas.sql("FROM voxel_label WHERE method = 'brainlmm-eq2'").height == scored.height
        assert atlas.sql("FROM unscored_label WHERE method = 'brainlmm-fused'").height == left.height


def test_a_label_that_cannot_be_drawn_is_kept_with_the_generators_name(tmp_path):
    class NoLake(TinyGenerator):
        def draw(self, label, seeds):
            return None if label == "lake" else super().draw(label, seeds)

    config = tiny_config()
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        Pipeline(store=store, home=tmp_path).ingest(config, tiny_parts(config, tmp_path, generator=NoLake()))
        left = store.frame("SELECT DISTINCT label, reason FROM unscored_label")
    assert left.rows() == [("lake", "tiny@1 has no picture of it")]


def test_reading_labels_as_text_needs_a_text_tower(tmp_path):
    class Wordless(TinyBackbone):
        has_text = False

    config = tiny_config(methods=("brainlmm-fused",))
    with pytest.raises(BadInputError, match="brainlmm-fused compares labels with voxels as text, and tiny has no text"):
        tiny_parts(config, tmp_path, backbone=Wordless(), label_backbone=TinyBackbone())


def test_the_released_score_of_an_ingest_is_that_of_a_literal_loop(tmp_path):
    model_id = ingest(tmp_path, methods=("brainlmm-released",))
    backbone, dataset = TinyBackbone(), TinyDataset()
    top = rows(tmp_path, "top_image", model_id)
    assert top["box"].list.len().max() == 4  # some are crops
    fitted = rows(tmp_path, "encoding", model_id)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        seeds = store.frame(
            "SELECT label_id, lemma, seed FROM synthetic_image JOIN label USING (label_id) ORDER BY ALL"
        )
    scores = rows(tmp_path, "label_score", model_id)
    for (voxel,), mine in scores.group_by("voxel"):
        weights = np.array(fitted.filter(pl.col("voxel") == voxel)["weights"][0], np.float32)
        regions = []
        for stimulus_id, box in top.filter(pl.col("voxel") == voxel).select("stimulus_id", "box").iter_rows():
            image = dataset.image(int(stimulus_id.removeprefix("tiny/")))
            regions.append(cut(image, tuple(box)) if box else image)
        unit = [feature / np.linalg.norm(feature) for feature in backbone.features(regions)]
        responses, cosines = {}, {}
        for label in mine["label_id"]:
            drawn = seeds.filter(pl.col("label_id") == label)
            features = backbone.features([picture(lemma, seed) for _, lemma, seed in drawn.iter_rows()])
            responses[label] = [float(value) for value in features @ weights]
            vectors = features / np.linalg.norm(features, axis=1, keepdims=True)
            cosines[label] = [float(np.mean(unit @ vector)) for vector in vectors]
        literal = literal_scores(responses, best=2, temperature=0.05, cosines=cosines)
        for row in mine.iter_rows(named=True):
            score, rank, probability = literal[row["label_id"]]
            assert row["score"] == pytest.approx(score, abs=1e-4)
            assert row["rank"] == rank
            assert row["probability"] == pytest.approx(probability, abs=1e-3)


def test_labels_of_a_region_only(tmp_path):
    model_id = ingest(tmp_path, dissect="roi=even")
    assert set(rows(tmp_path, "label_score", model_id)["voxel"]) == {0, 2, 4, 6, 8}
    with pytest.raises(NotFoundError, match="has no ROI 'FFA'; it has even, odd"):
        ingest(tmp_path, dissect="roi=FFA")


def test_dissecting_with_other_settings_ends_where_an_ingest_with_them_does(tmp_path, fitted):
    changes = {"methods": EVERY_METHOD, "concepts": CONCEPTS, "labels_per_voxel": 2}
    first = fitted(tmp_path / "twice")
    second = dissect(tmp_path / "twice", first, dissect="significant", **changes)
    at_once = ingest(tmp_path / "once", **changes)
    assert second == at_once != first
    for table in ("split", "encoding", "dropped", "significance", "top_image", "label_score", "label_evidence"):
        assert rows(tmp_path / "twice", table, second).equals(rows(tmp_path / "once", table, at_once)), table
    assert not rows(tmp_path / "twice", "label_score", first).height


def test_a_second_dissection_looks_at_no_image_again_when_only_scores_change(tmp_path, labelled):
    class Counting(TinyBackbone):
        n_images = 0

        def local_features(self, images):
            Counting.n_images += len(images)
            return super().local_features(images)

    first = labelled(tmp_path)
    second = dissect(tmp_path, first, backbone=Counting(), best_ranked=3)
    assert Counting.n_images == 0
    assert rows(tmp_path, "top_image", second).equals(rows(tmp_path, "top_image", first))
    assert set(rows(tmp_path, "label_score", second)["method"]) == {"brainlmm-eq2"}


def test_dissecting_with_a_models_own_settings_goes_on_with_it(tmp_path, labelled):
    first = labelled(tmp_path)
    before = digest(tmp_path)
    assert dissect(tmp_path, first) == first
    assert digest(tmp_path) == before


class Stop(BaseException):
    """What kills a run."""


def test_a_dissection_that_was_stopped_at_any_batch_ends_equal_to_an_undisturbed_one(tmp_path, monkeypatch):
    changes = {"methods": EVERY_METHOD, "concepts": CONCEPTS, "crops_per_image": 2}
    homes = {name: tmp_path / name for name in ("stopped", "undisturbed")}
    first = {name: ingest(home, dissect="all") for name, home in homes.items()}
    dissect(homes["undisturbed"], first["undisturbed"], **changes)
    append, left = Store.append, 0

    def append_and_stop(self, *arguments, **named):
        nonlocal left
        appended = append(self, *arguments, **named)
        left -= appended
        if not left:
            raise Stop
        return appended

    monkeypatch.setattr(Store, "append", append_and_stop)
    n_stops = 0
    while True:
        left = 3  # the beginning of the run, and two batches
        try:
            dissect(homes["stopped"], first["stopped"], **changes)
            break
        except Stop:
            n_stops += 1
    monkeypatch.setattr(Store, "append", append)
    assert n_stops > 5
    assert digest(homes["stopped"]) == digest(homes["undisturbed"])


def test_settings_that_label_nothing_are_refused_before_any_work(tmp_path):
    with pytest.raises(BadInputError, match="none is given; pass --concepts FILE"):
        ingest(tmp_path, methods=("clip-msm",))
    assert not digest(tmp_path)["model"].startswith("1")


def test_another_network_than_the_models_is_refused(tmp_path, labelled):
    class Wider(TinyBackbone):
        dim = 5

    class Other(TinyBackbone):
        fingerprint = "0" * 64

    first = labelled(tmp_path)
    with pytest.raises(BadInputError, match=r"has weights in 4 dimensions and tiny has 5; pass the --weights"):
        dissect(tmp_path, first, backbone=Wider())
    with pytest.raises(BadInputError, match=r"was fitted with other weights of tiny than these"):
        dissect(tmp_path, first, backbone=Other())


def test_changed_data_and_unfinished_or_imported_models_are_refused(tmp_path, monkeypatch, labelled):
    first = labelled(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(TinyDataset, "fingerprint", "1" * 64)
        with pytest.raises(BadInputError, match=r"data of .* have changed"):
            dissect(tmp_path, first)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        store.change([("UPDATE ledger SET stage = 'import' WHERE stage = 'model'", [])])
    with pytest.raises(BadInputError, match="came with a release"):
        dissect(tmp_path, first)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        store.change(
            [("UPDATE ledger SET stage = 'model' WHERE stage = 'import'", []), ("DELETE FROM significance", [])]
        )
    with pytest.raises(BadInputError, match="not fitted to the end"):
        dissect(tmp_path, first)


def test_labels_that_have_vectors_of_another_length_are_refused(tmp_path, labelled):
    first = labelled(tmp_path)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        store.change([("UPDATE label_embedding SET vector = [1.0]", [])])
    with pytest.raises(BadInputError, match="labels in 1 dimensions by tiny, and this one has 4"):
        dissect(tmp_path, first, labels_per_voxel=3)


def test_a_label_backbone_without_words_is_refused(tmp_path):
    class Wordless(TinyBackbone):
        has_text = False

    with pytest.raises(BadInputError, match="no text tower to embed"):
        tiny_parts(tiny_config(), tmp_path, label_backbone=Wordless())
