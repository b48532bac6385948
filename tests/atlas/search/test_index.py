import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxel_atlas.atlas.backbones.products import unit_rows
from voxel_atlas.atlas.search import index as index_module
from voxel_atlas.atlas.search.index import VectorIndex, require_faiss


def brute_force(vectors, query, k, mask=None):
    scores = vectors.astype(np.float64) @ query.astype(np.float64)
    rows = np.arange(len(vectors)) if mask is None else np.flatnonzero(mask)
    return rows[np.lexsort((rows, -scores[rows]))][:k], scores


def random_vectors(seed: int, n: int, dim: int, *, spread: float = 1.0) -> np.ndarray:
    """Unit vectors with a common part and a few large dimensions, as networks' features have them."""
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((n, dim), dtype=np.float32) * spread
    vectors *= np.exp(random.standard_normal(dim)).astype(np.float32)
    vectors += random.standard_normal(dim, dtype=np.float32)
    return unit_rows(vectors)


def agrees(index: VectorIndex, query: np.ndarray, k: int, mask: np.ndarray | None = None) -> None:
    (scores,), (rows,) = index.search(query[None], k, mask)
    expected, exact = brute_force(index.vectors, query, k, mask)
    assert len(rows) == len(expected)
    assert len(set(rows.tolist())) == len(rows)
    if mask is not None:
        assert mask[rows].all()
    # Scores that float32 cannot tell apart may change places; the scores at each place may not.
    np.testing.assert_allclose(exact[rows], exact[expected], atol=2e-6)
    np.testing.assert_allclose(scores, exact[rows], atol=2e-6)
    assert (np.diff(scores) <= 0).all()


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    dim=st.sampled_from([3, 8, 130, 384]),
    share=st.floats(0, 1),
    k=st.integers(1, 300),
    spread=st.sampled_from([0.01, 1.0]),
)
def test_answers_are_those_of_a_plain_scan_under_any_filter(
    seed: int, dim: int, share: float, k: int, spread: float
) -> None:
    vectors = random_vectors(seed, 6_000, dim, spread=spread)
    random = np.random.default_rng(seed + 1)
    mask = random.random(len(vectors)) < share
    index = VectorIndex.build(vectors)
    for query in (vectors[0], unit_rows(random.standard_normal((1, dim), dtype=np.float32))[0]):
        agrees(index, query, k, mask)
        agrees(index, query, k)


@pytest.mark.parametrize("n_allowed", [0, 1, 2, 4_095, 4_096, 4_097, 39_999, 40_000])
def test_a_filter_from_no_row_to_all_is_exact(n_allowed: int) -> None:
    vectors = random_vectors(0, 40_000, 32)
    mask = np.zeros(len(vectors), bool)
    mask[np.random.default_rng(1).permutation(len(vectors))[:n_allowed]] = True
    agrees(VectorIndex.build(vectors), vectors[5], 20, mask)


def test_parts_that_cores_share_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = random_vectors(3, 20_000, 48)
    whole = VectorIndex.build(vectors)
    monkeypatch.setattr(index_module, "_SHARED", 1_000)
    monkeypatch.setattr(index_module, "n_cores", lambda: 3)
    shared = VectorIndex.build(vectors)
    assert (len(whole.parts), len(shared.parts)) == (1, 3)
    threads = require_faiss().omp_get_max_threads()
    for mask in (None, np.random.default_rng(4).random(len(vectors)) < 0.6):
        agrees(shared, vectors[7], 40, mask)
        for query in vectors[:4]:
            for one, other in zip(
                whole.search(query[None], 40, mask), shared.search(query[None], 40, mask), strict=True
            ):
                np.testing.assert_array_equal(one[0], other[0])
    assert require_faiss().omp_get_max_threads() == threads


@pytest.mark.parametrize("n_queries", [1, 3, 4, 32])
def test_many_queries_give_what_each_gives_alone(n_queries: int) -> None:
    index = VectorIndex.build(random_vectors(0, 20_000, 48))
    queries = random_vectors(1, n_queries, 48)
    mask = np.random.default_rng(2).random(20_000) < 0.7
    together, alone = index.search(queries, 30, mask), [index.search(query[None], 30, mask) for query in queries]
    for i in range(n_queries):
        np.testing.assert_array_equal(together[0][i], alone[i][0][0])
        np.testing.assert_array_equal(together[1][i], alone[i][1][0])


def test_equal_scores_come_in_the_order_of_their_keys() -> None:
    vectors = np.repeat(unit_rows(np.eye(4, dtype=np.float32)), 5_000, axis=0)
    keys = np.random.default_rng(0).permutation(len(vectors))
    (scores,), (rows,) = VectorIndex.build(vectors, keys).search(np.eye(4, dtype=np.float32)[:1], 50)
    assert (scores == 1).all()
    np.testing.assert_array_equal(keys[rows], np.sort(keys[:5_000])[:50])


def test_zero_vectors_are_found_at_zero() -> None:
    vectors = np.zeros((5_000, 16), np.float32)
    vectors[7, 0] = -1
    (scores,), (rows,) = VectorIndex.build(vectors).search(np.eye(16, dtype=np.float32)[:1], 5_000)
    assert scores[-1] == -1
    assert rows[-1] == 7
    np.testing.assert_array_equal(rows[:-1], np.delete(np.arange(5_000), 7))


