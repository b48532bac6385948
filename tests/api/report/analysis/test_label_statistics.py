"""Label statistics beside literal versions, on a small atlas with two methods."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_atlas import (
    VOLUME,
    label_rows,
    model_rows,
    put,
    random_weights,
    run_rows,
    subject_rows,
    word_vector,
    words_rows,
)

from voxel_atlas.api.report.analysis.label_statistics import label_cosines, label_spread, region_labels, region_overlap
from voxel_atlas.api.report.analysis.recovery import concept_recovery, planted
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError, NotFoundError

N = 30
WEIGHTS = random_weights(N)
FIRST = {"brainlmm-eq2": ["cake", "face", "house"], "clip-msm": ["sign", "face"]}


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Atlas]:
    home = tmp_path_factory.mktemp("evaluation")
    blind = "simulated/S1/blind/cccccc"
    with Store.open(str(home / "atlas.duckdb")) as store:
        scores = [
            label_rows(VOLUME, {v: [(words[v % len(words)], 0.7), ("pizza", 0.3)] for v in range(N)}, method)
            for method, words in FIRST.items()
        ]
        planting = [
            {
                "subject_id": "simulated/S1",
                "voxel": v,
                "concept": "x",
                "category": "face" if v % 2 else "contrast",
                "weight": 1.0,
            }
            for v in range(N)
        ]
        put(
            store,
            subject_rows("simulated/S1", N),
            model_rows(VOLUME, "simulated/S1", WEIGHTS),
            model_rows(blind, "simulated/S1", WEIGHTS, backbone="blind", text=False),
            words_rows(),
            *scores,
            run_rows(VOLUME),
            {"planting": planting},
            key="toy",
        )
    with Atlas.open(str(home / "atlas.duckdb"), home=home) as opened:
        yield opened


def test_cosines_are_those_of_each_voxels_first_label_with_its_weights(atlas):
    found = label_cosines(atlas, atlas.model(VOLUME), "weights", "none")
    assert found.height == 2 * N
    for voxel, method, label, cosine in found.select("voxel", "method", "label", "cosine").iter_rows():
        words = FIRST[method]
        assert label == words[voxel % len(words)]
        weights = WEIGHTS[voxel]
        assert cosine == pytest.approx(word_vector(label) @ weights / np.linalg.norm(weights), abs=1e-5)


def test_by_default_labels_are_contrasts_and_voxels_read_out_as_in_a_search(atlas):
    model = atlas.model(VOLUME)
    found = label_cosines(atlas, model)
    for label in ("cake", "sign"):
        searched = model.map(label).frame.select("voxel", pl.col("similarity").alias("searched"))
        both = found.filter(label=label).join(searched, on="voxel")
        np.testing.assert_allclose(both["cosine"], both["searched"], atol=1e-6)
        assert both.height


def test_the_control_gives_the_same_labels_to_other_voxels(atlas):
    found = label_cosines(atlas, atlas.model(VOLUME), "weights", "none").filter(pl.col("method") == "brainlmm-eq2")
    unit = WEIGHTS / np.linalg.norm(WEIGHTS, axis=1, keepdims=True)
    labels = np.stack([word_vector(word) for word in FIRST["brainlmm-eq2"]])
    possible = np.sort(unit @ labels.T, axis=1)
    shuffled = found["shuffled"].to_numpy()
    assert np.abs(possible - shuffled[:, None]).min(axis=1).max() < 1e-5
    assert (np.abs(shuffled - found["cosine"].to_numpy()) > 1e-4).any()


def test_within_a_region_only_its_own_labels_are_shuffled(atlas):
    """Even voxels are a region whose labels are other than odd ones'."""
    members = pl.DataFrame({"voxel": np.arange(0, N, 2, np.int32), "roi": "even"})
    members = pl.concat([members, members.head(6).with_columns(pl.lit("six").alias("roi"))])
    found = label_cosines(atlas, atlas.model(VOLUME), "weights", "none", members).filter(pl.col("method") == "clip-msm")
    unit = WEIGHTS / np.linalg.norm(WEIGHTS, axis=1, keepdims=True)
    assert sorted(found["roi"].value_counts().rows(), key=str) == [("even", N // 2), ("six", 6), (None, N // 2)]
    for voxel, roi, within in found.select("voxel", "roi", "shuffled_within").iter_rows():
        if roi is None:
            assert within is None
        else:
            assert within == pytest.approx(word_vector("sign") @ unit[voxel], abs=1e-5)


def test_a_network_without_text_tower_has_no_cosines(atlas):
    with pytest.raises(BadInputError, match="no text tower"):
        label_cosines(atlas, atlas.model("blind/cccccc"), "weights")


@given(
    st.lists(st.lists(st.floats(0.001, 1), min_size=1, max_size=8), min_size=1, max_size=6),
    st.sampled_from([0.5, 0.8, 0.95]),
)
def test_spread_is_the_literal_count_and_entropy(voxels, share):
    rows = [(v, p) for v, probabilities in enumerate(voxels) for p in probabilities]
    scores = pl.DataFrame(rows, {"voxel": pl.Int32, "probability": pl.Float64}, orient="row")
    found = label_spread(scores, share)
    for row, probabilities in zip(found.iter_rows(named=True), voxels, strict=True):
        p = np.sort(np.array(probabilities) / np.sum(probabilities))[::-1]
        needed = next(n for n in range(1, len(p) + 1) if p[:n].sum() >= share - 1e-9)
        assert row["n_labels"] == len(p)
        assert row["spread"] == needed
        assert row["entropy"] == pytest.approx(-(p * np.log2(p)).sum(), abs=1e-9)


def test_no_scores_have_no_spread():
    empty = pl.DataFrame(schema={"voxel": pl.Int32, "probability": pl.Float32})
    assert label_spread(empty).is_empty()


def test_region_labels_count_first_labels():
    first = pl.DataFrame({"voxel": [0, 1, 2, 3], "method": "m", "label": ["cake", "face", "cake", "sign"]})
    members = pl.DataFrame({"voxel": [0, 1, 2, 2], "roi": ["A", "A", "A", "B"]})
    found = region_labels(first, members)
    assert found.select("roi", "label", "n_voxels", "rank").rows() == [
        ("A", "cake", 2, 1),
        ("A", "face", 1, 2),
        ("B", "cake", 1, 1),
    ]
    assert found["share"].to_list() == pytest.approx([2 / 3, 1 / 3, 1.0])


def test_overlap_is_one_less_the_distance_of_the_distributions():
    regions = pl.DataFrame(
        {
            "method": "m",
            "roi": ["A", "A", "B", "B", "C"],
            "label": ["cake", "face", "face", "sign", "dog"],
            "share": [0.75, 0.25, 0.5, 0.5, 1.0],
        }
    )
    found = {(roi, other): overlap for _, roi, other, overlap in region_overlap(regions).iter_rows()}
    assert len(found) == 9
    assert found["A", "A"] == 1
    assert found["A", "B"] == found["B", "A"] == 0.25 == 1 - 0.5 * (0.75 + 0.25 + 0.5)
    assert found["A", "C"] == 0


def test_planted_categories_are_read_for_simulated_subjects_only(atlas):
    assert planted(atlas, "simulated/S1")["voxel"].to_list() == list(range(1, N, 2))
    with pytest.raises(NotFoundError, match="not simulated"):
        planted(atlas, "nod/01")


def test_recovery_is_perfect_for_a_map_of_what_was_planted(atlas):
    tuned = planted(atlas, "simulated/S1")
    voxels = np.arange(N, dtype=np.int32)
    named = {"method": "m", "category": "face", "block": voxels // 2}
    maps = pl.DataFrame({**named, "voxel": voxels, "similarity": (voxels % 2).astype(float)})
    found = concept_recovery(maps, tuned).row(0, named=True)
    assert found["auc"] == found["low"] == found["high"] == 1
    assert found["n_planted"] == found["n_others"] == N // 2
    assert 0.2 < found["auc_shuffled"] < 0.8
    assert found["low_shuffled"] < found["auc_shuffled"] < found["high_shuffled"]
