"""What a plan says against what the dissection does."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled import ingest, rows
from tiny import tiny_parts

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.dissection.nouns import shortened
from voxel_atlas.ingest.plan import Job, Plan, grown
from voxel_atlas.ingest.run import Pipeline
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import BadInputError


def planned(home, model_id, n_sample=0, **changes) -> Plan:
    with Store.open(str(home / "atlas.duckdb")) as store:
        before = store.generation()
        text = store.frame("SELECT config FROM model WHERE model_id = ?", [model_id])["config"][0]
        config = IngestConfig.model_validate({**IngestConfig.model_validate_json(text).model_dump(), **changes})
        found = Pipeline(store=store, home=home).plan(model_id, config, tiny_parts(config, home), n_sample=n_sample)
        assert store.generation() == before, "a plan stores nothing"
    return found


def number(plan: Plan, what: str) -> int:
    return next(job.number for job in plan.jobs if job.what == what)


@pytest.mark.parametrize("changes", [{}, {"min_voxels_per_label": 3, "crops_per_image": 2, "max_candidates": 2}])
def test_a_plan_from_all_images_says_what_the_dissection_then_does(tmp_path, changes, fitted):
    source = fitted(tmp_path)
    found = planned(tmp_path, source, dissect="significant", **changes)
    model_id = ingest(tmp_path, **changes)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        n_captions = store.frame("SELECT count(*) AS n FROM caption")["n"][0]
        n_pictures = store.frame("SELECT count(*) AS n FROM synthetic_image")["n"][0]
    labels = rows(tmp_path, "label_score", model_id).drop_nulls("rank")["label_id"].n_unique()
    assert found.n_looked_at == found.n_images > 0
    assert found.n_voxels == rows(tmp_path, "top_image", model_id)["voxel"].n_unique()
    assert number(found, "captions") == n_captions
    assert number(found, "different labels") == labels
    assert number(found, "generated pictures") == n_pictures
    assert found.labels[1] >= found.labels[2] >= found.labels[50] == 0
    assert 0 < found.seconds < math.inf
    assert sum(job.number - job.done for job in planned(tmp_path, model_id).jobs if job.what == "captions") == 0


def test_a_plan_from_some_images_is_near(tmp_path, fitted):
    source = fitted(tmp_path)
    exact = planned(tmp_path, source, dissect="all", images_per_label=3)
    some = planned(tmp_path, source, n_sample=20, dissect="all", images_per_label=3)
    assert some.n_looked_at == 20 < some.n_images == exact.n_images
    for what in ("different crops", "captions"):
        assert number(some, what) == pytest.approx(number(exact, what), rel=0.35)
    assert number(some, "generated pictures") == number(exact, "generated pictures")


def test_clip_msm_alone_has_nothing_to_plan(tmp_path, fitted):
    source = fitted(tmp_path)
    with pytest.raises(BadInputError, match="nothing to plan"):
        planned(tmp_path, source, dissect="all", methods=("clip-msm",), concepts=("rose",))


@given(k=st.floats(1, 50), exponent=st.floats(0, 1), n=st.integers(10, 1000), times=st.floats(1, 50))
def test_a_vocabulary_that_follows_heaps_law_is_extrapolated_exactly(k, exponent, n, times):
    def words(captions):
        return k * captions**exponent

    assert grown(n * times, (n / 2, words(n / 2)), (n, words(n))) == pytest.approx(words(n * times), rel=1e-6)


def test_a_vocabulary_never_shrinks_and_never_outgrows_its_captions():
    assert grown(100, (5, 0), (10, 0)) == 0
    assert grown(10, (5, 3), (10, 4)) == 4
    assert grown(100, (5, 4), (10, 4)) == 4
    assert grown(100, (5, 1), (10, 9)) == 90


@given(
    st.dictionaries(st.integers(0, 9), st.lists(st.sampled_from("abcdef"), unique=True, max_size=6), max_size=8),
    st.integers(1, 4),
    st.integers(0, 5),
)
def test_shortening_keeps_frequent_nouns_in_their_order(named, min_voxels, most):
    kept, unscored = shortened(named, min_voxels, most, known="abcde")
    assert kept.keys() == unscored.keys() == named.keys()
    for voxel, nouns in kept.items():
        known = [noun for noun in named[voxel] if noun != "f"]
        frequent = [noun for noun in known if sum(noun in own for own in named.values()) >= min_voxels]
        assert nouns == frequent[: most or None]
        assert sorted([*nouns, *unscored[voxel]]) == sorted(named[voxel])
        for noun, reason in unscored[voxel].items():
            assert reason.startswith("not a" if noun == "f" else "beyond" if noun in frequent else "of fewer")


def test_nothing_takes_no_time_though_nothing_was_timed():
    assert Job("images mapped and cropped", 0, per_second=0.0).seconds == 0
