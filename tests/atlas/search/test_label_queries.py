from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from toy_atlas import (
    DIM,
    METHOD,
    WORDS,
    Toy,
    concept_vector,
    cosines,
    label_rows,
    model_rows,
    put,
    random_weights,
    run_rows,
    subject_rows,
    word_vector,
)

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError, NotFoundError
from voxel_atlas.schemas.tables import label_id

MODEL = "simulated/S1/toy/aaaaaa"


def test_label_ids_are_positive_and_the_same_everywhere() -> None:
    assert label_id("cake") == 1830391145519185922 == label_id("cake")
    assert all(0 <= label_id(word) < 2**63 for word in (*WORDS, "", "ö" * 300))


def test_labels_of_voxels_come_by_voxel_and_rank(atlas: Atlas) -> None:
    frame = atlas.model(MODEL).voxel_labels([7, 0, 7, 100], first=2)
    assert frame.select("voxel", "rank", "label").rows() == [
        (0, 1, "cake"),
        (0, 2, "pizza"),
        (7, 1, "pizza"),
        (7, 2, "face"),
    ]
    assert frame["method"].unique().to_list() == [METHOD]
    assert atlas.model(MODEL).voxel_labels([0], first=1).height == 1
    assert atlas.model(MODEL).voxel_labels([]).height == 0


def test_voxels_that_were_not_fitted_are_left_out(atlas: Atlas) -> None:
    assert atlas.model(MODEL).voxels([5, 500, 1])["voxel"].to_list() == [5, 1]
    with pytest.raises(BadInputError, match="numbered from 0"):
        atlas.model(MODEL).voxels([-1])


def test_words_are_listed_by_how_many_voxels_have_them(atlas: Atlas) -> None:
    whole = atlas.model().labels().frame
    assert whole["n_voxels"].to_list() == [20] * 6
    first = atlas.model().labels(first=4).frame
    rest = atlas.model().labels(first=4, after=(first["n_voxels"][-1], first["label_id"][-1])).frame
    assert first["label"].to_list() + rest["label"].to_list() == whole["label"].to_list()
    assert atlas.model().labels("AC").frame["label"].to_list() == ["face"]
    assert [atlas.model().labels(search).total for search in ("", "ac", "%")] == [6, 1, 0]


def test_voxels_of_a_word_come_by_probability(atlas: Atlas) -> None:
    frame = atlas.model().label_voxels("cake", first=12)
    assert frame["probability"].is_sorted(descending=True)
    assert frame["voxel"].to_list()[:10] == list(range(0, 60, 6))
    assert {"rois", "r2", "rank", "subject_id"} <= set(frame.columns)
    with pytest.raises(NotFoundError, match="no label 'cakes'; near it are cake"):
        atlas.model().label_voxels("cakes")


def test_neighbours_of_a_word_are_the_nearest_vectors_of_the_model_s_words(atlas: Atlas) -> None:
    embedding = {"label_id": 1, "backbone": "toy", "vector": word_vector("cake").tolist()}
    put(atlas.store, {"label": [{"label_id": 1, "lemma": "unused"}], "label_embedding": [embedding]}, key="unused")
    frame = atlas.model().label_neighbours("cake", first=5)
    others = [word for word in WORDS if word != "cake"]
    plain = atlas.model().label_neighbours("cake", first=5, baseline="none")
    assert plain["label"].to_list() == sorted(others, key=lambda word: -float(word_vector(word) @ word_vector("cake")))
    cake = concept_vector("cake")
    expected = {word: float(cosines(cake, concept_vector(word)[None])[0]) for word in others}
    assert dict(frame.select("label", "similarity").iter_rows()) == pytest.approx(expected, abs=1e-6)
    assert frame["similarity"].is_sorted(descending=True)
    assert frame["n_voxels"].to_list() == [20] * 5
    with pytest.raises(NotFoundError, match="no label 'zebra'"):
        atlas.model().label_neighbours("zebra")


def test_first_labels_of_a_region_and_regions_of_a_word(atlas: Atlas) -> None:
    frame = atlas.model().roi_top_labels("PPA", first=2)
    assert frame.rows() == [("cake", 5, pytest.approx(1 / 6)), ("dog", 5, pytest.approx(1 / 6))]
    assert atlas.model().roi_top_labels("empty").height == 0
    with pytest.raises(NotFoundError, match="no ROI 'V9'"):
        atlas.model().roi_top_labels("V9")
    assert atlas.model().label_rois("cake").rows() == [
        ("FFA", 10, pytest.approx(1 / 6)),
        ("PPA", 5, pytest.approx(1 / 6)),
    ]


