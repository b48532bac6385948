"""The labels in memory give what SQL gives."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_atlas import METHOD, VOLUME, WORDS, label_rows, model_rows, put, random_weights, subject_rows, words_rows

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.model import Model
from voxel_atlas.atlas.search.tables.label_table import LabelTable, ScoredLabel
from voxel_atlas.atlas.store.store import Store

labelled = st.dictionaries(
    st.integers(0, 20),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=5, unique=True),
    max_size=12,
)


def empty_model(store: Store) -> Model:
    """A model without labels, and words."""
    put(
        store,
        subject_rows("simulated/S1", 21),
        model_rows(VOLUME, "simulated/S1", random_weights(21)),
        words_rows(),
        key="m",
    )
    return Atlas(store).model(VOLUME)


@pytest.fixture
def empty_file(tmp_path: Path) -> Path:
    """An atlas of a model without labels, of which each example has a copy."""
    with Store.open(str(tmp_path / "empty.duckdb")) as store:
        empty_model(store)
    return tmp_path / "empty.duckdb"


@settings(max_examples=25)
@given(labels=labelled, first=st.integers(1, 6), region=st.sets(st.integers(0, 20)))
def test_every_answer_is_that_of_sql(
    empty_file: Path, labels: dict[int, list[str]], first: int, region: set[int]
) -> None:
    copied = shutil.copy(empty_file, empty_file.with_name(f"{len(list(empty_file.parent.iterdir()))}.duckdb"))
    with Store.open(str(copied)) as store:
        model = Atlas(store).model(VOLUME)
        shares = {voxel: [(word, 1 / (rank + 2)) for rank, word in enumerate(words)] for voxel, words in labels.items()}
        if shares:
            put(store, label_rows(VOLUME, shares), key="labels")
        table = LabelTable.load(store, model, METHOD, None)
        assert LabelTable.load(store, model, METHOD, table) is table
        for verified in (False, True):
            sql = (
                "SELECT voxel, rank, label, score, probability, stability, n_images, auc, label_q, verified "
                "FROM voxel_label WHERE verified OR NOT ? "
                "QUALIFY row_number() OVER (PARTITION BY voxel ORDER BY rank) <= ? ORDER BY voxel, rank"
            )
            expected = store.frame(sql, [verified, first])
            assert table.frame(np.arange(30), first, verified=verified).equals(expected)
            for voxel in range(21):
                own = expected.filter(pl.col("voxel") == voxel).select(ScoredLabel._fields).rows()
                assert [tuple(label) for label in table.of(voxel, first, verified=verified)] == own
        for verified, counted in ((False, table.counts), (True, table.verified_counts)):
            counts = store.frame(
                "SELECT v.label, count(*) AS n_voxels, label_id FROM voxel_label v JOIN label l ON l.lemma = v.label "
                "WHERE verified OR NOT ? GROUP BY ALL ORDER BY n_voxels DESC, label_id",
                [verified],
            )
            assert counted.equals(counts)
        tops = store.frame(
            "SELECT label, count(*) AS n_voxels FROM top_label WHERE list_contains(?::INTEGER[], voxel) "
            "GROUP BY ALL ORDER BY n_voxels DESC, label",
            [sorted(region)],
        )
        found = table.first_labels(np.array(sorted(region), np.int64))
        assert found.select("label", "n_voxels").equals(tops)
        assert found["share"].sum() == pytest.approx(1 if tops.height else 0)


def test_a_new_batch_makes_a_new_table(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        model = empty_model(store)
        put(store, label_rows(VOLUME, {0: [("cake", 0.5)]}), key="0")
        old = LabelTable.load(store, model, METHOD, None)
        put(store, label_rows(VOLUME, {1: [("dog", 0.5)]}), key="1")
        new = LabelTable.load(store, model, METHOD, old)
        assert [label.label for label in new.of(1, 5)] == ["dog"]
        assert old.of(1, 5) == []
        assert new.voxels("dog", 5)["voxel"].to_list() == [1]
        assert new.voxels("zebra", 5).is_empty()
