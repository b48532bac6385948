"""SQL of the manual, and every view and macro, keep subjects apart that number their voxels alike."""

import re
from typing import Any

import polars as pl
import pytest
from doc_blocks import blocks
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
    assert about_first(store, sql).equals(alone)
