"""Voxels described by other images than those that the subject saw."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import polars as pl
import pytest
from labelled import rows
from PIL import Image
from tiny import TinyBackbone, TinyCaptioner, TinyDataset, TinyGenerator, picture

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.datasets import open_dataset
from voxel_atlas.ingest.datasets.images.hdf5_images import Hdf5Images
from voxel_atlas.ingest.datasets.nsd.nsd import brick_images
from voxel_atlas.ingest.datasets.probe import n_probe_images, with_probe
from voxel_atlas.ingest.run import Pipeline, open_parts
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import BadInputError, NotFoundError

N_SEEN, N_NEW = 160, 40
COLOURS = TinyDataset.COLOURS


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., IngestConfig]:
    """Subjects who saw 160 pictures, and a folder of 20 of them by other names and of 40 others."""
    rng = np.random.default_rng(0)
    root, probe = tmp_path / "study", tmp_path / "probe" / "deeper"
    root.mkdir()
    probe.mkdir(parents=True)
    colours = [COLOURS[n % 4] for n in range(N_SEEN)]
    for n, colour in enumerate(colours):
        Image.fromarray(picture(colour, n)).save(root / f"{n:03}.png")
    for n in range(20):
        (probe / f"copy {n}.png").write_bytes((root / f"{n:03}.png").read_bytes())
    for n in range(N_NEW):
        Image.fromarray(picture(COLOURS[n % 4], 1000 + n)).save(probe / f"new {n}.png")
    (probe / "new again.png").write_bytes((probe / "new 0.png").read_bytes())
    (probe / "notes.txt").write_text("no picture")
    (root / "stimuli.csv").write_text("image\n" + "".join(f"{n:03}.png\n" for n in range(N_SEEN)))
    signal = np.array([[colour == COLOURS[v % 4] for v in range(8)] for colour in colours], float)
    np.save(root / "responses.npy", (signal + rng.normal(0, 0.3, signal.shape)).astype(np.float32))

    def config(**settings: object) -> IngestConfig:
        given = {"dataset": "folder", "subject": "1", "root": str(root), "backbone": "tiny", "label_backbone": "tiny"}
        given |= {"n_bootstrap": 200, "batch_voxels": 3, "images_per_label": 4, "best_ranked": 2, "test_share": 0.25}
        return IngestConfig(**{**given, "probe": str(tmp_path / "probe"), **settings})

    return config


def ingest(home: Path, config: IngestConfig, backbone: TinyBackbone | None = None) -> str:
    tiny = {"captioner": TinyCaptioner(), "generator": TinyGenerator(), "backbone": backbone or TinyBackbone()}
    with Store.open(str(home / "atlas.duckdb")) as store:
        return Pipeline(store=store, home=home).ingest(config, open_parts(config, home=home, **tiny))


def test_voxels_are_described_by_a_folder_and_what_was_measured_is_told(
    study: Callable[..., IngestConfig], tmp_path: Path
) -> None:
    config = study(crops_per_image=0)
    model_id = ingest(tmp_path, config)
    dataset, backbone = open_dataset(config, tmp_path), TinyBackbone()
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        stimuli = store.frame("FROM stimulus")
        mean = np.array(store.frame("SELECT feature_mean FROM model")["feature_mean"][0])
    probe = stimuli.filter(
        (pl.col("dataset") == "probe") | (pl.col("stimulus_id").is_in(dataset.stimuli["stimulus_id"][:20].to_list()))
    )
    assert probe.height == N_NEW + 20  # each content once
    pixels = [np.asarray(Image.open(uri).convert("RGB")) for uri in probe["uri"]]
    features = backbone.features(pixels)
    fitted, top = rows(tmp_path, "encoding", model_id), rows(tmp_path, "top_image", model_id)
    seen_row = {name: row for row, name in enumerate(dataset.stimuli["stimulus_id"])}
    told = []
    for voxel, weights, bias in fitted.select("voxel", "weights", "bias").iter_rows():
        mine = top.filter(pl.col("voxel") == voxel).sort("rank")
        response = [float(bias + (feature - mean) @ np.array(weights)) for feature in features]
        strongest = sorted(range(len(response)), key=lambda i: -response[i])[:10]
        assert set(mine["stimulus_id"]) == {probe["stimulus_id"][i] for i in strongest}
        measured = dataset.responses_of(np.array([voxel]))[:, 0]
        for stimulus_id, value in mine.select("stimulus_id", "measured").iter_rows():
            expected = measured[seen_row[stimulus_id]] if stimulus_id in seen_row else None
            assert value == expected
            told.append(value is None)
    assert 0 < sum(told) < len(told)
    with Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path) as atlas:
        images = atlas.model(model_id).top_images([0])
    assert images["seen"].to_list() == images["measured"].is_not_null().to_list()


def test_each_image_is_encoded_once_for_all_subjects_and_a_second_run_adds_nothing(
    study: Callable[..., IngestConfig], tmp_path: Path
) -> None:
    class Counting(TinyBackbone):
        n_images = 0

        def features(self, images):
            Counting.n_images += len(images)
            return super().features(images)

    settings = {"methods": ("clip-msm",), "concepts": COLOURS}
    first = ingest(tmp_path, study(**settings), Counting())
    counted = Counting.n_images
    assert counted >= N_SEEN + N_NEW
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        before = store.frame("SELECT * FROM stimulus ORDER BY ALL")
    assert ingest(tmp_path, study(**settings), Counting()) == first
    second = ingest(tmp_path, study(subject="2", **settings), Counting())
    texts = Counting.n_images - counted
    assert texts < N_NEW  # words are encoded as pictures here
    assert second != first
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        after = store.frame("SELECT * FROM stimulus WHERE dataset = 'probe' ORDER BY ALL")
    assert after.equals(before.filter(pl.col("dataset") == "probe"))


def test_a_bad_probe_is_one_sentence_before_any_work(
    study: Callable[..., IngestConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("captioner or generator was opened")

    with pytest.raises(BadInputError, match="folder knows of no images that the subject did not see"):
        ingest(tmp_path, study(probe="all"))
    with pytest.raises(NotFoundError, match="no folder with pictures; --probe takes all, seen or such a folder"):
        ingest(tmp_path, study(probe=str(tmp_path / "nowhere")))
    with monkeypatch.context() as patched:
        patched.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
        for part in ("load_captioner", "load_generator"):  # they may fetch pictures and weights
            patched.setattr(f"voxel_atlas.ingest.run.{part}", opened)
        with pytest.raises(BadInputError, match=r"take 0.00 GiB of disk and 0.00 GiB are free; make room, or pass"):
            open_parts(study(), home=tmp_path, backbone=TinyBackbone())
    (tmp_path / "probe" / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(BadInputError, match=r"bad.jpg: not a readable picture \(1 of the 62 in"):
        ingest(tmp_path, study())
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        assert store.frame("FROM model").is_empty()


def test_a_model_says_by_name_what_its_voxels_are_described_by(
    study: Callable[..., IngestConfig], tmp_path: Path
) -> None:
    model_id = ingest(tmp_path, study(probe=""))
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        config = IngestConfig.model_validate_json(store.frame("SELECT config FROM model")["config"][0])
    assert config.probe == "seen"
    assert rows(tmp_path, "top_image", model_id)["measured"].null_count() == 0


def test_all_images_of_nsd_are_those_of_its_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 6, 6, 3), dtype=np.uint8)
    with h5py.File(tmp_path / "nsd_stimuli.hdf5", "w") as file:
        file["imgBrick"] = pixels

    class Shown(TinyDataset):
        n_all_images = 5

        def all_images(self) -> Hdf5Images:
            return brick_images(tmp_path / "nsd_stimuli.hdf5", np.arange(5), tmp_path / "cache")

    config = with_probe(IngestConfig(dataset="nsd", subject="1"), Shown())
    assert config.probe == "all"
    assert n_probe_images(config, Shown()) == 5
    images = Shown().all_images()
    told: list[int] = []
    images.sha256s(told.append)
    assert told == [0, 1, 1, 1, 1, 1]
    assert images.stimuli["stimulus_id"].to_list() == [f"nsd/{n}" for n in range(5)]
    assert images.stimuli["sha256"].n_unique() == 5
    assert [np.array_equal(images.image(n), pixels[n]) for n in range(5)] == [True] * 5
    told.clear()
    Shown().all_images().sha256s(told.append)
    assert told == [5]  # kept in a file
