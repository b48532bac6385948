"""Scores against the loop that METHOD §2, step 3 describes, word for word."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from literal_scores import literal_scores
from tiny import tiny_config

from voxel_atlas.ingest.dissection import brainlmm
from voxel_atlas.ingest.dissection.activation import FittedVoxels
from voxel_atlas.ingest.dissection.brainlmm import (
    Eq2Scorer,
    FusedScorer,
    PictureScorer,
    ReleasedScorer,
)
from voxel_atlas.ingest.dissection.interface import Material, Pictures, Scores, TextQueries
from voxel_atlas.schemas.errors import BadInputError


def score(
    weights: np.ndarray,
    voxel: np.ndarray,
    label: np.ndarray,
    pictures: Pictures,
    scorer: type[PictureScorer] = Eq2Scorer,
    *,
    best_ranked: int = 5,
    temperature: float = 0.05,
    regions_of: Sequence[np.ndarray] = (),
    **material: object,
) -> Scores:
    config = tiny_config(best_ranked=best_ranked, temperature=temperature)
    seen = np.empty((0, weights.shape[1]), np.float32)
    voxels = FittedVoxels(weights, np.zeros(len(weights), np.float32), np.zeros(weights.shape[1], np.float32))
    scoring = scorer(Material(config, seen, pictures=pictures, **material), ())
    return scoring.score_pairs(voxels, voxel, label, regions_of)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, object]:
    """Voxels with none to four of six labels, which have none to four pictures; whole numbers, so that many tie."""
    counts = draw(st.lists(st.integers(0, 4), min_size=6, max_size=6))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    picture_labels = np.repeat(np.arange(6) * 7, counts)
    features = rng.integers(-2, 3, (len(picture_labels), 3)).astype(np.float32)
    weights = rng.integers(-2, 3, (5, 3)).astype(np.float32)
    chosen = [draw(st.lists(st.sampled_from(range(0, 42, 7)), unique=True, max_size=4)) for _ in weights]
    pairs = [(voxel, label) for voxel, labels in enumerate(chosen) for label in labels]
    rng.shuffle(pairs)
    voxel, label = np.array(pairs, np.int64).reshape(-1, 2).T
    return {"features": features, "of": picture_labels, "weights": weights, "voxel": voxel, "label": label, "rng": rng}


def check(
    scores: Scores, case: dict[str, object], best: int, temperature: float, cosine: np.ndarray | None = None
) -> None:
    """Against the literal loop; cosines (n_voxels, n_pictures) are of each voxel's top images with the pictures."""
    seen = 0
    for voxel in range(5):
        mine = [label for label in case["label"][case["voxel"] == voxel] if (case["of"] == label).any()]
        responses = {
            int(label): [float(case["weights"][voxel] @ f) for f in case["features"][case["of"] == label]]
            for label in mine
        }
        cosines = None
        if cosine is not None:
            cosines = {int(label): cosine[voxel, case["of"] == label].tolist() for label in mine}
        expected = literal_scores(responses, best=best, temperature=temperature, cosines=cosines) if mine else {}
        rows = scores.voxel == voxel
        assert scores.rank[rows].tolist() == list(range(1, len(mine) + 1))
        for label, raw, rank, probability in zip(
            scores.label[rows], scores.score[rows], scores.rank[rows], scores.probability[rows], strict=True
        ):
            literal_raw, literal_rank, literal_probability = expected[int(label)]
            assert raw == pytest.approx(literal_raw, rel=1e-5, abs=1e-5)
            assert probability == pytest.approx(literal_probability, rel=1e-3, abs=1e-6)
            if cosine is None:  # cosines of equal scores differ in the last digit, which may swap two places
                assert rank == literal_rank
        seen += len(mine)
    assert seen == len(scores.voxel)


@given(
    case=cases(), best=st.integers(1, 6), temperature=st.sampled_from([0.05, 1.0]), block=st.sampled_from([1, 2, 512])
)
def test_eq2_equals_a_literal_loop(case: dict[str, object], best: int, temperature: float, block: int) -> None:
    kept, brainlmm._BLOCK = brainlmm._BLOCK, block
    try:
        scores = score(
            case["weights"],
            case["voxel"],
            case["label"],
            Pictures(case["of"], case["features"]),
            best_ranked=best,
            temperature=temperature,
        )
    finally:
        brainlmm._BLOCK = kept
    check(scores, case, best, temperature)


@given(case=cases(), k=st.integers(1, 4))
def test_released_equals_a_literal_loop(case: dict[str, object], k: int) -> None:
    rng = case["rng"]
    regions = rng.normal(size=(9, 8)).astype(np.float32)
    drawn = rng.normal(size=(len(case["of"]), 8)).astype(np.float32)
    regions_of = [rng.choice(9, k, replace=False) for _ in range(5)]
    scores = score(
        case["weights"],
        case["voxel"],
        case["label"],
        Pictures(case["of"], case["features"]),
        ReleasedScorer,
        regions_of=regions_of,
        described_by=regions,
        pictures_in_space=drawn,
    )
    cosine = np.empty((5, len(drawn)))
    for voxel, own in enumerate(regions_of):
        for number, picture in enumerate(drawn):
            each = [r @ picture / np.linalg.norm(r) / np.linalg.norm(picture) for r in regions[own]]
            cosine[voxel, number] = sum(each) / k
    check(scores, case, 5, 0.05, cosine)


