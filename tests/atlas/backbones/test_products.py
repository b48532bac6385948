"""Unit vectors: one definition, whatever the shape and number of rows."""

import numpy as np
import pytest

from voxel_atlas.atlas.backbones.products import unit_rows


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_rows_are_divided_by_their_lengths_and_rounded_once(kind: type[np.floating]) -> None:
    vectors = np.random.default_rng(0).normal(scale=1e3, size=(5000, 7)).astype(kind)
    vectors[4321] = 0
    slow = [[x / max(sum(y * y for y in row) ** 0.5, 1e-300) for x in row] for row in vectors.astype(float).tolist()]
    assert unit_rows(vectors).dtype == np.float32
    np.testing.assert_array_max_ulp(unit_rows(vectors), np.array(slow, np.float32), 1)
    assert not unit_rows(vectors)[4321].any()


def test_one_vector_has_the_digits_of_a_row_and_an_array_can_take_its_own_place() -> None:
    vectors = np.random.default_rng(0).normal(size=(3000, 33)).astype(np.float32)
    expected = unit_rows(vectors)
    np.testing.assert_array_equal(unit_rows(vectors[2999]), expected[2999])
    assert unit_rows(vectors, out=vectors) is vectors
    np.testing.assert_array_equal(vectors, expected)
