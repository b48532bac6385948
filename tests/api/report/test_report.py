"""The report as a reader checks it: numbers again from its tables, missing parts, a page that needs nothing."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from lab import COLOURS, N_VOXELS, fill_lab, tiny_networks
from PIL import Image
from scipy import stats

from voxel_atlas.api.cli.main import main
from voxel_atlas.api.report.study import Options, Study
from voxel_atlas.api.report.write import sections
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.progress import Silent
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import NotFoundError

SUBJECTS = 5
"""As many as an interval over subjects needs."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("lab")
    with tiny_networks():
        fill_lab(home, SUBJECTS)
        yield home


def run(home: Path, *arguments: str) -> int:
    """Exit status of a command in this home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOXEL_ATLAS_HOME", str(home))
        patch.setenv("COLUMNS", "250")
        patch.setattr(sys, "argv", ["voxel-atlas", *arguments])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


@pytest.fixture(scope="module")
def models(lab: Path) -> list[str]:
    with Atlas.open(str(lab / "atlas.duckdb"), home=lab) as atlas:
        return sorted(atlas.models()["model_id"])


@pytest.fixture
def own_lab(lab: Path, models: list[str], tmp_path: Path) -> Path:
    """A copy of the lab's atlas, which a test may change."""
    shutil.copy(lab / "atlas.duckdb", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def report(lab: Path) -> Path:
    out = lab / "report"
    assert run(lab, "report", "-o", str(out), "--labels", str(lab / "labels.csv"), "--sample", "20") == 0
    return out


def table(report: Path, name: str) -> pl.DataFrame:
    return pl.read_csv(report / "tables" / f"{name}.csv")


def test_figure_2_can_be_computed_again_from_its_tables(report):
    cosines, rois = table(report, "fig2_cosines"), table(report, "voxel_roi")
    inside = cosines.join(rois, on=["subject_id", "voxel"])
    wide = inside.pivot("method", index=["model_id", "measure", "roi", "voxel"], values="cosine").drop_nulls()
    tests = table(report, "fig2_tests_over_voxels").filter(
        pl.col("b") == "clip-msm", ~pl.col("roi").is_in(["all", "any region"])
    )
    assert tests.height == SUBJECTS * 2 * len(COLOURS)
    for row in tests.filter(pl.col("t").is_finite()).iter_rows(named=True):
        part = wide.filter(*(pl.col(key) == row[key] for key in ("model_id", "measure", "roi")))
        t, p = stats.ttest_rel(part["brainlmm-eq2"], part["clip-msm"])
        assert (row["n"], row["t"], row["t_p"]) == pytest.approx((part.height, t, p), rel=1e-4)


def test_figure_3_can_be_computed_again_from_its_tables(report, lab):
    counted = table(report, "fig3_labels").filter(pl.col("method") == "brainlmm-eq2")
    first = table(report, "fig2_cosines").filter(pl.col("method") == "brainlmm-eq2", pl.col("measure") == "paper")
    quality = table(report, "encoding").select("model_id", "voxel", "semantic_q")
    again = (
        first.join(quality, on=["model_id", "voxel"])
        .filter(pl.col("semantic_q") <= 0.05)
        .join(table(report, "voxel_roi"), on=["subject_id", "voxel"])
        .group_by("model_id", "roi", "label")
        .agg(pl.len().alias("again"), pl.col("voxel"))
    )
    joined = counted.join(again, on=["model_id", "roi", "label"], how="full")
    assert joined["n_voxels"].to_list() == joined["again"].to_list()
    with Atlas.open(str(lab / "atlas.duckdb"), home=lab) as atlas:
        model, roi = counted["model_id"][0], counted["roi"][0]
        listed = atlas.model(model).roi_top_labels(roi)
    part = counted.filter(pl.col("model_id") == model, pl.col("roi") == roi)
    assert part.select("label", "n_voxels").rows() == listed.select("label", "n_voxels").rows()


def test_figure_5_can_be_computed_again_from_its_tables_and_from_the_data(report, lab):
    maps, correlations = table(report, "fig5_maps"), table(report, "fig5_correlations")
    long = maps.unpivot(
        ["weights", "brainlmm-eq2", "clip-msm", "clip-msm, own measure"],
        index=["model_id", "category", "truth"],
        variable_name="method",
    )
    again = long.group_by("model_id", "category", "method").agg(pl.corr("value", "truth").alias("again"))
    joined = correlations.join(again, on=["model_id", "category", "method"])
    assert joined.height == correlations.height == SUBJECTS * len(COLOURS) * 4
    assert joined["pearson"].to_numpy() == pytest.approx(joined["again"].to_numpy(), nan_ok=True, rel=1e-6)
    subjects = table(report, "fig5_subjects").filter(a="weights", b="clip-msm", category="mean")
    row = table(report, "fig5_tests_over_subjects").row(
        by_predicate=(pl.col("a") == "weights") & (pl.col("b") == "clip-msm") & (pl.col("category") == "mean"),
        named=True,
    )
    t, p = stats.ttest_rel(subjects["pearson_a"], subjects["pearson_b"])
    assert (row["n"], row["t"], row["p"]) == pytest.approx((SUBJECTS, t, p), rel=1e-6)
    _truth_is_the_mean_of_test_responses(maps, lab)


def _truth_is_the_mean_of_test_responses(maps: pl.DataFrame, lab: Path) -> None:
    responses = np.load(lab / "subject-1" / "responses.npy").astype(float)
    responses = (responses - responses.mean(axis=0)) / responses.std(axis=0)
    labels = pl.read_csv(lab / "subject-1" / "labels.csv")
    with Store.open(str(lab / "atlas.duckdb"), read_only=True) as store:
        tested = store.frame("SELECT stimulus_id FROM split WHERE part = 'test' AND model_id LIKE 'folder/1/%'")[
            "stimulus_id"
        ]
    stems = {Path(name).name for name in tested}
    shows = [image.removesuffix(".png") in stems or image in stems for image in labels["image"]]
    mask = np.array(shows) & (labels["category"] == "lake").to_numpy()
    assert mask.sum() >= 5
    truth = maps.filter(pl.col("model_id").str.starts_with("folder/1"), category="lake")
    assert truth["truth"].to_numpy() == pytest.approx(responses[mask].mean(axis=0)[truth["voxel"].to_numpy()], abs=1e-4)


def test_figure_2_is_tested_over_subjects(report):
    cosines = table(report, "fig2_cosines").filter(measure="paper")
    means = cosines.pivot("method", index=["subject_id", "voxel"], values="cosine").group_by("subject_id").mean()
    over = table(report, "fig2_tests_over_subjects").filter(measure="paper", roi="all", b="clip-msm")
    t, p = stats.ttest_rel(means["brainlmm-eq2"], means["clip-msm"])
    assert (over["n"][0], over["t"][0], over["p"][0]) == pytest.approx((SUBJECTS, t, p), rel=1e-4)
    assert over["rank_p"][0] == pytest.approx(stats.wilcoxon(means["brainlmm-eq2"], means["clip-msm"]).pvalue)


def test_planted_preferences_are_found(report):
    correlations = table(report, "fig5_correlations").filter(method="weights")
    assert correlations["pearson"].mean() > 0.7
    tests = table(report, "fig2_tests_over_voxels").filter(roi="all", b="shuffled labels", a="brainlmm-eq2")
    assert (tests["p"] < 0.01).all()
    assert (tests["difference"] > 0).all()


def test_the_shuffled_control_finds_nothing(report):
    control = table(report, "control_shuffled_responses")
    shuffled = control.filter(responses="shuffled")
    assert shuffled.height == control.height / 2 == 20 * SUBJECTS
    assert (shuffled["q"] <= 0.05).sum() <= SUBJECTS
    assert (control.filter(responses="measured")["q"] <= 0.05).sum() > 5 * SUBJECTS


def test_verified_first_labels_are_counted_by_region_beside_chance(lab, report):
    tested, summary = table(report, "verified_labels"), table(report, "verified_by_region")
    with Store.open(str(lab / "atlas.duckdb")) as store:
        expected = store.frame("SELECT model_id, method, voxel, verified FROM top_label WHERE verified IS NOT NULL")
    keys = ["model_id", "method", "voxel"]
    assert tested.select(*keys, "verified").sort(keys).equals(expected.cast({"verified": pl.Boolean}).sort(keys))
    everywhere = summary.filter(method="brainlmm-eq2", roi="all")
    assert everywhere["n"].sum() == tested.filter(method="brainlmm-eq2").height
    assert (everywhere["share"] > 0.8).all()
    assert tested["by_chance"].mean() < 0.1
    rose = summary.filter(method="brainlmm-eq2", roi="rose")
    assert (rose["verified"] <= rose["n"]).all()
    assert rose["n"].sum() < everywhere["n"].sum() / 2


def test_labels_that_captions_show_are_shown_by_captions_in_the_test_of_chance_too(tmp_path):
    with tiny_networks():
        fill_lab(tmp_path, 1, shown_by="caption", captioner="tiny")
    # Where its network is not installed no detector could tell, and captions are in the atlas.
    assert run(tmp_path, "report", "-o", str(tmp_path / "report")) == 0
    tested = table(tmp_path / "report", "verified_labels")
    assert set(tested["shown_by"]) == {"caption"}
    assert tested["verified"].mean() > 0.8
    assert tested["by_chance"].null_count() == 0
    assert tested["by_chance"].mean() < 0.1


def test_differences_of_correlations_are_corrected_for_their_number(report):
    rows = table(report, "fig5_differences").filter(pl.col("p").is_finite()).sort("p")
    assert rows.height > 10
    largest = 0.0
    for place, (p, corrected) in enumerate(rows.select("p", "p_holm").iter_rows()):
        largest = max(largest, min(1, p * (rows.height - place)))
        assert corrected == pytest.approx(largest)


def test_the_page_says_what_intervals_concepts_and_the_share_of_regions_rest_on(report):
    html = (report / "index.html").read_text()
    assert "Where the voxels of folder/1 are is not known, so they are taken for independent" in html
    assert "clip-msm from a fixed list of 5 (rose, leaf, lake, lemon, cup)" in html
    assert "labelled voxels, as the subject has no category-selective ROI" in html
    levels = table(report, "fig2_levels").filter(method="brainlmm-eq2", measure="paper")
    cosines = table(report, "fig2_cosines").filter(method="brainlmm-eq2", measure="paper")
    for row in levels.iter_rows(named=True):
        inside = cosines.filter(model_id=row["model_id"]).drop_nulls("shuffled_within")
        own, within, over_all = inside.select("cosine", "shuffled_within", "shuffled").mean().row(0)
        assert row["n"] == inside.height
        assert row["region_level_share"] == pytest.approx((within - over_all) / (own - over_all), abs=1e-5)
        assert row["low"] - 1e-6 <= row["region_level_share"] <= row["high"] + 1e-6
    # Every voxel of a region answers to one colour: labels fit the region, and nothing is left for the voxel.
    assert levels["region_level_share"].mean() > 0.9


def test_small_multiples_have_figures_2_to_5_of_every_model_and_tests_over_subjects(lab, report, tmp_path):
    out = tmp_path / "appendix"
    with tiny_networks():
        assert run(lab, "report", "--all", "-o", str(out), "--labels", str(lab / "labels.csv")) == 0
    html = (out / "index.html").read_text()
    for figure in ("fig2_default_weights", "fig2_paper_weights", "fig3_1", "fig5", "fig5_tiny"):
        assert f'<figure id="{figure}"' in html
        with Image.open(out / "figures" / f"{figure}.png") as picture:
            assert picture.width == 1440
    assert 'id="controls"' not in html
    for name in ("fig2_tests_over_subjects", "fig5_tests_over_subjects"):
        again = table(out, name)
        assert again.equals(table(report, name))
        assert set(again["n"]) == {SUBJECTS}
    assert re.search(r"<pre>voxel-atlas report [^<]*--all", html)


def test_a_category_without_truth_is_named_and_the_others_are_shown(lab, tmp_path):
    labels, out = str(lab / "labels.csv"), tmp_path / "out"
    with tiny_networks():
        given = ("-o", str(out), "--labels", labels, "--category", "lake", "--category", "zebra", "--sample", "10")
        assert run(lab, "report", "folder/1", *given) == 0
    assert "Left out: folder/1 has no ground truth of zebra: no localiser map" in (out / "index.html").read_text()
    assert set(table(out, "fig5_correlations")["category"]) == {"lake"}


def test_figure_5_is_over_the_selective_regions_where_there_are_some(own_lab, lab, models, tmp_path):
    with Store.open(str(own_lab / "atlas.duckdb")) as store:
        store.change([("UPDATE voxel_roi SET roi = 'FFA' WHERE roi = 'lake'", None)])
        inside = set(store.frame("SELECT voxel FROM voxel_roi WHERE roi = 'FFA'")["voxel"])
    given = ("-o", str(tmp_path / "out"), "--labels", str(lab / "labels.csv"), "--sample", "10")
    assert run(own_lab, "report", models[0], *given) == 0
    voxels = set(table(tmp_path / "out", "fig5_maps")["voxel"])
    assert voxels
    assert voxels <= inside
    assert "over voxels of the selective ROI" in (tmp_path / "out" / "index.html").read_text()


def test_the_page_needs_no_other_file_and_no_network(report):
    html = (report / "index.html").read_text()

    class Links(HTMLParser):
        found: list[str] = []  # noqa: RUF012 - read once

        def handle_starttag(self, tag, attributes):
            self.found += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]

    Links().feed(html)
    assert Links.found
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in Links.found)
    assert "url(" not in html
    sections = ("models", "encoding", "fig2", "fig3", "fig4", "fig5", "verified", "spread", "controls", "provenance")
    for section in sections:
        assert f'id="{section}"' in html


