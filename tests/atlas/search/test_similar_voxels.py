import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_atlas import (
    DIM,
    WORDS,
    Toy,
    concept_rows,
    concept_vector,
    cosines,
    label_rows,
    model_rows,
    put,
    random_weights,
    run_rows,
    subject_rows,
    words_rows,
)

import voxel_atlas as atlas_package
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError, NotFoundError

MODEL = "simulated/S1/toy/aaaaaa"


def test_the_nearest_voxels_are_those_of_a_plain_scan(atlas: Atlas) -> None:
    hits = atlas.model().similar("cake", significant=False, readout="half", first=120)
    expected = cosines(concept_vector("cake"), random_weights(120))
    assert hits.frame["voxel"].to_list() == np.argsort(-expected).tolist()
    np.testing.assert_allclose(hits.frame["similarity"], np.sort(expected)[::-1], atol=1e-6)
    assert (hits.model_id, hits.by, hits.readout, hits.method) == (MODEL, "weights", "half", None)
    assert (hits.total, hits.generation) == (120, atlas.store.generation())


def test_a_hit_says_what_is_known_of_its_voxel(atlas: Atlas) -> None:
    row = atlas.model().similar(voxel=40, significant=False, first=1).frame.row(0, named=True)
    assert row["similarity"] == pytest.approx(1, abs=1e-6)
    assert (row["z"], row["concept_q"], row["specific"], row["percentile"]) == (None, None, None, None)
    del row["similarity"], row["z"], row["concept_q"], row["specific"], row["percentile"], row["r2"], row["r"], row["q"]
    assert (row.pop("semantic_r"), row.pop("semantic_q")) == (pytest.approx(0.3), pytest.approx(0.01))
    assert row == {
        "model_id": MODEL,
        "subject_id": "simulated/S1",
        "simulated": True,
        "voxel": 40,
        "rois": ["FFA", "PPA"],
        "semantic": True,
        "noise_ceiling": 0.5,
        "i": 4,
        "j": 1,
        "k": 1,
        "hemisphere": None,
        "vertex": None,
        **dict.fromkeys(("x_mm", "y_mm", "z_mm")),
    }


@settings(max_examples=40)
@given(
    rois=st.lists(st.sampled_from(["FFA", "PPA", "empty"]), max_size=2),
    significant=st.booleans(),
    min_r2=st.none() | st.floats(-0.2, 0.6),
    first=st.integers(1, 130),
)
def test_filters_come_before_the_first_are_taken(
    atlas: Atlas, rois: list[str], significant: bool, min_r2: float | None, first: int
) -> None:
    hits = atlas.model().similar("dog", rois=rois, significant=significant, min_r2=min_r2, first=first)
    everything = atlas.model().similar("dog", significant=False, first=120).frame
    wanted = everything.filter(
        (pl.col("q") <= 0.05) | (not significant),
        (pl.col("r2") >= min_r2) if min_r2 is not None else pl.lit(value=True),
        pl.col("rois").list.set_intersection(rois).list.len() > 0 if rois else pl.lit(value=True),
    )
    assert hits.total == wanted.height
    assert hits.frame.equals(wanted.head(first))


def test_pages_follow_each_other_without_gap_or_repeat(atlas: Atlas) -> None:
    for by in ("weights", "labels"):
        whole = atlas.model().similar("cake", by=by, significant=False, first=120).frame
        pages, after = [], None
        while True:
            page = atlas.model().similar("cake", by=by, significant=False, first=7, after=after).frame
            if page.is_empty():
                break
            pages.append(page)
            after = (page["similarity"][-1], page["voxel"][-1])
        assert pl.concat(pages).equals(whole)


def test_words_are_added_and_taken_away(atlas: Atlas) -> None:
    query = concept_vector("cake", "kitchen", "hot dog", signs=(1, -1, 1))
    frame = atlas.model().map("cake - kitchen  + hot dog").frame
    np.testing.assert_allclose(frame["similarity"], cosines(query, random_weights(120)), atol=1e-6)
    assert frame["voxel"].to_list() == list(range(120))


def test_a_map_and_a_search_give_the_same_numbers(atlas: Atlas) -> None:
    for by in ("weights", "labels"):
        hits = atlas.model().similar("cake", by=by, significant=False, first=120).frame.sort("voxel")
        shown = atlas.model().map("cake", by=by).frame
        assert hits["voxel"].equals(shown["voxel"])
        assert hits["similarity"].equals(shown["similarity"])


