"""Atlases that are odd: one voxel, a model of before there were contrasts, a vocabulary that somebody changed."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from toy_atlas import (
    DIM,
    Toy,
    concept_rows,
    concept_vector,
    cosines,
    model_rows,
    put,
    random_weights,
    run_rows,
    subject_rows,
    words_rows,
)

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError

MODEL = "simulated/S1/toy/odd"


def opened(store: Store, folder: Path) -> Atlas:
    return Atlas(store, home=folder / "home", load_backbone=lambda name, home: Toy())


def test_one_voxel_is_found_mapped_and_tested(store: Store, tmp_path: Path) -> None:
    weights = random_weights(1)
    rows = model_rows(MODEL, "simulated/S1", weights), concept_rows(MODEL, weights)
    put(store, subject_rows("simulated/S1", 4), *rows, words_rows(), run_rows(MODEL), key="one")
    model = opened(store, tmp_path).model()
    (hit,) = model.similar("cake", significant=False).frame.to_dicts()
    assert hit["similarity"] == pytest.approx(cosines(concept_vector("cake"), weights)[0], abs=1e-6)
    assert hit["concept_q"] == pytest.approx(norm.sf(hit["z"]), rel=1e-9)
    assert hit["percentile"] is not None
    (mapped,) = model.map("cake").frame.to_dicts()
    assert {name: hit[name] for name in mapped} == pytest.approx(mapped)
    asked = store.frame("FROM concept_map('cake')")
    assert asked["similarity"].to_list() == pytest.approx([hit["similarity"]], abs=1e-6)
    assert model.neighbours([0]).is_empty()
    assert model.similar("cake").total == 0


def test_a_model_of_before_contrasts_is_searched_and_has_no_evidence(store: Store, tmp_path: Path) -> None:
    weights = random_weights(30)
    rows = model_rows(MODEL, "simulated/S1", weights)
    for row in rows["encoding"]:
        row["residual_variance"] = None
    words = {name: words_rows()[name] for name in ("label", "label_embedding")}
    put(store, subject_rows("simulated/S1", 30), rows, words, run_rows(MODEL), key="old")
    atlas = opened(store, tmp_path)
    hits = atlas.model().similar("cake", significant=False, first=30).frame.sort("voxel")
    np.testing.assert_allclose(hits["similarity"], cosines(concept_vector("cake"), weights), atol=1e-6)
    assert hits["z"].null_count() == hits["concept_q"].null_count() == 30
    with pytest.raises(BadInputError, match="has no z"):
        atlas.model().similar("cake", significant=False, min_z=1)
    with pytest.raises(BadInputError, match="has a text tower and words to compare"):
        atlas.sql("FROM concept_map('cake')")
    put(store, concept_rows(MODEL, weights), key="upgraded")  # what follows from weights, without what needs responses
    asked = store.frame("FROM concept_map('cake') ORDER BY voxel")
    np.testing.assert_allclose(asked["similarity"], hits["similarity"], atol=1e-6)
    assert [asked[name].null_count() for name in ("z", "concept_q", "specific")] == [30, 30, 30]


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM vocabulary WHERE word = (SELECT min(word) FROM vocabulary)",
        "UPDATE vocabulary SET word = 'quagmire' WHERE word = (SELECT min(word) FROM vocabulary)",
        f"UPDATE vocabulary SET vector = {[1.0] + [0.0] * (DIM - 1)} WHERE word = (SELECT min(word) FROM vocabulary)",
    ],
    ids=["a noun less", "another noun", "another vector"],
)
def test_a_vocabulary_that_was_changed_under_an_atlas_is_refused(atlas: Atlas, change: str) -> None:
    atlas.store.change([(change, None)])
    for by in ("weights", "labels"):
        with pytest.raises(BadInputError, match="not the one that its answers were made with"):
            atlas.model().similar("cake", by=by)
    for macro in ("concept_map", "voxels_like"):
        for concept in ("'cake'", "concept('cake')"):
            with pytest.raises(BadInputError, match="not the one that its answers were made with"):
                atlas.sql(f"FROM {macro}({concept})")
    assert atlas.model().similar("cake", baseline="none").total
