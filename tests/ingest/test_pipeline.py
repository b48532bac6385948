"""The whole ingest on a tiny subject: real stages, a real DuckDB, a network of a few lines."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from tiny import CONTENT_TABLES, TinyDataset, digest, tiny_config, tiny_parts

from voxel_atlas.atlas.release.export import export
from voxel_atlas.atlas.release.parquet_files import parquet_name
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.contrasts.region_vectors import region_vectors
from voxel_atlas.atlas.search.index import VectorIndex
from voxel_atlas.atlas.search.tables.model_tables import ModelTables
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.progress import Silent
from voxel_atlas.ingest.run import Pipeline
from voxel_atlas.ingest.stages.labels import label
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import BadInputError, LedgerConflictError, NotFoundError


def run(home: Path, *, dataset: TinyDataset | None = None, learning_curve: bool = False, **changes) -> str:
    config = tiny_config(**changes)
    parts = tiny_parts(config, home, dataset=dataset or TinyDataset())
    with Store.open(str(home / "atlas.duckdb")) as store:
        return Pipeline(store=store, home=home).ingest(config, parts, learning_curve=learning_curve)


def test_ingest_fills_every_table(tmp_path, labelled):
    model_id = labelled(tmp_path)
    assert model_id.startswith("tiny/1/tiny/")
    counts = {table: int(count.split()[0]) for table, count in digest(tmp_path).items()}
    assert counts["encoding"] == 10
    assert counts["dropped"] == 2
    assert all(counts[table] for table in CONTENT_TABLES)


def test_top_label_names_what_the_voxel_answers_to(tmp_path, labelled):
    labelled(tmp_path)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        labels = store.frame("SELECT voxel, label FROM top_label ORDER BY voxel")
    colours = TinyDataset.COLOURS
    assert labels.height >= 6
    right = sum(label == colours[voxel % len(colours)] for voxel, label in labels.iter_rows())
    assert right / labels.height >= 0.8


def test_second_ingest_changes_nothing(tmp_path, labelled):
    labelled(tmp_path)
    before = digest(tmp_path)
    run(tmp_path)
    assert digest(tmp_path) == before


def test_an_ingest_keeps_the_index_that_the_first_question_takes(tmp_path, labelled, monkeypatch):
    labelled(tmp_path)
    model_id = run(tmp_path)
    monkeypatch.setattr(VectorIndex, "build", lambda *_: pytest.fail("voxels were indexed by a question"))
    with Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path) as atlas:
        voxels, vectors = atlas.model(model_id).unit_vectors()
    with Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path) as atlas:
        model = atlas.model(model_id)
        monkeypatch.setattr(ModelTables, "indexed", lambda *_: pytest.fail("vectors were read for their means"))
        means = region_vectors(model.tables, model.readout(), significant=True, semantic=True)
    assert means.counts.sum() > 0
    assert vectors.shape == (len(voxels), 4)
    assert voxels.tolist() == sorted(voxels.tolist())


def test_a_release_has_every_batch_of_its_model_subject_and_run(tmp_path):
    model_id = run(tmp_path, learning_curve=True)
    with Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path) as atlas:
        release = export(atlas, tmp_path / "release", tables_only=True)
        ledger = atlas.sql("FROM ledger").select("stage", "batch_key").sort("stage", "batch_key")
    key, of_run = pl.col("batch_key"), pl.col("stage") == "run"
    own = ledger.filter(key.is_in([model_id, "tiny/1"]) | key.str.starts_with(f"{model_id}/") | of_run)
    exported = pl.read_parquet(release / parquet_name("ledger"), columns=["stage", "batch_key"])
    assert exported.rows() == own.rows()
    assert own["stage"].n_unique() == 11


def test_other_settings_are_another_model(tmp_path, labelled):
    first, second = labelled(tmp_path), run(tmp_path, n_captions=4)
    assert first != second
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        assert store.frame("SELECT count(*) AS n FROM encoding")["n"][0] == 20


def test_a_model_says_which_trials_its_data_set_scored_together(tmp_path):
    by_run, by_session = TinyDataset(), TinyDataset()
    by_run.zscore, by_session.zscore = "run", "session"
    models = [run(tmp_path, dataset=dataset) for dataset in (by_run, by_session)]
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        told = dict(store.frame("SELECT model_id, config->>'zscore' FROM model").iter_rows())
    assert told == dict(zip(models, ("run", "session"), strict=True))


def test_a_region_that_was_made_is_kept_with_its_test_and_its_images(tmp_path):
    dataset = TinyDataset()
    dataset.region_tests = pl.DataFrame({"roi": "FOOD", "voxel": [2, 5], "t": [4.0, -1.0], "q": [0.01, 0.9]})
    dataset.region_images = pl.DataFrame({"roi": "FOOD", "stimulus_id": [f"tiny/{i:02}" for i in range(20)]})
    model_id = run(tmp_path, dataset=dataset)
    with Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path) as atlas:
        values = {
            name: dict(atlas.model(model_id).metric_map(name).drop_nulls().iter_rows()) for name in ("food_t", "food_q")
        }
        tested = "SELECT stimulus_id FROM split JOIN region_image USING (stimulus_id) WHERE part = 'test'"
        assert atlas.sql(tested).is_empty()
        assert atlas.sql("FROM region_image").height == 20
        release = export(atlas, tmp_path / "release", tables_only=True)
    assert values == {"food_t": {2: 4.0, 5: -1.0}, "food_q": {2: pytest.approx(0.01), 5: pytest.approx(0.9)}}
    assert pl.read_parquet(release / parquet_name("region_test")).height == 2


def test_unknown_roi_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(NotFoundError, match="has no ROI 'FFA'; it has even, odd"):
        run(tmp_path, rois=("FFA",))


def test_a_method_that_is_not_computed_is_refused_before_any_work(tmp_path):
    with pytest.raises(BadInputError, match="clip-msm"):
        run(tmp_path, methods=("brainlmm-eq2", "clip-msm"))
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        assert not store.frame("SELECT * FROM ledger").height


def test_only_voxels_of_the_rois_are_fitted(tmp_path):
    run(tmp_path, rois=("even",))
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        voxels = store.frame("SELECT voxel FROM encoding UNION SELECT voxel FROM dropped")["voxel"]
    assert set(voxels) == set(range(0, 12, 2))


def test_subject_without_voxels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(TinyDataset, "voxels", property(lambda self: self._voxels().clear()), raising=False)
    with pytest.raises(BadInputError, match="has no voxel"):
        run(tmp_path)


def killed_at_steps(folder: Path, first: int, stride: int) -> dict[str, int]:
    script = Path(__file__).with_name("tiny_kills.py")
    command = [sys.executable, str(script), str(folder), str(first), str(stride)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def test_an_ingest_killed_at_any_step_goes_on_to_the_tables_of_an_undisturbed_one(tmp_path):
    found = killed_at_steps(tmp_path, 3, 40)
    assert found["kills"] >= 4
    assert (found["lost"], found["doubled"], found["unequal"]) == (0, 0, 0)


@pytest.mark.slow
def test_an_ingest_killed_at_every_step_goes_on_to_the_tables_of_an_undisturbed_one(tmp_path):
    found = killed_at_steps(tmp_path, 1, 1)
    assert found["kills"] >= 100
    assert (found["lost"], found["doubled"], found["unequal"]) == (0, 0, 0)
    assert {"within Local.close", "before PosixPath.replace", "after Local.commit"} <= set(found["steps"])


def test_run_table_tells_how_an_ingest_ended(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(label, "describe", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        states = store.frame("SELECT state FROM run ORDER BY recorded_at")["state"]
    assert states.to_list() == ["started", "interrupted"]


def test_stimuli_of_a_shared_data_set_are_stored_once(tmp_path, labelled):
    labelled(tmp_path)
    run(tmp_path, n_captions=4)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        stimuli = store.frame("SELECT stimulus_id FROM stimulus")["stimulus_id"]
    assert stimuli.n_unique() == stimuli.len() == TinyDataset().stimuli.height
    assert isinstance(stimuli, pl.Series)


SHARED_STAGES = ("subject", "stimuli", "caption", "generate", "concepts", "embed")


def test_ingests_of_one_subject_at_the_same_time_bring_what_they_share_once(tmp_path, monkeypatch):
    changes = [{"methods": ("brainlmm-eq2", "clip-msm"), "concepts": ("rose", "fir"), "n_captions": n} for n in (4, 6)]
    for each in changes:
        run(tmp_path / "one after the other", **each)
    # Neither writes what they share before both have looked whether it is there.
    both_looked = {stage: threading.Barrier(2, timeout=300) for stage in SHARED_STAGES}
    append, waited = Store.append, set()

    def append_together(store, batch, *, run_id, stage, key):
        if stage in both_looked and (run_id, stage) not in waited:
            waited.add((run_id, stage))
            both_looked[stage].wait()
        return append(store, batch, run_id=run_id, stage=stage, key=key)

    monkeypatch.setattr(Store, "append", append_together)
    home, configs = tmp_path / "at once", [tiny_config(**each) for each in changes]
    with Store.open(str(home / "atlas.duckdb")) as store, ThreadPoolExecutor(2) as threads:
        ingests = [
            threads.submit(Pipeline(store=store, home=home / str(n)).ingest, config, tiny_parts(config, home))
            for n, config in enumerate(configs)
        ]
        assert len({ingest.result() for ingest in ingests}) == 2
    assert len(waited) == 2 * len(SHARED_STAGES)
    assert digest(home) == digest(tmp_path / "one after the other")


def test_a_learning_curve_can_be_added_to_a_finished_model_and_ends_in_its_scores(tmp_path, labelled):
    model_id = labelled(tmp_path)
    before = digest(tmp_path)
    assert run(tmp_path, learning_curve=True) == model_id
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        curve = store.frame("FROM learning_curve ORDER BY voxel, n_blocks")
        fitted = store.frame("SELECT voxel, r2, r FROM encoding ORDER BY voxel")
    assert curve["n_blocks"].unique().sort().to_list() == [5, 10, 15, 20, 25, 30, 34]
    assert curve["n_train"].unique().sort().to_list() == [20, 40, 60, 80, 100, 120, 135]
    assert curve.filter(pl.col("n_blocks") == 34).select("voxel", "r2", "r").equals(fitted)
    assert digest(tmp_path) == before
    run(tmp_path, learning_curve=True)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        assert store.frame("FROM learning_curve ORDER BY voxel, n_blocks").equals(curve)


def test_other_regions_of_a_subject_are_refused_with_the_setting_that_makes_them(tmp_path, labelled):
    labelled(tmp_path)
    before, moved = digest(tmp_path), TinyDataset()
    moved.voxel_rois = moved.voxel_rois.head(5)
    with pytest.raises(LedgerConflictError, match=r"tiny/1 .*localizer_t was None and is 2.3\); .* --atlas"):
        run(tmp_path, dataset=moved, localizer_t=2.3)
    assert digest(tmp_path) == before


def test_another_image_of_the_same_name_is_refused(tmp_path, labelled):
    labelled(tmp_path)
    before, other = digest(tmp_path), TinyDataset()
    other.stimuli = other.stimuli.with_columns(pl.col("sha256").str.to_uppercase())
    with pytest.raises(LedgerConflictError, match=r"another image is in the atlas as tiny/00 .*80"):
        run(tmp_path, dataset=other)
    assert digest(tmp_path) == before


def test_too_little_memory_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(BadInputError, match="GiB are free; pass a smaller --batch-voxels"):
        run(tmp_path)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        assert not store.frame("SELECT * FROM ledger").height


CONTROL = ("beyond_low_level", "semantic")


def test_a_model_that_was_fitted_without_the_low_level_control_gets_it_from_the_same_ingest(tmp_path, labelled):
    model_id = labelled(tmp_path)
    undisturbed = digest(tmp_path)
    with Store.open(str(tmp_path / "atlas.duckdb"), shared=False) as store:
        # As an earlier version left it: one batch was fitted by this one.
        earlier = [(f"DELETE FROM {table} WHERE voxel >= 4 OR $1 = 'semantic'", [table]) for table in CONTROL]
        store.change([*earlier, ("DELETE FROM ledger WHERE stage = ?", ["semantic"])])
    with Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path) as atlas:
        assert atlas.model(model_id).similar("rose").hidden is None
    assert digest(tmp_path) != undisturbed
    assert run(tmp_path) == model_id
    assert digest(tmp_path) == undisturbed


def test_a_dissection_with_other_settings_takes_the_low_level_control_over(tmp_path, labelled):
    source = labelled(tmp_path)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        (row,) = store.arrow("SELECT config FROM model").to_pylist()
        config = IngestConfig.model_validate_json(row["config"]).model_copy(update={"n_captions": 4})
        other = Pipeline(store=store, home=tmp_path).dissect(source, config, tiny_parts(config, tmp_path))
        for table in CONTROL:
            old, new = (
                store.frame(f"SELECT * EXCLUDE (model_id) FROM {table} WHERE model_id = ? ORDER BY voxel", [name])
                for name in (source, other)
            )
            assert len(new) == 10
            assert new.equals(old)


def test_what_voxels_answer_to_beyond_contrast_is_not_told_from_few_images(tmp_path):
    notes = []
    progress = SimpleNamespace(stage=Silent().stage, note=notes.append)
    config = tiny_config(test_share=0.5)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        Pipeline(store=store, home=tmp_path, progress=progress).ingest(config, tiny_parts(config, tmp_path))
        assert not any(store.frame(f"FROM {table}").height for table in CONTROL)
        assert set(store.frame("SELECT semantic_q FROM voxel_quality")["semantic_q"]) == {None}
    assert [note for note in notes if "90 training images are too few" in note]