def test_all_scores_equal_the_scores_of_a_search_bit_for_bit() -> None:
    index = VectorIndex.build(random_vectors(3, 30_000, 100))
    query = random_vectors(4, 1, 100)
    (scores,), (rows,) = index.search(query, 200)
    np.testing.assert_array_equal(index.scores(query[0])[rows], scores)


def test_an_extended_index_answers_like_one_built_at_once() -> None:
    vectors = random_vectors(5, 30_000, 40)
    keys = np.random.default_rng(6).permutation(len(vectors))
    growing = VectorIndex.build(vectors[:12_000], keys[:12_000])
    first = growing
    for start in range(12_000, 30_000, 600):
        growing = growing.extended(vectors[start : start + 600], keys[start : start + 600])
    whole = VectorIndex.build(vectors, keys)
    for query in vectors[:5]:
        for ours, theirs in zip(growing.search(query[None], 77), whole.search(query[None], 77), strict=True):
            np.testing.assert_array_equal(ours[0], theirs[0])
    assert len(first) == 12_000
    agrees(first, vectors[0], 10)


def test_few_rows_are_coded_again_when_an_index_grows() -> None:
    """Coding everything at every batch would make an ingest's readers wait longer with every batch."""
    vectors = random_vectors(5, 100_000, 8)
    growing = VectorIndex.build(vectors[:70_000])
    for start in range(70_000, 100_000, 1000):
        before, growing = growing, growing.extended(vectors[start : start + 1000], np.arange(start, start + 1000))
        n_again = sum(part.stop - part.start for part in growing.parts if part not in before.parts)
        assert 1000 <= n_again <= index_module._BLOCK + 1000
        assert [part.start for part in growing.parts[1:]] == [part.stop for part in growing.parts[:-1]]
        assert growing.parts[-1].stop == len(growing)
    assert len(growing.parts) == index_module.n_cores() + 2


def test_an_empty_index_answers_nothing_and_grows() -> None:
    nothing = VectorIndex.build(np.empty((0, 8), np.float32))
    (scores,), (rows,) = nothing.search(np.ones((1, 8), np.float32), 5)
    assert (len(scores), len(rows)) == (0, 0)
    assert len(nothing.scores(np.ones(8, np.float32))) == 0
    grown = nothing.extended(random_vectors(0, 3, 8), np.arange(3))
    assert len(grown.search(np.ones((1, 8), np.float32), 5)[1][0]) == 3


def test_codes_settle_most_queries_without_scoring_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    index = VectorIndex.build(random_vectors(8, 50_000, 256))

    def refuse(*_: object) -> None:
        raise AssertionError("every row was scored")

    monkeypatch.setattr(VectorIndex, "scores", refuse)
    mask = np.random.default_rng(10).random(len(index)) < 0.6
    for query in random_vectors(9, 20, 256):
        index.search(query[None], 100)
        index.search(query[None], 100, mask)


def test_where_codes_settle_nothing_every_row_is_scored() -> None:
    """Vectors so near to each other that their codes are equal, but for one far away that sets the codes' range."""
    vectors = np.zeros((30_000, 16), np.float32)
    vectors[:, 0] = 1
    vectors[:, 1] = np.random.default_rng(0).normal(0, 1e-5, len(vectors))
    vectors[17] = -vectors[17]
    vectors[17, 1] = 0.9
    index = VectorIndex.build(unit_rows(vectors))
    agrees(index, unit_rows(np.array([[1, 0.5] + [0] * 14], np.float32))[0], 50)


@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_a_grown_index_answers_many_queries_as_each_alone(spread: float) -> None:
    vectors = random_vectors(5, 20_000, 96, spread=spread)
    index = VectorIndex.build(vectors).extended(random_vectors(6, 900, 96, spread=spread), np.arange(20_000, 20_900))
    queries = random_vectors(7, 70, 96, spread=spread)
    mask = np.random.default_rng(8).random(len(index)) < 0.4
    for allowed in (None, mask):
        for query, scores, rows in zip(queries, *index.search(queries, 50, allowed), strict=True):
            (expected,), (best,) = index.search(query[None], 50, allowed)
            np.testing.assert_array_equal(rows, best)
            np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("level", ["NONE", "AVX2", "AVX512"])
def test_the_instructions_of_the_processor_change_no_answer(level: str):
    faiss = require_faiss()
    wanted, before = getattr(faiss, f"SIMDLevel_{level}"), faiss.SIMDConfig.get_level()
    if not faiss.SIMDConfig.is_simd_level_available(wanted):
        pytest.skip(f"this processor, or this FAISS, has no {level}")
    vectors = random_vectors(7, 6_000, 48)
    index = VectorIndex.build(vectors, np.arange(len(vectors)))
    expected = index.search(vectors[:3], 50)
    try:
        faiss.SIMDConfig.set_level(wanted)
        for own in (index, VectorIndex.build(vectors, np.arange(len(vectors)))):
            scores, rows = own.search(vectors[:3], 50)
            np.testing.assert_array_equal(rows, expected[1])
            np.testing.assert_array_equal(scores, expected[0])
    finally:
        faiss.SIMDConfig.set_level(before)