def test_every_figure_is_there_as_png_and_svg_and_every_table_as_parquet_and_csv(report):
    html = (report / "index.html").read_text()
    figures = re.findall(r'<figure id="([^"]+)"', html)
    assert len(figures) >= 9
    for name in figures:
        with Image.open(report / "figures" / f"{name}.png") as picture:
            assert picture.width >= 650
        assert (report / "figures" / f"{name}.svg").read_text().lstrip().startswith("<?xml")
    tables = sorted((report / "tables").glob("*.parquet"))
    assert {"spread", "meanings", "spread_by_region", "meanings_by_region"} <= {path.stem for path in tables}
    assert {path.stem for path in tables} == {path.stem for path in (report / "tables").glob("*.csv")}
    for path in tables:
        frame = pl.read_parquet(path)
        assert frame.columns == pl.read_csv(path.with_suffix(".csv")).columns
        assert f"<code>{path.stem}</code>" in html


def test_provenance_names_every_setting_and_the_command(report, models):
    html = (report / "index.html").read_text()
    settings = table(report, "settings")
    assert set(settings["model_id"]) == set(models)
    assert {"seed", "temperature", "data_sha256", "config_sha256", "backbone_sha256"} <= set(settings["setting"])
    command = re.search(r"<pre>(voxel-atlas report .*?)</pre>", html)
    assert command
    assert all(model in command[1] for model in models)


