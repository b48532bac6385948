"""Which image each trial of NSD shows."""

from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
import scipy.io
import scipy.stats
from nsd_tree import SUBJECT, Tree, linear
from pointers import POINTERS

from voxel_atlas.ingest.datasets import open_dataset
from voxel_atlas.ingest.datasets.nsd.design import (
    RUN_TRIALS,
    SESSIONS,
    coco_images,
    images_of_design,
    images_of_table,
    run_slices,
    trial_images,
)
from voxel_atlas.ingest.datasets.nsd.nsd import Nsd
from voxel_atlas.schemas.errors import AtlasError, BadInputError


def test_the_runs_of_a_session_are_63_and_62_trials_long() -> None:
    slices = list(run_slices().values())
    assert [s.stop - s.start for s in slices] == list(RUN_TRIALS) == [63, 62] * 6
    assert slices[0] == slice(0, 63)
    assert slices[-1].stop == 750


@pytest.mark.parametrize("zscore", ["auto", "run"])
def test_trials_are_scored_by_run_unless_the_session_is_named(zscore: str, written: Tree, home: Path) -> None:
    dataset = open_dataset(written.config(zscore=zscore), home)
    expected = written.expected(tuple(run_slices().values()), linear(dataset)[:10])
    np.testing.assert_allclose(dataset.responses_of(np.arange(0, 10)), expected, atol=1e-6)
    by_session = open_dataset(written.config(zscore="session"), home)
    expected = written.expected((slice(None),), linear(dataset)[:10])
    np.testing.assert_allclose(by_session.responses_of(np.arange(0, 10)), expected, atol=1e-6)


@pytest.mark.parametrize("subject", range(1, 9))
def test_the_table_and_the_design_name_the_same_images(subject: int, tmp_path: Path) -> None:
    # Three showings of each image over the 40 sessions that were planned, as in the true table.
    rng = np.random.default_rng(subject)
    ordering = rng.permutation(np.repeat(np.arange(1, 10_001), 3))[None].astype(np.uint16)
    subjectim = np.stack([rng.permutation(73_000)[:10_000] + 1 for _ in range(8)]).astype(np.int32)
    folder = tmp_path / "nsddata/experiments/nsd"
    folder.mkdir(parents=True)
    scipy.io.savemat(folder / "nsd_expdesign.mat", {"masterordering": ordering, "subjectim": subjectim})
    repeat = np.zeros((73_000, 3), np.int32)
    seen = np.zeros(73_000, int)
    for trial, image in enumerate(subjectim[subject - 1, ordering[0].astype(int) - 1] - 1, start=1):
        repeat[image, seen[image]] = trial
        seen[image] += 1
    columns = {f"subject{subject}_rep{r}": repeat[:, r] for r in range(3)}
    pl.DataFrame({"cocoId": np.arange(73_000), "nsdId": np.arange(73_000), **columns}).write_csv(
        folder / "nsd_stim_info_merged.csv"
    )
    design = images_of_design(folder / "nsd_expdesign.mat", subject)
    assert len(design) == 750 * SESSIONS[subject - 1]
    np.testing.assert_array_equal(images_of_table(folder / "nsd_stim_info_merged.csv", subject), design)
    np.testing.assert_array_equal(trial_images(tmp_path, subject), design)
    names = coco_images(folder / "nsd_stim_info_merged.csv", design[:3])
    assert names.to_list() == [f"{image:012}" for image in design[:3]]
    (folder / "nsd_expdesign.mat").unlink()
    np.testing.assert_array_equal(trial_images(tmp_path, subject), design)


def test_a_table_that_contradicts_the_design_is_refused(tree: Tree, home: Path) -> None:
    # One image more in the table than in the design is another release.
    repeat = np.zeros((73_000, 3), int)
    shown = tree.images.ravel().copy()
    shown[[5, 6]] = shown[[6, 5]]
    rows = [(int(image), trial) for trial, image in enumerate(shown, start=1)]
    table = pl.DataFrame(rows, schema=["nsdId", f"subject{SUBJECT}_rep0"], orient="row")
    table = table.with_columns(**{f"subject{SUBJECT}_rep{r}": pl.lit(0) for r in (1, 2)})
    table.write_csv(tree.root / "nsddata/experiments/nsd/nsd_stim_info_merged.csv")
    assert repeat.sum() == 0
    with pytest.raises(BadInputError, match=f"different images for trial 6 of subject {SUBJECT}"):
        Nsd(tree.config(), home)


def spoilt(path: Path, what: str) -> Path:
    arrays = {"masterordering": np.ones((1, 30_000), np.uint16), "subjectim": np.ones((8, 10_000), np.int32)}
    if what == "no subject":
        arrays["subjectim"] = arrays["subjectim"][:3]
    elif what == "no array":
        del arrays["masterordering"]
    scipy.io.savemat(path, arrays, do_compression=what == "damaged")
    encoded = path.read_bytes()
    of_content = {
        "damaged": encoded[:200] + bytes(50) + encoded[250:],
        "empty": b"",
        "text": b"<html><body>Access denied</body></html>" * 20,
        "cut": encoded[: len(encoded) // 2],
        "cut in its header": encoded[:60],
        "pointer": POINTERS[0][0].encode(),
        "of MATLAB 7.3": b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + encoded,
    }
    path.write_bytes(of_content.get(what, encoded))
    return path


UNREADABLE = {
    **dict.fromkeys(("empty", "text", "cut", "damaged", "cut in its header", "of MATLAB 7.3"), "a damaged or cut file"),
    "no array": "there is no array 'masterordering'; it has subjectim",
    "no subject": r"subjectim has shape \(3, 10000\), and images of 8 subjects are expected; download it from",
    "pointer": "git-annex; .* `datalad get",
}


@pytest.mark.parametrize("what", list(UNREADABLE))
def test_a_design_that_cannot_be_read_is_one_sentence(what: str, tmp_path: Path) -> None:
    with pytest.raises(AtlasError, match=rf"nsd_expdesign.mat: .*{UNREADABLE[what]}") as raised:
        images_of_design(spoilt(tmp_path / "nsd_expdesign.mat", what), 4)
    assert "\n" not in str(raised.value)


def test_a_design_of_matlab_7_3_is_read_as_well(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "masterordering": random.integers(1, 10_001, (1, 30_000)).astype(np.uint16),
        "subjectim": random.integers(1, 73_001, (8, 10_000)).astype(np.int32),
    }
    scipy.io.savemat(tmp_path / "old.mat", arrays)
    with h5py.File(tmp_path / "new.mat", "w") as file:
        for name, values in arrays.items():  # MATLAB's axes are reversed in HDF5
            file.create_dataset(name, data=values.T).attrs["MATLAB_class"] = np.bytes_(str(values.dtype))
    old, new = (images_of_design(tmp_path / name, 4) for name in ("old.mat", "new.mat"))
    np.testing.assert_array_equal(old, new)


def test_a_design_without_trials_is_one_sentence(tmp_path: Path) -> None:
    arrays = {"masterordering": np.empty((1, 0), np.uint16), "subjectim": np.ones((8, 10_000), np.int32)}
    scipy.io.savemat(tmp_path / "nsd_expdesign.mat", arrays)
    said = "nsd_expdesign.mat: masterordering has 0 trials; 30,000 trials of images 1 … 10000 are expected"
    with pytest.raises(BadInputError, match=said):
        images_of_design(tmp_path / "nsd_expdesign.mat", 4)
