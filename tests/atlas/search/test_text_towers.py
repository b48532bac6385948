"""The index on CLIP ViT-B/32's own text vectors of 1,203 object names (Detic's metadata, Apache-2.0)."""

import json
from pathlib import Path

import numpy as np
import pytest

from voxel_atlas.atlas.backbones.products import unit_rows
from voxel_atlas.atlas.search.index import VectorIndex

DATA = Path(__file__).parents[4] / "shared" / "data" / "detic_clip_text"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"the vectors are not in {DATA}")


@pytest.fixture(scope="module")
def names() -> list[str]:
    return [entry["name"] for entry in json.loads((DATA / "lvis_v1_train_cat_info.json").read_text())]


@pytest.fixture(scope="module")
def index() -> VectorIndex:
    return VectorIndex.build(unit_rows(np.load(DATA / "lvis_v1_clip_a+cname.npy").astype(np.float32)))


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("dog", {"puppy", "cat", "wolf"}),
        ("cake", {"birthday_cake", "chocolate_cake", "wedding_cake"}),
        ("signboard", {"street_sign", "billboard", "poster"}),
        ("kitchen_table", {"dining_table", "table", "coffee_table"}),
        ("stove", {"oven", "cooker"}),
    ],
)
def test_nearest_names_are_what_a_person_expects(
    index: VectorIndex, names: list[str], word: str, near: set[str]
) -> None:
    _, (rows,) = index.search(index.vectors[names.index(word)][None], 6)
    assert names[rows[0]] == word
    assert near <= {names[row] for row in rows}


def test_the_scan_of_codes_is_exact_on_true_vectors(index: VectorIndex) -> None:
    """Names added to each other, so that there are more rows than are scored one by one."""
    random = np.random.default_rng(0)
    pairs = random.integers(0, len(index), (40_000, 2))
    many = VectorIndex.build(unit_rows(index.vectors[pairs[:, 0]] + index.vectors[pairs[:, 1]]))
    for query in index.vectors[:40]:
        _, (rows,) = many.search(query[None], 100)
        exact = many.vectors.astype(np.float64) @ query.astype(np.float64)
        assert exact[rows].min() >= np.sort(exact)[-100] - 1e-6