def test_what_is_missing_is_said_and_not_fatal(report):
    html = (report / "index.html").read_text()
    assert "Left out: folder/1: where its voxels are is not in the atlas" in html
    assert "Left out: folder/1 is not simulated, so nothing was planted" in html


def test_every_caption_names_subjects_that_are_simulated(own_lab, models):
    with Store.open(str(own_lab / "atlas.duckdb")) as store:
        store.change([("UPDATE subject SET simulated = true WHERE subject_id = 'folder/1'", None)])
        atlas = Atlas(store, home=own_lab)
        study = Study(atlas, Settings(home=own_lab), models[:2], Options(sample=10), Silent())
        figures = [figure for section in islice(sections(study, []), 2) for figure in section.page_figures]
    assert figures
    assert all(figure.caption.endswith(". Simulated: folder/1.") for figure in figures)


def test_data_that_were_moved_are_answered_with_what_tells_the_atlas_so(own_lab, models):
    with Store.open(str(own_lab / "atlas.duckdb")) as store:
        store.change([("UPDATE model SET config = json_merge_patch(config, ?)", ['{"root": "/moved"}'])])
        atlas = Atlas(store, home=own_lab)
        study = Study(atlas, Settings(home=own_lab), models[:1], Options(sample=10), Silent())
        with pytest.raises(NotFoundError, match=rf"/moved: the data of {models[0]} .* --root where they are now"):
            study.data(atlas.model(models[0]))


