import json
from contextlib import suppress

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from batches import encoding, labels
from hypothesis import given
from hypothesis import strategies as st

from voxel_atlas.atlas.store.content import LedgerBatch, conform, content_sha256
from voxel_atlas.schemas.errors import BadInputError
from voxel_atlas.schemas.tables import table_schemas

WEIGHTS = st.lists(st.lists(st.floats(width=32), max_size=4), max_size=20)


def embeddings(vectors: list[list[float]], backbone: str | None = "lite") -> pa.Table:
    return pa.table(
        {
            "label_id": pa.array(range(len(vectors)), pa.int64()),
            "backbone": pa.array([backbone] * len(vectors), pa.string()),
            "vector": pa.array(vectors, pa.list_(pa.float32())),
        }
    )


def digest(table: pa.Table, name: str = "label_embedding") -> str:
    return content_sha256({name: conform(name, table)})


@given(WEIGHTS, st.data())
def test_content_does_not_depend_on_chunks_offsets_or_column_order(
    vectors: list[list[float]], data: st.DataObject
) -> None:
    table = embeddings(vectors)
    cut = data.draw(st.integers(0, len(vectors)))
    padded = pa.concat_tables([table.slice(0, 0), embeddings([[9.0], *vectors]).slice(1, 0), table])
    chunked = pa.concat_tables([table.slice(0, cut), table.slice(cut)]).select(["vector", "label_id", "backbone"])
    assert digest(table) == digest(chunked) == digest(padded)


@given(WEIGHTS, WEIGHTS)
def test_content_differs_when_values_differ(one: list[list[float]], other: list[list[float]]) -> None:
    same = embeddings(one).equals(embeddings(other), check_metadata=True) or repr(one) == repr(other)
    if not same:
        assert digest(embeddings(one)) != digest(embeddings(other))


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
def test_content_of_texts_sees_where_one_text_ends(rows: list[tuple[str, str]]) -> None:
    def labels(texts: list[str]) -> pa.Table:
        return pa.table({"label_id": pa.array(range(len(texts)), pa.int64()), "lemma": pa.array(texts, pa.string())})

    apart, joined = [text for pair in rows for text in pair], [a + b for a, b in rows for _ in (0, 1)]
    assert (digest(labels(apart), "label") == digest(labels(joined), "label")) == (apart == joined)


def test_nulls_hash_alike_whatever_lies_under_them() -> None:
    def voxels(garbage: int) -> pa.Table:
        n = 3
        mask = pa.array([True, False, True])
        filled = pa.array([1, garbage, 2], pa.int32())
        index = pa.Array.from_buffers(
            pa.int32(), n, [pa.array([True, False, True]).buffers()[1], filled.buffers()[1]], null_count=1
        )
        assert mask.equals(index.is_valid())
        nothing = pa.nulls(n)
        return pa.table(
            {
                "subject_id": ["s"] * n,
                "voxel": list(range(n)),
                "i": index,
                **dict.fromkeys(("j", "k", "hemisphere", "vertex", "noise_ceiling"), nothing),
            }
        )

    assert digest(voxels(7), "voxel") == digest(voxels(8), "voxel")


def test_polars_frames_conform() -> None:
    frame = pl.DataFrame({"label_id": [1], "backbone": ["lite"], "vector": [[1.0, 2.0]]})
    assert conform("label_embedding", frame.to_arrow()).schema == table_schemas()["label_embedding"]


def test_content_of_polars_and_arrow_rows_is_the_same() -> None:
    frame = pl.DataFrame({"label_id": [0, 1], "backbone": ["x", "x"], "vector": [[1.5, 2.0], [0.5]]})
    assert digest(frame.to_arrow()) == digest(embeddings([[1.5, 2.0], [0.5]], "x"))


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("voxels", embeddings([[1.0]]), "no table 'voxels'"),
        ("label_embedding", embeddings([[1.0]]).drop_columns("vector"), "missing: vector"),
        ("label_embedding", embeddings([[1.0]]).append_column("x", [[1]]), "not known: x"),
        ("label_embedding", embeddings([[1.0]], backbone=None), "'backbone' with null values"),
        ("label", pa.table({"label_id": ["seven"], "lemma": ["cake"]}), "do not fit"),
        ("ledger", pa.table({"run_id": pa.array([], pa.string())}), "missing"),
        ("significance", pa.table({"model_id": ["m"], "voxel": [2**40], "q": [0.1]}), "do not fit"),
    ],
)
def test_rows_that_do_not_fit_are_refused(name: str, table: pa.Table, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        conform(name, table)


def test_hash_of_many_vectors_is_that_of_their_values() -> None:
    values = np.random.default_rng(0).standard_normal((100, 8), dtype=np.float32)
    flipped = values.copy()
    flipped[99, 7] = np.nextafter(flipped[99, 7], np.float32(2))
    assert digest(embeddings(values.tolist())) != digest(embeddings(flipped.tolist()))


def test_a_batch_arrives_as_it_was_sent() -> None:
    sent = LedgerBatch.of(
        {**encoding(np.ones((5000, 3), np.float32)), **labels("a", "\0😀")}, run_id="r", stage="s", key="\n"
    )
    got = LedgerBatch.from_bytes(sent.to_bytes())
    assert (got.run_id, got.stage, got.key, got.content) == ("r", "s", "\n", sent.content)
    assert {name: rows.schema for name, rows in got.rows.items()} == {n: rows.schema for n, rows in sent.rows.items()}


@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_whatever_is_sent_is_a_batch_or_is_refused(changes: list[tuple[int, int]]) -> None:
    rows = {**encoding(np.ones((3, 2), np.float32)), **labels("a", "b")}
    body = bytearray(LedgerBatch.of(rows, run_id="r", stage="s", key="k").to_bytes())
    for place, byte in changes:
        body[place % len(body)] = byte
    with suppress(BadInputError):
        LedgerBatch.from_bytes(bytes(body))


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_few_bytes_do_not_become_many(compression: str) -> None:
    rows = conform("label", pa.table({"label_id": [1], "lemma": ["a" * 10**6]}))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(rows)
    stream = sink.getvalue().to_pybytes()
    head = {"run_id": "r", "stage": "s", "key": "k", "tables": {"label": len(stream)}}
    with pytest.raises(BadInputError, match="neither compressed nor"):
        LedgerBatch.from_bytes(json.dumps(head).encode() + b"\n" + stream)