def test_by_labels_is_the_mean_cosine_of_the_labels(atlas: Atlas) -> None:
    hits = atlas.model().map("face", by="labels")
    expected = [
        0.7 * cosines(concept_vector("face"), concept_vector(WORDS[v % 6])[None])[0]
        + 0.3 * cosines(concept_vector("face"), concept_vector(WORDS[(v + 1) % 6])[None])[0]
        for v in range(60)
    ]
    assert hits.frame["voxel"].to_list() == list(range(60))
    np.testing.assert_allclose(hits.frame["similarity"], expected, atol=1e-6)
    assert (hits.by, hits.readout, hits.method) == ("labels", None, "brainlmm-eq2")


def test_a_voxel_is_nearest_to_itself_by_labels(atlas: Atlas) -> None:
    hits = atlas.model().similar(voxel=2, by="labels", significant=False, first=10).frame
    assert 2 in hits["voxel"].to_list()
    assert set(hits["voxel"] % 6) == {2}


def test_an_image_is_compared_as_its_centred_features(atlas: Atlas) -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    features = image.reshape(-1)[:DIM].astype(np.float32) / 255 - 0.1
    hits = atlas.model().similar(image=image, significant=False, first=120).frame.sort("voxel")
    np.testing.assert_allclose(hits["similarity"], cosines(features, random_weights(120)), atol=1e-5)


def test_predictions_are_the_encoding_model_s(atlas: Atlas) -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    features = image.reshape(-1)[:DIM].astype(np.float32) / 255 - 0.1
    frame = atlas.model().predict(image)
    np.testing.assert_allclose(frame["response"], random_weights(120) @ features + 0.25, atol=1e-5)
    some = atlas.model().predict(image, voxels=[7, 3])
    assert some["voxel"].to_list() == [3, 7]
    np.testing.assert_allclose(some["response"], frame["response"].gather([3, 7]))


def test_only_voxels_of_a_region_are_predicted(atlas: Atlas) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    assert atlas.model().predict(image, rois=["FFA"])["voxel"].to_list() == list(range(60))
    assert atlas.model().predict(image, voxels=[59, 60], rois=["FFA"])["voxel"].to_list() == [59]


def test_an_image_is_not_put_through_other_weights_than_the_model_s(atlas: Atlas) -> None:
    rows = model_rows("simulated/S1/toy/cccccc", "simulated/S1", random_weights(3))
    rows["model"][0]["config"] = json.dumps({"backbone_sha256": "0" * 64})
    put(atlas.store, rows, key="c")
    with pytest.raises(BadInputError, match="other weights of toy"):
        atlas.model("simulated/S1/toy/cccccc").predict(np.zeros((4, 4, 3), np.uint8))


def test_patterns_are_the_covariance_times_the_weights(atlas: Atlas) -> None:
    random = np.random.default_rng(3)
    mixing = random.standard_normal((DIM, DIM)).astype(np.float32)
    covariance, weights = mixing @ mixing.T, random_weights(120, 9)
    model = "simulated/S1/toy/bbbbbb"
    put(atlas.store, model_rows(model, "simulated/S1", weights, covariance=covariance), key="b")
    hits = atlas.model(model).map("cake", readout="pattern")
    np.testing.assert_allclose(
        hits.frame["similarity"], cosines(concept_vector("cake"), weights @ covariance), atol=1e-5
    )
    assert hits.readout == "pattern"


def test_a_label_s_vector_is_read_and_not_computed(atlas: Atlas, toy: Toy) -> None:
    atlas.model().similar("cake")
    assert toy.asked == []
    atlas.model().similar("zebra")
    atlas.model().similar("zebra  ")
    assert toy.asked == ["zebra"]