def test_one_subject_and_method_without_labels_of_images_leave_out_what_needs_more(tmp_path):
    with tiny_networks():
        (model,) = fill_lab(tmp_path, 1, methods=("brainlmm-eq2",), concepts=())
        assert run(tmp_path, "report", model, "-o", str(tmp_path / "one"), "--sample", "12") == 0
    html = (tmp_path / "one" / "index.html").read_text()
    assert "Left out: A test over subjects needs 5 of them; this report has 1." in html
    assert "Left out: Only brainlmm-eq2 has labelled these voxels, so methods are not compared" in html
    assert "Left out: Nothing says what the images show; give --labels" in html
    assert not (tmp_path / "one" / "figures" / "fig5.png").exists()


def test_without_labels_regions_or_data_there_is_a_report_still(tmp_path):
    home = tmp_path / "bare"
    home.mkdir()
    with tiny_networks():
        fill_lab(home, subjects=1, methods=("brainlmm-eq2",), concepts=(), dissect="none")
        (home / "subject-1" / "responses.npy").unlink()
        with Store.open(str(home / "atlas.duckdb")) as store:
            store.change([("DELETE FROM voxel_roi", None), ("UPDATE significance SET q = 1", None)])
        assert run(home, "report", "-o", str(tmp_path / "out")) == 0
    html = (tmp_path / "out" / "index.html").read_text()
    for sentence in ("no regions of interest", "has no labelled voxel", "has no significant voxel", "responses"):
        assert re.search(f"Left out: [^<]*{sentence}", html), sentence


