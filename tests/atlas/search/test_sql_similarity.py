"""SQL answers a concept with the numbers that Python gives, whatever the features' covariance."""

import numpy as np
import pytest
from toy_atlas import DIM, WORDS, concept_rows, model_rows, put, random_weights

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.baseline import nouns

MODEL = "m/toy/1"


@pytest.fixture
def uneven(atlas: Atlas) -> Atlas:
    """An atlas with a model whose features vary together and some more than others, so that readouts differ."""
    weights = random_weights(40, seed=3)
    mixing = np.random.default_rng(5).standard_normal((DIM, DIM)) * np.geomspace(0.1, 10, DIM)
    covariance = (mixing @ mixing.T).astype(np.float32)  # as it is stored
    rows = model_rows(MODEL, "simulated/S1", weights, covariance=covariance)
    put(atlas.store, rows, concept_rows(MODEL, weights, covariance=covariance), key="uneven")
    return atlas


@pytest.mark.parametrize("readout", ["weights", "half", "pattern"])
def test_sql_gives_the_similarities_that_python_gives(uneven: Atlas, readout: str) -> None:
    for word in (*WORDS, *nouns()[:40]):
        mapped = uneven.model(MODEL).map(word, readout=readout).frame
        sql = "SELECT voxel, similarity FROM concept_map($1, model := $2, readout := $3) ORDER BY voxel"
        asked = uneven.store.frame(sql, [word, MODEL, readout])
        assert asked["voxel"].to_list() == mapped["voxel"].to_list()
        np.testing.assert_allclose(asked["similarity"], mapped["similarity"], atol=1e-6)


def test_readouts_are_three_different_answers(uneven: Atlas) -> None:
    orders = {
        tuple(uneven.model(MODEL).similar("cake", readout=readout, significant=False).frame["voxel"])
        for readout in ("weights", "half", "pattern")
    }
    assert len(orders) == 3


def test_sql_ranks_the_significant_voxels_as_python_does(uneven: Atlas) -> None:
    found = uneven.model(MODEL).similar("cake", readout="half", first=20).frame
    asked = uneven.store.frame("FROM voxels_like('cake', model := $1, readout := 'half') LIMIT 20", [MODEL])
    assert asked["voxel"].to_list() == found["voxel"].to_list()
