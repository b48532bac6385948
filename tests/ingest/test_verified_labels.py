"""Labels held against the responses to test images, in an ingest: every pair as scipy has it, and exactly once."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from labelled import Begin, ingest, rows
from scipy.stats import false_discovery_control, mannwhitneyu, ttest_ind
from tiny import TinyBackbone, TinyCaptioner, TinyDataset, tiny_config, tiny_parts

from voxel_atlas.atlas.search.baseline import nouns
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.encoding.split import split
from voxel_atlas.ingest.run import Pipeline
from voxel_atlas.schemas.tables import label_id

TEST = split(180, 0.25, 42)[1]
"""The images that the tiny model is tested on; a tenth of them are five."""
METHODS = ("brainlmm-eq2", "clip-msm")
CONCEPTS = ("rose", "leaf", "truck")


class Wordless(TinyBackbone):
    """A network without a text tower."""

    name, has_text, fingerprint = "wordless", False, "wordless"


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def expected_evidence(scores: pl.DataFrame, lemmas: dict[int, str]) -> dict[tuple[int, int], tuple[float, ...]]:
    """n, AUC, t and p of each pair of voxel and label, one at a time."""
    dataset, backbone = TinyDataset(), TinyBackbone()
    images = backbone.features([dataset.image(int(i)) for i in TEST])
    baseline = unit(backbone.text(nouns())).mean(axis=0)
    responses = dataset.responses_of(np.arange(12))[TEST]
    found = {}
    for voxel, label in scores.select("voxel", "label_id").iter_rows():
        detector = images @ (unit(backbone.text([lemmas[label]]))[0] - baseline)
        shows = np.isin(np.arange(len(TEST)), np.argsort(-detector, kind="stable")[:5])
        with_label, without = responses[shows, voxel], responses[~shows, voxel]
        welch = ttest_ind(with_label, without, equal_var=False, alternative="greater")
        ranks = mannwhitneyu(with_label, without, alternative="greater", method="asymptotic")
        auc = ranks.statistic / len(with_label) / len(without)
        found[voxel, label] = (5, auc, welch.statistic, max(welch.pvalue, ranks.pvalue))
    return found


@pytest.mark.parametrize("backbone", [TinyBackbone, Wordless])
def test_every_scored_label_is_held_against_the_responses_to_test_images(
    tmp_path: Path, backbone: type[TinyBackbone]
) -> None:
    config = tiny_config(methods=METHODS, concepts=CONCEPTS)
    parts = tiny_parts(config, tmp_path, backbone=backbone(), label_backbone=TinyBackbone())
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        model_id = Pipeline(store=store, home=tmp_path).ingest(config, parts)
        lemmas = dict(store.frame("SELECT label_id, lemma FROM label").iter_rows())
    scores, evidence = (rows(tmp_path, table, model_id) for table in ("label_score", "label_evidence"))
    pairs = ["voxel", "method", "label_id"]
    assert evidence.select(pairs).sort(pairs).equals(scores.select(pairs).sort(pairs))
    assert set(evidence["shown_by"]) == {"detector"}
    expected = expected_evidence(scores, lemmas)
    for row in evidence.iter_rows(named=True):
        told = [row[name] for name in ("n_images", "auc", "t", "p")]
        assert told == pytest.approx(expected[row["voxel"], row["label_id"]], rel=1e-4, abs=1e-6)
    for _, of_method in evidence.group_by("method"):
        assert of_method["q"].to_numpy() == pytest.approx(false_discovery_control(of_method["p"].to_numpy()), abs=1e-6)
    first = scores.filter((pl.col("rank") == 1) & (pl.col("method") == "brainlmm-eq2")).join(evidence, on=pairs)
    assert (first["q"] <= 0.05).mean() > 0.9


@pytest.mark.parametrize("methods", [METHODS, ("clip-msm",)])
def test_captions_say_which_images_show_a_label_where_that_is_chosen(tmp_path: Path, methods: tuple[str, ...]) -> None:
    model_id = ingest(tmp_path, methods=methods, concepts=CONCEPTS, shown_by="caption")
    evidence = rows(tmp_path, "label_evidence", model_id)
    assert set(evidence["shown_by"]) == {"caption"}
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        lemmas = dict(store.frame("SELECT label_id, lemma FROM label").iter_rows())
    dataset = TinyDataset()
    captions = TinyCaptioner().caption([dataset.image(int(i)) for i in TEST])
    for voxel, label, n_images, auc in evidence.select("voxel", "label_id", "n_images", "auc").iter_rows():
        shows = np.array([caption.endswith(f" {lemmas[label]}") for caption in captions])
        assert n_images == shows.sum()
        responses = dataset.responses_of(np.array([voxel]))[TEST, 0]
        if n_images:
            expected = mannwhitneyu(responses[shows], responses[~shows]).statistic / n_images / (len(TEST) - n_images)
            assert auc == pytest.approx(expected, abs=1e-6)
    truck = evidence.filter(label_id=label_id("truck"))
    assert truck.height
    assert truck["q"].is_null().all()


def test_too_few_images_are_told_and_not_tested(tmp_path: Path) -> None:
    model_id = ingest(tmp_path, test_share=0.1)
    evidence = rows(tmp_path, "label_evidence", model_id)
    assert evidence.height == rows(tmp_path, "label_score", model_id).height
    assert set(evidence["n_images"]) == {2}
    assert all(evidence[name].is_null().all() for name in ("auc", "t", "p", "q"))


def test_a_model_that_was_made_before_gets_its_evidence_by_the_same_ingest(tmp_path: Path, labelled: Begin) -> None:
    model_id = labelled(tmp_path)
    evidence = rows(tmp_path, "label_evidence", model_id)
    forget = ["DELETE FROM label_evidence WHERE voxel {}", "DELETE FROM ledger WHERE stage = 'verify' AND n_rows > 0"]
    for some in (">= 0", "BETWEEN 2 AND 4"):  # all of it, and what a run that was stopped had not yet got to
        with Store.open(str(tmp_path / "atlas.duckdb")) as store:
            store.change([(statement.format(some), []) for statement in forget])
        assert rows(tmp_path, "label_evidence", model_id).height < evidence.height
        assert ingest(tmp_path) == model_id
        assert rows(tmp_path, "label_evidence", model_id).equals(evidence)