def test_two_methods_compared_differ_by_what_the_report_says(lab, report, tmp_path, capsys):
    out = tmp_path / "methods"
    assert run(lab, "compare", "brainlmm-eq2", "clip-msm", "--all-voxels", "--json", "-o", str(out)) == 0
    printed = capsys.readouterr()
    rows = {(row["quantity"], row["subject"]): row for row in json.loads(printed.out)}
    cosines = table(report, "fig2_cosines").filter(measure="default")
    pairs = cosines.pivot("method", index=["subject_id", "voxel"], values="cosine")
    for (subject,), part in pairs.group_by("subject_id"):
        row = rows["cosine of label and voxel", subject]
        assert row["n"] == part.height
        assert row["difference"] == pytest.approx((part["brainlmm-eq2"] - part["clip-msm"]).mean(), abs=1e-5)
        assert row["low"] <= row["difference"] <= row["high"]
    means = pairs.group_by("subject_id").agg(pl.col("brainlmm-eq2", "clip-msm").mean())
    apart = (means["brainlmm-eq2"] - means["clip-msm"]).to_numpy()
    over = rows["cosine of label and voxel", "over subjects"]
    assert (over["n"], over["difference"]) == pytest.approx((SUBJECTS, apart.mean()), abs=1e-5)
    assert apart.min() <= over["low"] <= apart.mean() <= over["high"] <= apart.max()
    assert not any(quantity == "R²" for quantity, _ in rows)
    assert 'method: "brainlmm-eq2" and "clip-msm"' in printed.err
    assert "An interval over subjects" not in (out / "index.html").read_text()
    assert (out / "figures" / "comparison_1.svg").exists()


