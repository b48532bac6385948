"""SQL answers a concept with the numbers that Python gives, whatever the features' covariance."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from toy_atlas import DIM, VOLUME, WORDS, Toy, concept_rows, model_rows, put, random_weights

from voxel_atlas.atlas.search.across import MOST_MODELS
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.baseline import nouns
from voxel_atlas.atlas.search.evidence import FeatureSpectrum
from voxel_atlas.atlas.search.sql_concept import concept_function
from voxel_atlas.atlas.store.address import Address, load_extensions
from voxel_atlas.atlas.store.serving import QuackServer
from voxel_atlas.atlas.store.sql_socket import Socket
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError

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


def assert_equal(asked: pl.DataFrame, mapped: pl.DataFrame) -> None:
    """That SQL and Python say the same of every voxel."""
    assert asked["voxel"].to_list() == mapped["voxel"].to_list()
    np.testing.assert_allclose(asked["similarity"], mapped["similarity"], atol=1e-6)
    # z is the similarity times what is known of a voxel, and so is the rounding of similarities to float32.
    gain = (mapped["z"] / mapped["similarity"]).to_numpy()
    np.testing.assert_allclose(asked["z"] / gain, mapped["z"] / gain, atol=1e-6)
    np.testing.assert_allclose(asked["concept_q"], mapped["concept_q"], atol=3e-5)
    assert asked["specific"].to_list() == mapped["specific"].to_list()


@pytest.mark.parametrize("readout", ["weights", "half", "pattern"])
def test_sql_gives_the_similarities_and_evidence_that_python_gives(uneven: Atlas, readout: str) -> None:
    q = []
    for word in (*WORDS, *nouns()[:40]):
        mapped = uneven.model(MODEL).map(word, readout=readout).frame
        sql = "FROM concept_map($1, model := $2, readout := $3) ORDER BY voxel"
        assert_equal(uneven.store.frame(sql, [word, MODEL, readout]), mapped)
        q.extend(mapped["concept_q"])
    assert min(q) < 1e-3
    assert max(q) == 1


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


def test_the_first_voxels_have_the_percentile_of_the_other_doors_where_it_is_asked_for(uneven: Atlas) -> None:
    noun = nouns()[7]
    for word in ("'cake'", f"'{noun}'", "concept('birthday cake')"):
        text = word.removeprefix("concept(").rstrip(")").strip("'")
        sql = f"FROM voxels_like({word}, model := $1, readout := 'half', percentiles := 5)"
        asked = uneven.store.frame(sql, [MODEL]) if word.startswith("'") else uneven.sql(sql, [MODEL])
        hits = uneven.model(MODEL).similar(text, readout="half", first=5).frame
        assert asked["percentile"][:5].to_list() == hits["percentile"].to_list()
        assert asked["percentile"].null_count() == len(asked) - 5 > 0
    unasked = uneven.store.frame("FROM voxels_like('cake', model := $1)", [MODEL])
    assert unasked["percentile"].null_count() == len(unasked)


@pytest.mark.parametrize("readout", ["weights", "half", "pattern"])
def test_sql_compares_any_text(uneven: Atlas, readout: str) -> None:
    for text in ("birthday cake with candles", "cake - kitchen sink + dog", "it's"):
        mapped = uneven.model(MODEL).map(text, readout=readout).frame
        sql = "FROM concept_map(concept($1), model := $2, readout := $3) ORDER BY voxel"
        assert_equal(uneven.sql(sql, [text, MODEL, readout]), mapped)


def test_any_text_is_compared_for_every_model_with_a_text_tower(uneven: Atlas) -> None:
    assert set(uneven.sql("FROM voxels_like(concept('birthday cake'))")["model_id"]) == {MODEL, VOLUME}


def attached(server: QuackServer, to: Atlas) -> Store:
    """The atlas as other processes have it."""
    return Store(Socket(server.sql, "it"), Address.parse(to.store.address), read_only=True)


def test_a_shell_of_a_served_atlas_is_refused_in_one_sentence(uneven: Atlas) -> None:
    with uneven.store.served() as server, duckdb.connect() as shell:
        assert server is not None
        load_extensions(shell, "httpfs", "quack")
        shell.execute(f"ATTACH '{server.target}' AS atlas (TOKEN '{server.reader}')")
        sql = "FROM quack_query_by_name('atlas', 'FROM voxels_like(concept(''cake - cake''))')"
        sentence = "'cake - cake' adds up to nothing; take away something else than what was added."
        with pytest.raises(
            duckdb.InvalidInputException, match=rf"^Invalid Input Error: {sentence}\n\nLINE 1: .*\n *\^$"
        ):
            shell.execute(sql)
        with pytest.raises(BadInputError, match=f"^{sentence}$"):
            attached(server, uneven).frame("FROM voxels_like(concept('cake - cake'))")


def test_a_served_atlas_compares_any_text_for_who_attaches_to_it(uneven: Atlas) -> None:
    sql = "FROM voxels_like(concept('birthday cake'), model := $1) LIMIT 5"
    with uneven.store.served() as server:
        assert server is not None
        assert attached(server, uneven).frame(sql, [MODEL]).equals(uneven.sql(sql, [MODEL]))


@pytest.mark.parametrize(
    ("concept", "message"),
    [
        ("concept('cake - cake')", "^'cake - cake' adds up to nothing; take away something else than what was added.$"),
        ("concept('')", "^The concept is empty;"),
        ("'birthday cake'", r"\"birthday cake\" is no label and not in the vocabulary; .* concept\('any text'\)"),
    ],
)
def test_sql_that_makes_no_concept_is_refused_in_a_sentence(uneven: Atlas, concept: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message) as caught:
        uneven.sql(f"FROM concept_map({concept})")
    assert "\n" not in str(caught.value)


def test_another_atlas_of_the_file_goes_on_with_any_text_when_the_first_is_closed(
    uneven: Atlas, toy: Toy, tmp_path: Path
) -> None:
    other = Atlas(Store.open(uneven.store.address), home=tmp_path, load_backbone=lambda name, home: toy)
    uneven.close()
    with other:
        assert other.sql("FROM voxels_like(concept('birthday cake')) LIMIT 3").height == 3


def test_text_in_sql_keeps_no_model_of_before_the_atlas_grew(uneven: Atlas) -> None:
    before = weakref.ref(uneven.model(MODEL))
    sql = "FROM voxels_like(concept('birthday cake'), model := $1)"
    first = uneven.sql(sql, [MODEL])
    put(uneven.store, model_rows("m/toy/2", "simulated/S1", random_weights(5)), key="grown")
    assert uneven.sql(sql, [MODEL]).equals(first)
    assert uneven.model(MODEL) is not before()
    gc.collect()
    assert before() is None


def test_a_model_is_named_by_whole_parts_of_its_id(uneven: Atlas) -> None:
    for name in ("m", "m/toy", MODEL):
        assert set(uneven.store.frame("FROM concept_map('cake', model := $1)", [name])["model_id"]) == {MODEL}
    for cut in ("m/to", "simulated/S"):
        with pytest.raises(BadInputError, match="No model"):
            uneven.store.frame("FROM concept_map('cake', model := $1)", [cut])


def test_a_text_in_sql_is_worked_out_once_for_as_many_models_as_are_asked_together(
    atlas: Atlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [replace(atlas.model(VOLUME), model_id=str(number)) for number in range(MOST_MODELS)]
    turned, calls = FeatureSpectrum.turned, list[float]()

    def counted(own: FeatureSpectrum, vectors: np.ndarray, exponent: float) -> np.ndarray:
        calls.append(exponent)
        return turned(own, vectors, exponent)

    monkeypatch.setattr(FeatureSpectrum, "turned", counted)
    concept = concept_function(lambda: models)
    first = concept("birthday cake")
    assert (len(first), concept("birthday cake")) == (3 * MOST_MODELS, first)
    assert len(calls) == len(first)