@pytest.mark.parametrize(
    ("question", "error", "message"),
    [
        ({}, BadInputError, "exactly one"),
        ({"concept": "cake", "voxel": 1}, BadInputError, "exactly one"),
        ({"concept": ""}, BadInputError, "empty"),
        ({"concept": "x" * 201}, BadInputError, "at most 200 characters"),
        ({"concept": "cake -"}, BadInputError, "needs a word on both"),
        ({"concept": "- cake"}, BadInputError, "needs a word on both"),
        ({"concept": "cake - cake"}, BadInputError, "adds up to nothing"),
        ({"concept": "cake", "rois": ["XYZ"]}, NotFoundError, "no ROI 'XYZ'; it has FFA, PPA, empty"),
        ({"concept": "cake", "by": "magic"}, BadInputError, "by weights or by labels"),
        ({"concept": "cake", "readout": "magic"}, BadInputError, "weights, half, pattern"),
        ({"concept": "cake", "by": "labels", "readout": "half"}, BadInputError, "By labels no readout"),
        ({"concept": "cake", "by": "labels", "specific": True}, BadInputError, "no z by labels"),
        ({"concept": "cake", "by": "labels", "min_z": 0.0}, BadInputError, "no z by labels"),
        ({"concept": "cake", "by": "labels", "max_q": 1.0}, BadInputError, "no z by labels"),
        ({"voxel": 1, "max_q": 0.5}, BadInputError, "no z for another voxel"),
        ({"concept": "cake", "max_q": 1.01}, BadInputError, "from 0 to 1, and not 1.01"),
        ({"concept": "cake", "max_q": -0.01}, BadInputError, "from 0 to 1, and not -0.01"),
        ({"concept": "cake", "max_q": float("nan")}, BadInputError, "max_q is a number .* not nan"),
        ({"concept": "cake", "max_q": "x"}, BadInputError, "max_q is a number .* not 'x'"),
        ({"concept": "cake", "min_z": float("nan")}, BadInputError, "min_z is a number .* not nan"),
        ({"concept": "cake", "min_z": float("-inf")}, BadInputError, "min_z is a number .* not -inf"),
        ({"concept": "cake", "min_r2": float("nan")}, BadInputError, "min_r2 is a number .* not nan"),
        ({"concept": "cake", "first": 0}, BadInputError, "0 rows"),
        ({"concept": "cake", "first": 100_001}, BadInputError, "100001 rows"),
        ({"voxel": 120}, NotFoundError, "no voxel 120"),
        ({"voxel": 90, "by": "labels"}, NotFoundError, "no voxel 90"),
    ],
)
def test_a_question_without_sense_is_refused_in_one_sentence(
    atlas: Atlas, question: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        atlas.model().similar(**question)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limits", [{"min_z": 1.0}, {"max_q": 0.9}, {"specific": True}])
def test_a_model_without_residual_variances_says_that_it_has_no_z(atlas: Atlas, limits: dict[str, float]) -> None:
    model, weights = "simulated/S1/toy/dddddd", random_weights(120, 4)
    rows = model_rows(model, "simulated/S1", weights)
    put(atlas.store, rows, concept_rows(model, weights), key="c")
    assert atlas.model(model).similar("cake", min_z=-100.0).total
    older = model.replace("dddddd", "eeeeee")
    rows = model_rows(older, "simulated/S1", weights)
    put(
        atlas.store,
        rows | {"encoding": [row | {"residual_variance": None} for row in rows["encoding"]]},
        concept_rows(older, weights),
        key="d",
    )
    with pytest.raises(BadInputError, match=f"{older} has no z: it takes each voxel's residual variance"):
        atlas.model(older).similar("cake", **limits)  # type: ignore[arg-type]


def test_a_backbone_without_text_is_asked_by_labels(atlas: Atlas) -> None:
    model = "simulated/S1/resnet50/cccccc"
    labels = {v: [("cake", 1.0)] for v in range(5)}
    put(
        atlas.store,
        model_rows(model, "simulated/S1", random_weights(120, 4), backbone="resnet50", text=False),
        label_rows(model, labels),
        key="c",
    )
    with pytest.raises(BadInputError, match="no text tower; compare a concept by labels"):
        atlas.model(model).similar("cake")
    with pytest.raises(BadInputError, match="it has only weights"):
        atlas.model(model).similar(voxel=1, readout="pattern")
    assert atlas.model(model).similar("cake", by="labels", significant=False).total == 5
    assert atlas.model(model).similar(voxel=1, significant=False).total == 120


def test_models_are_found_by_a_part_of_their_name(atlas: Atlas) -> None:
    put(
        atlas.store,
        subject_rows("simulated/S2", 12),
        model_rows("simulated/S2/toy/dddddd", "simulated/S2", random_weights(12)),
        run_rows("simulated/S2/toy/dddddd", day=2),
        model_rows("simulated/S2/toy/eeeeee", "simulated/S2", random_weights(12)),
        run_rows("simulated/S2/toy/eeeeee", "failed", day=3),
        key="S2",
    )
    assert atlas.model().model_id == "simulated/S2/toy/dddddd"
    assert atlas.model("aaaaaa").model_id == MODEL
    assert atlas.model("simulated/S1").model_id == MODEL
    with pytest.raises(NotFoundError, match=f"no model 'nsd/subj09'; there are .*{MODEL}"):
        atlas.model("nsd/subj09")
    with pytest.raises(NotFoundError, match="more than one model 'simulated/S2'"):
        atlas.model("simulated/S2")
    states = dict(atlas.models().select("model_id", "state").iter_rows())
    assert states == {MODEL: "finished", "simulated/S2/toy/dddddd": "finished", "simulated/S2/toy/eeeeee": "failed"}


def test_an_atlas_without_models_says_so(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no model yet"):
        Atlas(store, home=tmp_path).model()


def test_metric_maps_have_a_value_for_every_voxel(atlas: Atlas) -> None:
    for metric in ("r2", "r", "q", "noise_ceiling", "r2_of_ceiling", "food_t", "food_q"):
        assert atlas.model().metric_map(metric).shape == (120, 2)
    cake = atlas.model().metric_map("label_probability:cake")
    assert cake["value"].drop_nulls().len() == 20
    assert cake["value"][0] == pytest.approx(0.7)
    with pytest.raises(BadInputError, match="no metric 'r3'"):
        atlas.model().metric_map("r3")
    with pytest.raises(NotFoundError, match="no label 'cak'; near it are cake"):
        atlas.model().metric_map("label_probability:cak")


def test_an_atlas_opens_by_its_address_and_shares_the_file_with_readers(address: str, tmp_path: Path) -> None:
    with Store.open(address) as store:
        put(store, subject_rows("s", 6), words_rows(), key="k")
    with atlas_package.open(address, home=tmp_path) as one, Atlas.open(address, home=tmp_path) as other:
        assert one.subjects().equals(other.subjects())
        assert one.sql("SELECT count(*) AS n FROM voxel")["n"][0] == 6


def test_places_of_voxels_in_a_volume_and_on_a_surface(atlas: Atlas) -> None:
    put(atlas.store, subject_rows("surf", 10, space="surface", shape=(7, 6)), key="surf")
    volume, surface = atlas.volume("simulated/S1"), atlas.volume("surf")
    assert volume.cells.tolist() == list(range(120))
    assert volume.n_cells == 120
    assert surface.cells.tolist() == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
    assert surface.n_cells == 13
    assert volume.subject["simulated"]
    with pytest.raises(NotFoundError, match="no subject 'x'; there are simulated/S1, surf"):
        atlas.volume("x")


def test_neighbours_of_several_voxels_are_those_of_each(atlas: Atlas) -> None:
    frame = atlas.model().neighbours([9, 2, 500], first=4)
    assert frame["of"].to_list() == [2] * 4 + [9] * 4
    for voxel in (2, 9):
        alone = atlas.model().similar(voxel=voxel, significant=False, first=5).frame.filter(pl.col("voxel") != voxel)
        found = frame.filter(pl.col("of") == voxel)
        assert found["voxel"].to_list() == alone["voxel"].to_list()
        assert found["similarity"].to_list() == alone["similarity"].to_list()
    assert atlas.model().neighbours([500]).is_empty()


def test_a_model_stays_valid_while_the_atlas_grows_and_keeps_its_counts(atlas: Atlas) -> None:
    model = atlas.model()
    put(atlas.store, {"encoding": model_rows(MODEL, "simulated/S1", random_weights(125))["encoding"][120:]}, key="more")
    assert model.similar("cake", significant=False).total == 125
    assert (model.n_voxels, atlas.model().n_voxels) == (120, 125)


def test_where_no_voxel_is_significant_an_empty_answer_says_so(atlas: Atlas) -> None:
    model = "simulated/S1/toy/ffffff"
    rows = model_rows(model, "simulated/S1", random_weights(20, 4))
    rows["significance"] = [row | {"q": 0.9} for row in rows["significance"]]
    put(atlas.store, rows, key="c")
    (sentence,) = atlas.model(model).similar("cake").warnings
    assert sentence == f"No voxel of {model} is significant; --no-significant (significant=False) shows all."
    assert atlas.model(model).similar("cake", significant=False).warnings == []


@pytest.mark.parametrize("among", [[], [3], list(range(0, 120, 7)), [3, 3, 5, 100_000]])
def test_only_voxels_that_are_named_are_ranked(atlas: Atlas, among: list[int]) -> None:
    every = atlas.model().similar("cake", first=100)
    wanted = every.frame.filter(pl.col("voxel").is_in(among))
    found = atlas.model().similar("cake", among=among, first=100)
    whole = atlas.model().similar("cake", among=range(100_000), first=100)
    assert whole.frame["voxel"].to_list() == every.frame["voxel"].to_list()
    assert found.total == len(found.frame) <= len(set(among))
    assert found.frame["voxel"].to_list()[: len(wanted)] == wanted["voxel"].to_list()