def test_two_models_of_a_subject_are_compared_on_their_scores_too(lab, models, tmp_path, capsys):
    with tiny_networks():
        other = fill_lab(lab, subjects=1, selection="kfold")[0]
    out = tmp_path / "two"
    assert run(lab, "compare", models[0], f"{other}:clip-msm", "--csv", "-o", str(out)) == 0
    printed = capsys.readouterr()
    assert f"R²,folder/1,{N_VOXELS}," in printed.out
    assert 'selection: "holdout" and "kfold"' in printed.err
    html = (out / "index.html").read_text()
    assert "An interval over subjects needs 5 of them; the two have 1 in common." in html


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("folder/1", "folder/2", "no|same one"),
        ("clip-msm", "clip-msm", "the same model and method"),
        ("smell", "clip-msm", "Nothing is named 'smell'"),
        ("tiny:smell", "clip-msm", "brainlmm-eq2, clip-msm"),
    ],
)
def test_a_comparison_that_makes_no_sense_is_one_sentence(lab, a, b, said, capsys):
    assert run(lab, "compare", a, b) == 2
    assert re.search(said, capsys.readouterr().err)


def test_no_figure_is_cut_off(report):
    for path in sorted((report / "figures").glob("*.png")):
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("L"))
        for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
            assert edge.min() > 250, path.name


def test_labels_that_are_named_and_not_there_stop_the_report(lab, tmp_path, capsys):
    for name in ("none.csv", "none.json"):
        assert run(lab, "report", "-o", str(tmp_path / "out"), "--labels", str(tmp_path / name)) == 2
        assert f"{name} is not there; --labels takes a CSV or COCO annotations." in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("image,category\nnobody.png,face\n", "labels.csv names no image of this subject"),
        ("picture,category\nnobody.png,face\n", "the table needs the columns image and category"),
    ],
)
def test_labels_of_no_image_are_refused_before_any_figure(lab, tmp_path, capsys, monkeypatch, content, said):
    def drawn(*_: object) -> None:
        raise AssertionError("work was done")

    monkeypatch.setattr("voxel_atlas.api.report.page.write", drawn)
    (tmp_path / "labels.csv").write_text(content)
    given = ("-o", str(tmp_path / "out"), "--labels", str(tmp_path / "labels.csv"))
    assert run(lab, "report", *given) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_figure_5_says_which_images_made_the_region_food(own_lab, lab, models, tmp_path):
    said = "The region FOOD of folder/1 was made from responses to images that may be among the test images"
    pages = []
    for source in ("user", "contrast"):
        with Store.open(str(own_lab / "atlas.duckdb")) as store:
            made = "UPDATE roi SET roi = 'FOOD', source = ? WHERE roi IN ('lemon', 'FOOD')"
            store.change([(made, [source]), ("UPDATE voxel_roi SET roi = 'FOOD' WHERE roi = 'lemon'", None)])
        given = ("-o", str(tmp_path / "out"), "--labels", str(lab / "labels.csv"), "--sample", "10")
        assert run(own_lab, "report", models[0], *given) == 0
        pages.append((tmp_path / "out" / "index.html").read_text())
    assert [said in page for page in pages] == [False, True]
