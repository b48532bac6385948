"""SQL of the manual, and every view and macro, keep subjects apart that number their voxels alike."""

import re
from typing import Any

import polars as pl
import pytest
from doc_blocks import blocks
from polars.testing import assert_frame_equal
from toy_atlas import METHOD, WORDS, concept_rows, label_rows, model_rows, put, random_weights, subject_rows, words_rows

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.tables import label_id

MANUAL = {block.name: block.code for block in blocks() if block.language == "sql" and "duckdb_" not in block.code}
VIEWS = {
    name: f"FROM {name}"
    for name in (
        "voxel_quality",
        "voxel_label",
        "top_label",
        "unscored_label",
        "roi_labels('FFA')",
        "concept_map('cake')",
        "voxels_like('cake')",
        "roi_means('cake')",
        "roi_means('cake', model := 'first')",
        "shown_voxels()",
        "map_correlation('cake', 'dog')",
        "prefers('cake', 'dog')",
        "roi_preference('cake', 'dog')",
    )
}


def add_subject(store: Store, subject: str, n_voxels: int) -> None:
    """A subject with as many voxels, two and two by one label, and with regions that depend on how many."""
    model = f"{subject}/toy/aaaaaa"
    put(
        store,
        subject_rows(subject, n_voxels),
        model_rows(model, subject, random_weights(n_voxels)),
        concept_rows(model, random_weights(n_voxels)),
        label_rows(model, {voxel: [(WORDS[voxel // 2 % len(WORDS)], 0.6), ("dog", 0.4)] for voxel in range(n_voxels)}),
        words_rows(),
        {"label_score": [unscored(model, voxel) for voxel in range(0, n_voxels, 3)]},
        key=subject,
    )


def unscored(model: str, voxel: int) -> dict[str, Any]:
    """A candidate that got no score."""
    nothing = dict.fromkeys(("score", "rank", "probability", "stability"))
    named = {"model_id": model, "voxel": voxel, "method": METHOD, "label_id": label_id("sign")}
    return {**named, **nothing, "reason": "no picture of it"}


def about_first(store: Store, sql: str) -> pl.DataFrame:
    """All that a statement says of the first subject's model, whatever it says of others."""
    frame = store.frame(re.sub(r" LIMIT \d+", "", sql)).filter(model_id="first/toy/aaaaaa")
    return frame.sort([name for name, kind in frame.schema.items() if not kind.is_nested()])


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in {**MANUAL, **VIEWS}.items()])
def test_a_second_subject_changes_no_answer_about_the_first(store: Store, sql: str) -> None:
    add_subject(store, "first", 12)
    alone = about_first(store, sql)
    assert alone.height
    add_subject(store, "second", 24)
    # A correlation is a sum in whatever order a join gives the voxels.
    assert_frame_equal(about_first(store, sql), alone, rel_tol=1e-12, abs_tol=1e-12)


def test_shown_voxels_are_the_significant_ones_that_nothing_low_level_explains(store: Store) -> None:
    for subject in ("first", "second"):
        add_subject(store, subject, 12)
        known = {"model_id": f"{subject}/toy/aaaaaa", "r": 0.1, "p": 0.01}
        put(store, {"semantic": [{**known, "voxel": v, "q": v / 100} for v in range(10)]}, key=f"{subject}/semantic")
    store.change([("UPDATE significance SET q = 0.06 WHERE voxel = 3", None)])
    shown = "SELECT voxel FROM shown_voxels({}) WHERE model_id = 'first/toy/aaaaaa' ORDER BY voxel"
    quality = "SELECT voxel FROM voxel_quality WHERE model_id = 'first/toy/aaaaaa' AND significant {} ORDER BY voxel"
    for arguments, condition in (("", "AND coalesce(semantic, true)"), ("all_voxels := true, model := 'first'", "")):
        expected = store.frame(quality.format(condition))
        assert store.frame(shown.format(arguments)).equals(expected)
        assert 3 not in expected["voxel"]
    assert store.frame("FROM shown_voxels(model := 'fir')").is_empty()