def test_two_methods_are_compared_over_the_voxels_that_both_label(atlas: Atlas) -> None:
    put(
        atlas.store,
        label_rows(MODEL, {0: [("cake", 1.0)], 1: [("dog", 1.0)], 99: [("dog", 1.0)]}, "clip-msm"),
        key="msm",
    )
    frame = atlas.model(MODEL).compare(METHOD, "clip-msm")
    assert frame.select("voxel", "label_a", "label_b", "same").rows() == [
        (0, "cake", "cake", True),
        (1, "pizza", "dog", False),
    ]
    centred = cosines(concept_vector("pizza"), concept_vector("dog")[None])[0]
    assert frame["similarity"].to_list() == pytest.approx([1, float(centred)], abs=1e-6)
    plain = atlas.model(MODEL).compare(METHOD, "clip-msm", baseline="none")
    assert plain["similarity"].to_list() == pytest.approx(
        [1, float(word_vector("pizza") @ word_vector("dog"))], abs=1e-6
    )
    with pytest.raises(BadInputError, match="no labels by 'other'"):
        atlas.model(MODEL).compare(METHOD, "other")


def test_top_images_come_with_captions(atlas: Atlas) -> None:
    image = {"stimulus_id": "i/1", "dataset": "i", "uri": "/i/1.png", "sha256": "0"}
    tops = [
        {"model_id": MODEL, "voxel": 3, "rank": rank, "stimulus_id": "i/1", "box": box, "response": 2.0 - rank}
        for rank, box in ((1, []), (2, [1, 2, 3, 4]), (3, [9, 9, 10, 10]))
    ]
    captions = [
        {"stimulus_id": "i/1", "box": box, "captioner": "toy", "text": text}
        for box, text in (([], "a cake on a table"), ([1, 2, 3, 4], "a cake"))
    ]
    put(atlas.store, {"stimulus": [image], "top_image": tops, "caption": captions}, key="i")
    frame = atlas.model(MODEL).top_images([3, 4], first=3)
    assert frame["caption"].to_list() == ["a cake on a table", "a cake", None]
    assert frame["box"].to_list() == [[], [1, 2, 3, 4], [9, 9, 10, 10]]
    assert atlas.model(MODEL).top_images([3], first=1)["uri"].to_list() == ["/i/1.png"]
    assert atlas.model(MODEL).top_images([]).is_empty()


def test_catalogue_lists_subjects_regions_runs_and_stages(atlas: Atlas) -> None:
    assert atlas.subjects().select("subject_id", "n_voxels").rows() == [("simulated/S1", 120)]
    assert atlas.rois("simulated/S1").select("roi", "n_voxels").rows() == [("FFA", 60), ("PPA", 60), ("empty", 0)]
    with pytest.raises(NotFoundError, match="no subject 'x'"):
        atlas.rois("x")
    assert atlas.runs().select("model_id", "state").rows() == [(MODEL, "finished")]
    assert atlas.stages().select("stage", "batches").rows() == [("fit", 1)]
    model = atlas.model()
    assert (model.n_voxels, model.n_significant, model.n_dropped, model.dim) == (120, 80, 0, 8)
    assert all((model.has_text, model.tested, model.finished, model.simulated))


def test_random_labels_do_not_agree_where_all_words_share_a_mean(store: Store, tmp_path: Path) -> None:
    """Text vectors of CLIP have a mean cosine of 0.74 and more with each other."""
    words = [f"word {n}" for n in range(60)]

    class Alike(Toy):
        def text(self, texts: Sequence[str]) -> np.ndarray:
            vectors = super().text(texts) + 2 * np.eye(DIM, dtype=np.float32)[0]
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    tower = Alike()
    vectors = tower.text(words).tolist()
    named = [{"label_id": label_id(word), "lemma": word} for word in words]
    embedded = [
        {"label_id": label_id(word), "backbone": "toy", "vector": vector}
        for word, vector in zip(words, vectors, strict=True)
    ]
    random = np.random.default_rng(0)
    put(
        store,
        subject_rows("simulated/S1", 120),
        model_rows(MODEL, "simulated/S1", random_weights(120)),
        *(label_rows(MODEL, {v: [(random.choice(words), 1.0)] for v in range(120)}, m) for m in (METHOD, "clip-msm")),
        {"label": named, "label_embedding": embedded},
        run_rows(MODEL),
        key="alike",
    )
    model = Atlas(store, home=tmp_path, load_backbone=lambda name, home: tower).model()
    assert model.compare(METHOD, "clip-msm", baseline="none")["similarity"].mean() > 0.7
    assert abs(model.compare(METHOD, "clip-msm").filter(~pl.col("same"))["similarity"].mean()) < 0.1