def test_a_single_label_is_certain_and_ranks_are_its_own() -> None:
    pictures = Pictures(np.zeros(10, np.int64), np.arange(10, dtype=np.float32)[:, None])
    scores = score(np.ones((1, 1), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64), pictures)
    assert scores.score.tolist() == [-(1 + 4 + 9 + 16 + 25) / 5]
    assert (scores.rank.tolist(), scores.probability.tolist()) == ([1], [1.0])


def test_no_labels_give_no_scores() -> None:
    nothing = np.empty(0, np.int64)
    pictures = Pictures(nothing, np.empty((0, 3), np.float32))
    for label in (nothing, np.array([5])):
        scores = score(np.ones((2, 3), np.float32), np.zeros(len(label), np.int64), label, pictures)
        assert len(scores.voxel) == len(scores.probability) == 0


def test_pictures_that_are_all_alike_share_the_mean_rank_and_the_probability() -> None:
    pictures = Pictures(np.repeat([3, 4], 10), np.ones((20, 2), np.float32))
    scores = score(np.ones((1, 2), np.float32), np.zeros(2, np.int64), np.array([4, 3]), pictures)
    assert scores.score.tolist() == [-(10.5**2)] * 2
    assert scores.label.tolist() == [3, 4]
    assert scores.probability.tolist() == [0.5, 0.5]


def test_the_stronger_label_wins_whatever_the_bias() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 4)).astype(np.float32)
    features[10:20] += 3
    pictures = Pictures(np.repeat([0, 1, 2], 10), features)
    scores = score(np.ones((1, 4), np.float32), np.zeros(3, np.int64), np.arange(3), pictures)
    assert scores.label[0] == 1
    assert scores.probability[0] > 0.9
    assert scores.probability.sum() == pytest.approx(1)


def test_pictures_out_of_order_are_refused() -> None:
    pictures = Pictures(np.array([1, 0]), np.ones((2, 1), np.float32))
    with pytest.raises(BadInputError, match="not in the order of their labels"):
        score(np.ones((1, 1), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64), pictures)


@given(case=cases())
def test_fused_adds_the_ranks_by_pictures_and_by_text(case: dict[str, object]) -> None:
    pictures = Pictures(case["of"], case["features"])
    known = np.arange(0, 42, 7)
    contrasts = case["rng"].integers(-2, 3, (6, 3)).astype(np.float32)
    text = TextQueries(known, contrasts, np.eye(3, dtype=np.float32))
    by_pictures = score(case["weights"], case["voxel"], case["label"], pictures)
    fused = score(case["weights"], case["voxel"], case["label"], pictures, FusedScorer, text=text)
    assert sorted(zip(fused.voxel, fused.label, strict=True)) == sorted(
        zip(by_pictures.voxel, by_pictures.label, strict=True)
    )
    for voxel in range(5):
        mine = by_pictures.voxel == voxel
        v = dict(zip(by_pictures.label[mine].tolist(), by_pictures.score[mine].tolist(), strict=True))
        near = {label: float(case["weights"][voxel] @ contrasts[known == label][0]) for label in v}
        summed = {
            label: -sum(
                sum(other > values[label] for other in values.values())
                + (sum(other == values[label] for other in values.values()) + 1) / 2
                for values in (v, near)
            )
            for label in v
        }
        rows = fused.voxel == voxel
        assert fused.label[rows].tolist() == sorted(v, key=lambda label: (-summed[label], label))
        assert fused.score[rows].tolist() == sorted(summed.values(), reverse=True)


@given(case=cases(), scorer=st.sampled_from([Eq2Scorer, FusedScorer]))
def test_stability_is_a_share_of_resamples_whatever_else_is_scored(
    case: dict[str, object], scorer: type[PictureScorer]
) -> None:
    pictures = Pictures(case["of"], case["features"])
    text = TextQueries(np.arange(0, 42, 7), np.ones((6, 3), np.float32), np.eye(3, dtype=np.float32))
    together = score(case["weights"], case["voxel"], case["label"], pictures, scorer, text=text)
    for voxel in range(5):
        mine = case["voxel"] == voxel
        alone = score(case["weights"], case["voxel"][mine], case["label"][mine], pictures, scorer, text=text)
        assert alone.stability.tolist() == together.stability[together.voxel == voxel].tolist()
        assert not len(alone.voxel) or alone.stability.sum() == pytest.approx(1)


def test_a_label_is_stable_when_all_its_pictures_beat_the_others_and_not_when_one_does() -> None:
    features = np.concatenate([[9.0], np.full(9, 0.0), np.full(10, 5.0), np.full(10, -5.0)]).astype(np.float32)
    pictures = Pictures(np.repeat([0, 1, 2], 10), features[:, None])
    scores = score(np.ones((1, 1), np.float32), np.zeros(3, np.int64), np.arange(3), pictures, best_ranked=1)
    first = dict(zip(scores.label.tolist(), scores.stability.tolist(), strict=True))
    assert scores.label[0] == 0
    # Its one strong picture is in 1 - 0.9 ** 10 of the resamples.
    assert first[0] == pytest.approx(1 - 0.9**10, abs=0.15)
    assert first[1] == pytest.approx(1 - first[0])
    assert first[2] == 0
