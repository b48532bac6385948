"""Splits that are not drawn: by a file, and by the names of a data set."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.io
from labelled import ingest, rows
from PIL import Image
from tiny import TinyDataset, tiny_config

from voxel_atlas.ingest.datasets import open_dataset
from voxel_atlas.ingest.datasets.nsd.design import SESSIONS, shared_images
from voxel_atlas.ingest.stages.model_split import split_of
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import BadInputError, NotFoundError


def written(folder: Path, train: range, test: range, name: str = "split.csv") -> Path:
    path = folder / name
    lines = [f"tiny/{n:02},train" for n in train] + [f"tiny/{n:02},test" for n in test]
    path.write_text("\n".join(["image,part", *lines]) + "\n")
    return path


def test_a_model_is_fitted_and_tested_on_what_a_file_says(tmp_path: Path) -> None:
    path = written(tmp_path, range(100), range(120, 180))
    model_id = ingest(tmp_path, split=str(path), dissect="none")
    stored = rows(tmp_path, "split", model_id)
    assert dict(stored.iter_rows()) == {
        **{f"tiny/{n:02}": "train" for n in range(100)},
        **{f"tiny/{n:02}": "test" for n in range(120, 180)},
    }
    # What a part says is part of the model: other images are another model, by the same name of the file.
    written(tmp_path, range(80), range(100, 180))
    assert ingest(tmp_path, split=str(path), dissect="none") != model_id


def test_a_split_of_laion_fmri_is_read(tmp_path: Path) -> None:
    names = TinyDataset().stimuli["stimulus_id"].to_list()
    variant = {"variant_id": 0, "train_ids": names[::2], "test_ids": names[1::2]}
    path = tmp_path / "tau.json"
    path.write_text(json.dumps({"name": "tau", "pool": "shared", "n_train": 90, "n_test": 90, "variants": [variant]}))
    train, test = split_of(tiny_config(split=str(path)), TinyDataset())
    assert (train.tolist(), test.tolist()) == (list(range(0, 180, 2)), list(range(1, 180, 2)))


def test_a_split_is_read_as_a_spreadsheet_writes_it(tmp_path: Path) -> None:
    path = written(tmp_path, range(100), range(120, 180))
    expected = [part.tolist() for part in split_of(tiny_config(split=str(path)), TinyDataset())]
    path.write_bytes(path.read_text().replace(",", ";").replace("\n", "\r\n").encode("utf-16"))
    assert [part.tolist() for part in split_of(tiny_config(split=str(path)), TinyDataset())] == expected


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "image,part\ntiny/00,train\nnobody.png,test\n", "nobody.png is no image of tiny/1"),
        ("a.csv", "image,part\ntiny/00,validation\n", "line 2: part is 'validation', and parts are train or test"),
        ("a.csv", "picture,part\ntiny/00,train\n", "a.csv: the table needs the columns image and part"),
        ("a.csv", "image,part\n,train\n", "needs the name of an image"),
        ("a.csv", "image,part\ntiny/00,train\ntiny/00,test\n", "tiny/00 is in train and in test"),
        ("a.csv", "image,part\ntiny/00,\n", "line 2: part is 'empty'"),
        ("a.csv", "image,part\na,b,c\n", "line 2: 3 cells, but the header names 2"),
        ("a.json", "{}", "not a split of LAION-fMRI"),
        ("a.json", '{"variants": []}', "not a split of LAION-fMRI"),
    ],
)
def test_a_bad_file_is_one_sentence(name: str, content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(BadInputError, match=said):
        split_of(tiny_config(split=str(path)), TinyDataset())


def test_a_split_that_leaves_few_images_is_not_there_or_has_changed_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, range(100), range(161, 180))
    with pytest.raises(BadInputError, match=r"leaves 100 images to train and 19 to test; each part needs 20\."):
        split_of(tiny_config(split=str(path)), TinyDataset())
    with pytest.raises(NotFoundError, match="shared515: there is no such split"):
        split_of(tiny_config(split="shared515"), TinyDataset())
    path = written(tmp_path, range(100), range(120, 180))
    with pytest.raises(BadInputError, match="has changed since the model was fitted"):
        split_of(tiny_config(split=str(path), split_sha256="0" * 64), TinyDataset())


def test_byte_equal_images_are_on_one_side_whatever_a_file_calls_them(tmp_path: Path) -> None:
    """Half of the pictures are there twice, under other names."""
    root = tmp_path / "study"
    root.mkdir()
    rng = np.random.default_rng(0)
    names = [f"{n:03}.png" for n in range(60)] + [f"copy of {n:03}.png" for n in range(30)]
    for n in range(60):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(root / f"{n:03}.png")
    for n in range(30):
        (root / f"copy of {n:03}.png").write_bytes((root / f"{n:03}.png").read_bytes())
    pl.DataFrame({"image": names}).write_csv(root / "stimuli.csv")
    np.save(root / "responses.npy", rng.standard_normal((90, 3)).astype(np.float32))

    def config(**settings: object) -> IngestConfig:
        return IngestConfig(**{"dataset": "folder", "subject": "me", "root": str(root), **settings})

    dataset = open_dataset(config(), tmp_path)
    train, test = split_of(config(test_share=0.5), dataset)
    assert not set(dataset.stimuli["sha256"].gather(train)) & set(dataset.stimuli["sha256"].gather(test))
    assert len(train) + len(test) == 60
    part = ["train" if n % 2 else "test" for n in [*range(60), *range(30)]]
    pl.DataFrame({"image": names, "part": part}).write_csv(root / "split.csv")
    train, test = split_of(config(split=str(root / "split.csv")), dataset)
    assert (len(train), len(test)) == (30, 30)
    part[61] = "test"
    pl.DataFrame({"image": names, "part": part}).write_csv(root / "split.csv")
    with pytest.raises(BadInputError, match=r"copy of 001.png is in train and in test, by this or by another name"):
        split_of(config(split=str(root / "split.csv")), dataset)


def test_images_that_all_of_nsd_share_equal_a_count_by_hand(tmp_path: Path) -> None:
    """200 images a subject, of which all share 90: 40 early and three times, 30 early and once, 20 at the very end."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "nsddata/experiments/nsd"
    folder.mkdir(parents=True)
    subjectim = np.stack([1000 * s + np.arange(200) + 101 for s in range(8)]).astype(np.int32)
    subjectim[:, :90] = np.arange(90) + 1
    ordering = rng.integers(91, 201, 30_000)
    first, last = rng.permutation(22_000)[:150], 30_000 - 1 - np.arange(20)
    ordering[first] = [*np.repeat(np.arange(1, 41), 3), *np.arange(41, 71)]
    ordering[last] = np.arange(71, 91)
    design = {"masterordering": ordering[None].astype(np.uint16), "subjectim": subjectim}
    scipy.io.savemat(folder / "nsd_expdesign.mat", design)
    found = {"shared515": set(), "shared907": set(), "shared1000": set()}
    for image in range(1, 91):
        seen = []
        for subject in range(8):
            trials = [subjectim[subject, place - 1] == image for place in ordering[: 750 * SESSIONS[subject]]]
            seen.append(sum(trials))
        if min(seen) >= 3:
            found["shared515"].add(image - 1)
        if min(seen) >= 1:
            found["shared907"].add(image - 1)
        found["shared1000"].add(image - 1)
    assert [len(images) for images in found.values()] == [40, 70, 90]
    for name, images in found.items():
        assert set(shared_images(tmp_path, name).tolist()) == images
