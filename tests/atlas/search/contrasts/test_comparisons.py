"""Concepts beside each other: Python, SQL and a loop over voxels give the same numbers but for rounding."""

from dataclasses import replace
from itertools import count

import numpy as np
import polars as pl
import pytest
from scipy import stats
from toy_atlas import VOLUME, concept_vector, word_vector

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.contrasts.preference import contrast, difference
from voxel_atlas.atlas.search.contrasts.region_means import Passing
from voxel_atlas.atlas.search.similarity import ConceptMap
from voxel_atlas.schemas.errors import BadInputError, NotFoundError

A, B = "cake", "dog"
SQL = {"a": f"concept('{A} - {B}')", "b": f"concept('{B} - {A}')"}


def passing(atlas: Atlas) -> pl.DataFrame:
    """Significant voxels and their regions."""
    return atlas.model(VOLUME).voxels(range(120)).filter(pl.col("q") <= 0.05).select("voxel", "rois")


def test_a_contrast_is_the_map_of_the_difference_with_q_each_way(atlas: Atlas) -> None:
    model = atlas.model(VOLUME)
    found = model.contrast(A, B).frame
    whole = model.map(f"{A} - {B}").frame
    expected = whole.join(passing(atlas), on="voxel", maintain_order="left")
    assert found.select("voxel", "similarity", "z").equals(expected.select("voxel", "similarity", "z"))
    for name, text in (("a", A), ("b", B)):
        own = model.map(text).frame.join(passing(atlas), on="voxel", maintain_order="left")
        assert found[name].equals(own["similarity"].alias(name))
    z = whole["z"].to_numpy()
    for name, p in (("q_a", stats.norm.sf(z)), ("q_b", stats.norm.cdf(z))):
        rates = pl.DataFrame({"voxel": whole["voxel"], "q": stats.false_discovery_control(p)})
        assert np.allclose(found[name], found.join(rates, on="voxel", maintain_order="left")["q"], rtol=1e-9)


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ("cake", "dog", "cake - dog"),
        (" birthday cake ", "dog + ball", "birthday cake - dog - ball"),
        ("cake - kitchen", "dog - ball", "cake - kitchen - dog + ball"),
    ],
)
def test_a_difference_of_concepts_is_a_concept(a: str, b: str, text: str) -> None:
    assert difference(a, b) == text


def test_voxels_that_are_fitted_between_one_map_and_the_next_wait(atlas: Atlas) -> None:
    model, grown = atlas.model(VOLUME), count(50)

    def ask(text: str) -> ConceptMap:
        whole = model.map(text)
        return replace(whole, frame=whole.frame.head(next(grown)))

    table = model.tables.voxels()
    found = contrast(ask, A, B, Passing(table, np.ones(len(table.voxels), bool)))
    whole = model.contrast(A, B, significant=False).frame
    assert found.frame.drop("q_a", "q_b").equals(whole.head(50).drop("q_a", "q_b"))


def test_sums_and_differences_are_held_against_each_other_as_vectors(atlas: Atlas) -> None:
    found = atlas.model(VOLUME).contrast("cake - face", "dog", significant=False).frame
    query = concept_vector("cake", "face", "dog", signs=(1, -1, -1))
    voxels, vectors = atlas.model(VOLUME).unit_vectors()
    cosines = dict(zip(voxels.tolist(), vectors @ (query / np.linalg.norm(query)), strict=True))
    assert np.allclose(found["similarity"], [cosines[voxel] for voxel in found["voxel"]], atol=1e-6)
    assert word_vector("cake").shape == query.shape


def test_shares_and_counts_of_regions_are_those_of_their_voxels(atlas: Atlas) -> None:
    model = atlas.model(VOLUME)
    voxels = model.contrast(A, B).frame.join(passing(atlas), on="voxel")
    found = model.contrast_regions(A, B).frame
    assert found["roi"].to_list() == [None, "FFA", "PPA", "empty"]
    for row in found.iter_rows(named=True):
        own = voxels if row["roi"] is None else voxels.filter(pl.col("rois").list.contains(row["roi"]))
        assert row["n_voxels"] == len(own)
        if not len(own):
            assert (row["share"], row["mean_a"], row["low"]) == (None, None, None)
            continue
        assert row["share"] == pytest.approx((own["similarity"] > 0).mean())
        assert [row["mean_a"], row["mean_b"]] == pytest.approx([own["a"].mean(), own["b"].mean()], rel=1e-6)
        assert [row["n_a"], row["n_b"]] == [(own["q_a"] <= 0.05).sum(), (own["q_b"] <= 0.05).sum()]
    alone = model.contrast_regions(A, B, rois=["PPA"]).frame
    assert alone.equals(found.filter(pl.col("roi").is_null() | (pl.col("roi") == "PPA")))


def test_intervals_are_over_blocks_of_a_centimetre(atlas: Atlas) -> None:
    model = atlas.model(VOLUME)
    unknown = model.contrast_regions(A, B, significant=False).frame
    assert unknown["low"].null_count() == len(unknown)
    assert unknown["n_blocks"].null_count() == len(unknown) - 1  # of a region without voxels it is known
    # Four voxels in a row share a block.
    atlas.located.told_by(lambda subject: np.arange(120)[:, None] * np.array([2.5, 0, 0]))
    known = model.contrast_regions(A, B, significant=False).frame
    assert known.drop("low", "high", "n_blocks").equals(unknown.drop("low", "high", "n_blocks"))
    assert known["n_blocks"].to_list() == [30, 15, 16, 0]
    whole = known.row(0, named=True)
    above = (model.contrast(A, B, significant=False).frame["similarity"] > 0).to_numpy().reshape(30, 4).sum(axis=1)
    draws = np.random.default_rng(1).integers(30, size=(4000, 30))
    expected = np.quantile(above[draws].sum(axis=1) / 120, [0.025, 0.975])
    assert [whole["low"], whole["high"]] == pytest.approx(expected, abs=0.02)
    table = model.roi_table([A, B], significant=False).frame
    assert table["n_blocks"].unique(maintain_order=True).to_list() == [15, 16, 0]
    bounded = table.filter(pl.col("n_voxels") > 0)
    assert (bounded["low"] < bounded["mean"]).all()
    assert (bounded["mean"] < bounded["high"]).all()


def test_maps_are_as_alike_as_pearson_says(atlas: Atlas) -> None:
    model, concepts = atlas.model(VOLUME), ["cake", "dog", "cake - dog"]
    for rois in ((), ("FFA",)):
        inside = passing(atlas).filter(pl.col("rois").list.contains("FFA") | (not rois))
        maps = [model.map(each).frame.join(inside, on="voxel")["similarity"].to_numpy() for each in concepts]
        found = model.concept_matrix(concepts, rois=rois)
        assert np.allclose(found.wide.drop("a").to_numpy(), np.corrcoef(np.array(maps, float)), atol=1e-6)
        assert found.wide["a"].to_list() == found.wide.columns[1:] == concepts


def test_sql_gives_the_same_numbers_but_for_rounding(atlas: Atlas) -> None:
    model = atlas.model(VOLUME)
    given = {"significant": True, "readout": "half"}
    contrast = model.contrast(A, B, **given).frame.sort("similarity", "voxel", descending=[True, False])
    asked = atlas.sql(f"FROM prefers({SQL['a']}, {SQL['b']})")
    assert asked["voxel"].to_list() == contrast["voxel"].to_list()
    for name, tolerance in (("similarity", 1e-6), ("q_a", 3e-5), ("q_b", 3e-5)):
        np.testing.assert_allclose(asked[name], contrast[name], atol=tolerance)
    np.testing.assert_allclose(asked["z"], contrast["z"], rtol=1e-4, atol=1e-4)
    regions = model.contrast_regions(A, B, **given).frame.filter(pl.col("n_voxels") > 0)
    told = atlas.sql(f"FROM roi_preference({SQL['a']}, {SQL['b']})")
    columns = ("roi", "n_voxels", "share", "n_a", "n_b")
    assert told.select(columns).equals(regions.select(columns))
    table = model.roi_table([A], **given).frame.filter(pl.col("n_voxels") > 0)
    means = atlas.sql(f"FROM roi_means('{A}')")
    assert means["roi"].to_list() == table["roi"].to_list()
    for name in ("n_voxels", "mean", "sd", "specific"):
        np.testing.assert_allclose(means[name], table[name], atol=1e-6)
    r = atlas.sql(f"FROM map_correlation('{A}', '{B}')")["r"].item()
    assert r == pytest.approx(model.concept_matrix([A, B], **given).wide[B][0], abs=1e-6)


def test_labels_are_compared_without_evidence(atlas: Atlas) -> None:
    found = atlas.model(VOLUME).contrast(A, B, by="labels")
    assert found.frame["z"].null_count() == found.frame["q_a"].null_count() == len(found.frame) > 0
    regions = atlas.model(VOLUME).contrast_regions(A, B, by="labels").frame
    assert regions["n_a"].null_count() == len(regions)
    assert regions["share"].is_not_null().any()


def test_what_makes_no_sense_is_refused(atlas: Atlas) -> None:
    model = atlas.model(VOLUME)
    with pytest.raises(BadInputError, match="adds up to nothing"):
        model.contrast(A, A)
    with pytest.raises(BadInputError, match="name 1 to 100"):
        model.concept_matrix([])
    with pytest.raises(NotFoundError, match="no ROI 'FAF'"):
        model.contrast_regions(A, B, rois=["FAF"])
