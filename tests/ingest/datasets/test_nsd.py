"""The NSD reader on small files of the data set's exact layout, types and orders of dimensions."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import h5py
import nibabel as nib
import numpy as np
import polars as pl
import pytest
import scipy.io
import scipy.stats
from numpy.typing import NDArray

from voxel_atlas.ingest.datasets import check_dataset, open_dataset
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
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import BadInputError, NotFoundError, SpaceMismatchError

X, Y, Z = 5, 4, 3
N_VERTICES = (7, 6)
SUBJECT = 4  # 30 sessions, the fewest
N_SESSIONS = SESSIONS[SUBJECT - 1]
N_SHOWN = 60


@dataclass
class Tree:
    """A small NSD: what was written, for tests to compute with."""

    root: Path
    config: Callable[..., IngestConfig]
    betas: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    """(sessions, 750, Z, Y, X), as stored."""
    images: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    """nsdId, from 0, of each trial, (sessions, 750)."""

    @property
    def sessions(self) -> Path:
        return self.root / f"nsddata_betas/ppdata/subj{SUBJECT:02d}/func1pt8mm/betas_fithrf_GLMdenoise_RR"

    @property
    def maps(self) -> Path:
        return self.root / f"nsddata/ppdata/subj{SUBJECT:02d}/func1pt8mm"

    @property
    def labels(self) -> Path:
        return self.root / f"nsddata/freesurfer/subj{SUBJECT:02d}/label"

    def expected(self, groups: tuple[slice, ...], voxels: NDArray[np.intp]) -> NDArray[np.float64]:
        """Responses by the plainest code: each session z-scored by scipy, each image's trials gathered in a list."""
        percent = self.betas.reshape(len(self.betas), 750, -1)[:, :, voxels] / 300
        scored = np.empty(percent.shape)
        for session in range(len(percent)):
            for group in groups:
                with warnings.catch_warnings(action="ignore"):  # scipy warns of constant voxels
                    scored[session, group] = scipy.stats.zscore(percent[session, group], axis=0)
        trials: dict[int, list[NDArray[np.float64]]] = {}
        for image, row in zip(self.images.ravel(), scored.reshape(-1, len(voxels)), strict=True):
            trials.setdefault(int(image), []).append(row)
        return np.array([np.mean(trials[image], axis=0) for image in sorted(trials)])


def write_design(root: Path, rng: np.random.Generator, n_shown: int = N_SHOWN) -> tuple[NDArray, NDArray]:
    """nsd_expdesign.mat and nsd_stim_info_merged.csv, for all eight subjects."""
    folder = root / "nsddata/experiments/nsd"
    folder.mkdir(parents=True, exist_ok=True)
    ordering = rng.integers(1, n_shown + 1, (1, 30_000)).astype(np.uint16)
    ordering[0, :n_shown] = np.arange(1, n_shown + 1)
    subjectim = np.stack([rng.permutation(73_000)[:10_000] + 1 for _ in range(8)]).astype(np.int32)
    # The first and the last image of NSD: both ends of 1-based indexing.
    subjectim[:, 0], subjectim[:, 1] = 1, 73_000
    design = {"masterordering": ordering, "subjectim": subjectim, "sharedix": np.arange(1, 1001)[None]}
    scipy.io.savemat(folder / "nsd_expdesign.mat", design)
    return ordering, subjectim


def write_nifti(path: Path, volume: NDArray[np.generic]) -> None:
    """Write a (Z, Y, X) or (T, Z, Y, X) array the way NIfTI has it: (X, Y, Z) or (X, Y, Z, T)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(volume.T), np.eye(4)), path)


def write_maps(tree: Tree, rng: np.random.Generator) -> None:
    """ROI volumes with −1 outside cortex, their names, t maps and ncsnr."""
    cortex = np.ones((Z, Y, X), bool)
    cortex[0, 0, :] = False
    faces, places, prf = (np.where(cortex, 0, -1).astype(np.int16) for _ in range(3))
    faces[1, 0, :4] = 1, 2, 3, 3
    places[1, 1, :3] = 2
    prf[2, 0, :3] = 1, 2, 7
    for name, labels in {"floc-faces": faces, "floc-places": places, "prf-visualrois": prf}.items():
        write_nifti(tree.maps / "roi" / f"{name}.nii.gz", labels)
    left = np.where(cortex, 0, -1).astype(np.int16)
    right = left.copy()
    left[..., 3:], right[..., :3] = -1, -1
    write_nifti(tree.maps / "roi" / "lh.prf-visualrois.nii.gz", left)
    write_nifti(tree.maps / "roi" / "rh.prf-visualrois.nii.gz", right)
    # Subcortical volumes count differently and have no names: 0 outside must not become cortex.
    write_nifti(tree.maps / "roi" / "thalamus.nii.gz", np.zeros((Z, Y, X), np.int16))
    t = rng.normal(3, 0.1, (Z, Y, X)).astype(np.float32)
    t[1, 0, 2], t[1, 0, 1] = -1, 1.5
    write_nifti(tree.maps / "floc_facestval.nii.gz", t)
    write_nifti(tree.maps / "floc_placestval.nii.gz", np.full((Z, Y, X), 2, np.float32))
    tree.labels.mkdir(parents=True)
    names = ("Unknown", "OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces")
    (tree.labels / "floc-faces.mgz.ctab").write_text("".join(f"{n} {name}\n" for n, name in enumerate(names)))
    write_nifti(tree.sessions / "ncsnr.nii.gz", np.full((Z, Y, X), 0.5, np.float32))


def write_stimuli(root: Path, shown: NDArray[np.integer]) -> None:
    """imgBrick with its true shape; only the shown images take room."""
    path = root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        brick = file.create_dataset("imgBrick", (73_000, 425, 425, 3), np.uint8, chunks=(1, 425, 425, 3))
        for number in shown:
            pixels = np.zeros((425, 425, 3), np.uint8)
            pixels[0, 0] = number // 65_536, number // 256 % 256, number % 256
            brick[number] = pixels


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """All 30 sessions of subject 4 as HDF5, chunked by voxel."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("nsd")

    def config(**settings: object) -> IngestConfig:
        return IngestConfig(**{"dataset": "nsd", "subject": str(SUBJECT), "root": str(root), **settings})

    tree = Tree(root, config)
    ordering, subjectim = write_design(root, rng)
    shown = subjectim[SUBJECT - 1, ordering[0].astype(int) - 1] - 1
    tree.images = shown[: 750 * N_SESSIONS].reshape(N_SESSIONS, 750)
    tree.betas = rng.integers(-3000, 3000, (N_SESSIONS, 750, Z, Y, X)).astype(np.int16)
    tree.betas[:, :, 2, 3, 4] = 700  # a voxel that never varies
    tree.sessions.mkdir(parents=True)
    for number, betas in enumerate(tree.betas, start=1):
        with h5py.File(tree.sessions / f"betas_session{number:02d}.hdf5", "w") as file:
            file.create_dataset("betas", data=betas, chunks=(750, 1, 1, 1))
    write_maps(tree, rng)
    write_stimuli(root, np.unique(tree.images))
    return tree


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def tree(written: Tree, tmp_path: Path) -> Tree:
    """A copy whose files a test may take away or spoil: links, since the files are shared."""
    root = tmp_path / "nsd"
    for path in written.root.rglob("*"):
        target = root / path.relative_to(written.root)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)

    def config(**settings: object) -> IngestConfig:
        return written.config(**{"root": str(root), **settings})

    return Tree(root, config, written.betas, written.images)


def linear(dataset: Nsd) -> NDArray[np.intp]:
    places = dataset.voxels
    return np.asarray(places["k"] * Y * X + places["j"] * X + places["i"], np.intp)


def test_the_runs_of_a_session_are_63_and_62_trials_long() -> None:
    slices = run_slices()
    assert [s.stop - s.start for s in slices] == list(RUN_TRIALS) == [63, 62] * 6
    assert slices[0] == slice(0, 63)
    assert slices[-1].stop == 750


def test_responses_are_session_scores_averaged_over_repeats(written: Tree, home: Path) -> None:
    dataset = open_dataset(written.config(), home)
    found = dataset.responses_of(np.arange(0, dataset.voxels.height))
    expected = written.expected((slice(None),), linear(dataset))
    assert found.shape == (N_SHOWN, dataset.voxels.height)
    assert found.dtype == np.float32
    constant = np.isnan(found).any(axis=0)
    assert constant.sum() == 1
    np.testing.assert_allclose(found[:, ~constant], expected[:, ~constant], atol=1e-6)


def test_runs_are_scored_in_their_true_blocks(written: Tree, home: Path) -> None:
    dataset = open_dataset(written.config(zscore="run"), home)
    expected = written.expected(run_slices(), linear(dataset)[:10])
    np.testing.assert_allclose(dataset.responses_of(np.arange(0, 10)), expected, atol=1e-6)


def test_unscored_responses_are_percent_signal_change(written: Tree, home: Path) -> None:
    dataset = open_dataset(written.config(zscore="none", skip_sessions=tuple(map(str, range(2, 31)))), home)
    percent = written.betas[0].reshape(750, -1)[:, linear(dataset)[:5]] / 300
    image = int(dataset.stimuli["stimulus_id"][0].removeprefix("nsd/"))
    shown = percent[written.images[0] == image]
    np.testing.assert_allclose(dataset.responses_of(np.arange(0, 5))[0], shown.mean(axis=0), rtol=1e-5)


def test_any_voxels_can_be_asked_for_in_any_order(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    everything = dataset.responses_of(np.arange(0, dataset.voxels.height))
    np.testing.assert_array_equal(dataset.responses_of(np.arange(7, 12)), everything[:, 7:12])
    some = np.array([31, 2, 3, 30, 17])
    np.testing.assert_array_equal(dataset.responses_of(some), everything[:, some])


def test_compressed_volumes_give_the_same_responses_and_are_copied_once(tree: Tree, home: Path) -> None:
    expected = Nsd(tree.config(), home).responses_of(np.arange(0, 20))
    for number, betas in enumerate(tree.betas, start=1):
        (tree.sessions / f"betas_session{number:02d}.hdf5").unlink()
        write_nifti(tree.sessions / f"betas_session{number:02d}.nii.gz", betas)
    stored = nib.load(tree.sessions / "betas_session01.nii.gz")
    assert stored.shape == (X, Y, Z, 750)
    assert stored.get_data_dtype() == np.int16
    assert Nsd(tree.config(), home).copied_bytes == 30 * 750 * 2 * 55
    assert not (home / "cache" / "betas").exists()
    dataset = Nsd(tree.config(), home)
    np.testing.assert_array_equal(dataset.responses_of(np.arange(0, 20)), expected)
    copies = {path: path.stat().st_mtime_ns for path in (home / "cache" / "betas").iterdir()}
    assert len(copies) == N_SESSIONS
    np.testing.assert_array_equal(Nsd(tree.config(), home).responses_of(np.arange(5, 9)), expected[:, 5:9])
    assert {path: path.stat().st_mtime_ns for path in copies} == copies


def test_voxels_are_cortex_in_the_order_of_pycortex(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    assert dataset.subject.shape == (Z, Y, X)
    assert dataset.voxels.height == X * Y * Z - X
    assert (np.diff(linear(dataset)) > 0).all()
    assert dataset.voxels["voxel"].to_list() == list(range(dataset.voxels.height))
    assert dataset.voxels.select("i", "j", "k").row(0) == (0, 1, 0)
    sides = dataset.voxels.select((pl.col("i") < 3).alias("is_left"), "hemisphere")
    assert sides.filter(pl.col("is_left"))["hemisphere"].unique().to_list() == ["left"]
    assert sides.filter(~pl.col("is_left"))["hemisphere"].unique().to_list() == ["right"]


def members(dataset: Nsd, roi: str) -> list[tuple[int, int, int]]:
    inside = dataset.voxel_rois.filter(pl.col("roi") == roi).join(dataset.voxels, on="voxel")
    return sorted(inside.select("i", "j", "k").iter_rows())


def test_regions_have_names_unions_and_the_localiser_threshold(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    # t is −1 at (2, 0, 1): the voxel has label 3 (FFA-2) and is not in it.
    assert members(dataset, "OFA") == [(0, 0, 1)]
    assert members(dataset, "FFA-1") == [(1, 0, 1)]
    assert members(dataset, "FFA-2") == [(3, 0, 1)]
    assert members(dataset, "FFA") == [(1, 0, 1), (3, 0, 1)]
    assert members(dataset, "floc-faces") == [(0, 0, 1), (1, 0, 1), (3, 0, 1)]
    assert members(dataset, "PPA") == [(0, 1, 1), (1, 1, 1), (2, 1, 1)]  # named by the manual: no .ctab
    assert members(dataset, "V1") == [(0, 0, 2), (1, 0, 2)]
    assert members(dataset, "hV4") == [(2, 0, 2)]
    assert members(dataset, "selective") == sorted(members(dataset, "floc-faces") + members(dataset, "PPA"))
    t = dict(dataset.voxel_rois.filter(pl.col("roi") == "FFA").select("voxel", "t").iter_rows())
    assert min(t.values()) == pytest.approx(1.5)
    sources = dict(dataset.rois.select("roi", "source").iter_rows())
    assert (sources["FFA"], sources["V1"]) == ("localiser", "drawn")
    assert dataset.voxel_rois.filter(pl.col("roi") == "V1")["t"].null_count() == 2
    assert set(dataset.rois["roi"]) == set(dataset.voxel_rois["roi"])


def test_localiser_maps_are_of_every_voxel(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    maps = dataset.localisers()
    assert set(maps) == {"faces", "places"}  # those whose files are there
    assert {len(t) for t in maps.values()} == {dataset.voxels.height}
    place = dataset.voxels.filter(i=2, j=0, k=1)["voxel"][0]
    assert maps["faces"][place] == -1  # no region has it


def test_a_higher_threshold_shrinks_the_regions(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(localizer_t=2.0), home)
    assert members(dataset, "FFA") == [(3, 0, 1)]
    assert "PPA" not in dataset.rois["roi"]


def test_without_a_localiser_map_the_labels_stand_as_they_were_drawn(tree: Tree, home: Path) -> None:
    (tree.maps / "floc_facestval.nii.gz").unlink()
    dataset = Nsd(tree.config(), home)
    assert members(dataset, "FFA-2") == [(2, 0, 1), (3, 0, 1)]
    assert dataset.voxel_rois.filter(pl.col("roi") == "FFA-2")["t"].null_count() == 2
    with pytest.raises(NotFoundError, match="the localiser map of faces is not there"):
        Nsd(tree.config(localizer_t=2.0), home)


@pytest.mark.parametrize("kind", ["nifti", "list", "array"])
def test_food_joins_the_selective_region(kind: str, written: Tree, home: Path, tmp_path: Path) -> None:
    mask = np.zeros((Z, Y, X), np.uint8)
    mask[2, 3, 1], mask[1, 2, 0], mask[0, 0, 0] = 1, 1, 1  # the last is not cortex
    if kind == "nifti":
        write_nifti(path := tmp_path / "food.nii.gz", mask)
    elif kind == "array":
        np.save(path := tmp_path / "food.npy", mask.T)
    else:
        (path := tmp_path / "food.txt").write_text("1 3 2\n0 2 1\n\n0 0 0\n")
    dataset = Nsd(written.config(food=str(path)), home)
    assert members(dataset, "FOOD") == [(0, 2, 1), (1, 3, 2)]
    assert set(members(dataset, "FOOD")) < set(members(dataset, "selective"))
    assert dict(dataset.rois.select("roi", "source").iter_rows())["FOOD"] == "user"


def test_food_of_another_space_is_refused(written: Tree, home: Path, tmp_path: Path) -> None:
    write_nifti(tmp_path / "food.nii.gz", np.ones((Z, Y, X + 1), np.uint8))
    with pytest.raises(
        SpaceMismatchError, match=r"food.nii.gz: the image is 6 × 4 × 3 voxels, the responses are 5 × 4 × 3"
    ):
        Nsd(written.config(food=str(tmp_path / "food.nii.gz")), home)
    (tmp_path / "food.txt").write_text("1 2\n")
    with pytest.raises(BadInputError, match="not a list of voxels"):
        Nsd(written.config(food=str(tmp_path / "food.txt")), home)
    with pytest.raises(NotFoundError, match="no such food region"):
        Nsd(written.config(food=str(tmp_path / "none.txt")), home)


def test_an_atlas_region_is_named_with_its_atlas(tree: Tree, home: Path) -> None:
    labels = np.where(np.arange(X * Y * Z).reshape(Z, Y, X) == 59, 2, 0).astype(np.int16)
    write_nifti(tree.maps / "roi" / "HCP_MMP1.nii.gz", labels)
    (tree.labels / "HCP_MMP1.mgz.ctab").write_text("0 ???\n1 V1\n2 MST\n")
    dataset = Nsd(tree.config(), home)
    assert members(dataset, "HCP_MMP1:MST") == [(4, 3, 2)]
    (tree.labels / "HCP_MMP1.mgz.ctab").write_text("1 V1\n")
    with pytest.raises(BadInputError, match="label 2 of HCP_MMP1 has no name"):
        Nsd(tree.config(), home)


def test_the_noise_ceiling_counts_repeats(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    counts = np.unique(written.images, return_counts=True)[1]
    assert dataset.n_repeats.tolist() == counts.tolist()
    expected = 0.25 / (0.25 + np.mean(1 / counts))
    np.testing.assert_allclose(dataset.voxels["noise_ceiling"].to_numpy(), expected, rtol=1e-6)


def test_stimuli_are_pixels_of_the_images_that_were_seen(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    ids = np.unique(written.images)
    assert {0, 72_999} <= set(ids.tolist())
    assert dataset.stimuli["stimulus_id"].to_list() == [f"nsd/{number}" for number in ids]
    for row in (0, 17, N_SHOWN - 1):
        image = dataset.image(row)
        assert image.shape == (425, 425, 3)
        assert int(np.dot(image[0, 0].astype(int), [65_536, 256, 1])) == ids[row]
    assert dataset.stimuli["uri"][3].endswith(f"nsd_stimuli.hdf5#{ids[3]}")
    assert dataset.stimuli["sha256"].n_unique() == N_SHOWN
    again = Nsd(written.config(), home)  # from the list of hashes
    assert again.stimuli.equals(dataset.stimuli)
    assert again.fingerprint == dataset.fingerprint


def test_the_fingerprint_changes_with_the_betas(tree: Tree, home: Path) -> None:
    before = Nsd(tree.config(), home).fingerprint
    path = tree.sessions / "betas_session03.hdf5"
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=tree.betas[2] + 1, chunks=(750, 1, 1, 1))
    assert Nsd(tree.config(), home).fingerprint != before
    assert Nsd(tree.config(skip_sessions=("3",)), home).fingerprint != before


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


def test_a_missing_session_is_one_sentence_with_what_to_do(tree: Tree, home: Path) -> None:
    (tree.sessions / "betas_session07.hdf5").unlink()
    with pytest.raises(NotFoundError, match=r"betas_session07.hdf5: not there .*--skip-session 7 or --allow-missing"):
        Nsd(tree.config(), home)
    skipped, allowed = Nsd(tree.config(skip_sessions=("7",)), home), Nsd(tree.config(allow_missing=True), home)
    np.testing.assert_array_equal(skipped.responses_of(np.arange(0, 3)), allowed.responses_of(np.arange(0, 3)))
    others = np.arange(N_SESSIONS) != 6
    small = Tree(tree.root, tree.config, tree.betas[others], tree.images[others])
    np.testing.assert_allclose(
        skipped.responses_of(np.arange(0, 3)), small.expected((slice(None),), linear(skipped)[:3]), atol=1e-6
    )
    assert "29 sessions" in skipped.subject.description


def test_a_cut_session_is_one_sentence_with_what_to_do(tree: Tree, home: Path) -> None:
    path = tree.sessions / "betas_session07.hdf5"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInputError, match=r"betas_session07.hdf5: a damaged or cut file .* or pass --skip-session 7"):
        Nsd(tree.config(), home)
    assert Nsd(tree.config(skip_sessions=("7",)), home).stimuli.height == N_SHOWN


def test_a_cut_compressed_session_leaves_nothing_half_written(tree: Tree, home: Path) -> None:
    path = tree.sessions / "betas_session07.nii.gz"
    (tree.sessions / "betas_session07.hdf5").unlink()
    write_nifti(path, tree.betas[6])
    path.write_bytes(path.read_bytes()[:-5000])
    dataset = Nsd(tree.config(), home)
    with pytest.raises(BadInputError, match=r"betas_session07.nii.gz: a damaged or cut file .*--skip-session 7"):
        dataset.responses_of(np.arange(0, 3))
    assert not list((home / "cache").rglob("*.npy*"))


def test_too_few_trials_are_one_sentence(tree: Tree, home: Path) -> None:
    path = tree.sessions / "betas_session07.hdf5"
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=tree.betas[6, :749])
    message = r"betas_session07.hdf5: 749 trials, 750 expected; get it again or pass --skip-session 7"
    with pytest.raises(BadInputError, match=message):
        Nsd(tree.config(), home)


def test_a_session_of_another_shape_is_refused(tree: Tree, home: Path) -> None:
    path = tree.sessions / "betas_session07.hdf5"
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=tree.betas[6, :, :, :, 1:])
    with pytest.raises(SpaceMismatchError, match=r"betas_session07.hdf5: the session has shape \(3, 4, 4\)"):
        Nsd(tree.config(), home)


def test_a_region_of_another_shape_is_refused(tree: Tree, home: Path) -> None:
    path = tree.maps / "roi" / "floc-faces.nii.gz"
    path.unlink()
    write_nifti(path, np.zeros((Z, Y, X + 1), np.int16))
    with pytest.raises(SpaceMismatchError, match=r"floc-faces.nii.gz: the image is 6 × 4 × 3"):
        Nsd(tree.config(), home)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"subject": "9"}, "NSD has no subject '9'; it has 1 … 8"),
        ({"space": "mni"}, "NSD has no space 'mni'; its betas are in func1pt8mm, func1mm, nativesurface, fsaverage"),
        ({"skip_sessions": ("31",)}, "subject 4 has sessions 1 … 30, and 31 is none of them"),
        ({"root": "/nowhere"}, "no session of betas is there; pass the folder that has nsddata_betas/ as --root"),
        ({"rois": ("FFB",)}, "nsd/subj04 has no ROI 'FFB'; it has "),
    ],
)
def test_wrong_settings_are_one_sentence(settings: dict[str, object], message: str, written: Tree, home: Path) -> None:
    try:
        problem = check_dataset(written.config(**settings), home, 512).problems[0]
    except (NotFoundError, BadInputError) as error:
        problem = str(error)
    assert message in problem


def test_the_check_lists_what_is_there_and_how_big_the_job_is(tree: Tree, home: Path) -> None:
    found = check_dataset(tree.config(rois=("selective",), batch_voxels=4), home, 512)
    assert not found.problems
    assert found.files.filter(found=False, needed=True).is_empty()
    assert (found.size.n_images, found.size.n_trials, found.size.n_voxels) == (N_SHOWN, 22_500, 6)
    assert found.size.n_batches == 2
    assert found.size.disk_bytes == (6 + N_SHOWN) * 512 * 4
    assert found.size.ram_bytes > N_SHOWN * 512 * 8
    assert not home.exists()
    (tree.sessions / "betas_session07.hdf5").unlink()
    (tree.root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5").unlink()
    found = check_dataset(tree.config(), home, 512)
    assert found.problems
    assert {Path(path).name for path in found.files.filter(found=False, needed=True)["path"]} == {
        "betas_session07.hdf5",
        "nsd_stimuli.hdf5",
    }
    assert [("betas_session07" in problem, "nsd_stimuli" in problem) for problem in found.problems] == [
        (True, False),
        (False, True),
    ]


def test_too_little_memory_is_told_before_the_job(written: Tree, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=40_960))
    (problem,) = check_dataset(written.config(), home, 512).problems
    assert "GiB are free; pass a smaller --batch-voxels" in problem


@pytest.fixture(scope="module")
def surface(written: Tree, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Three sessions of fsaverage .mgh and nativesurface .hdf5."""
    rng = np.random.default_rng(5)
    root = tmp_path_factory.mktemp("surface")
    for folder in ("nsddata/experiments", "nsddata_stimuli"):
        (root / folder).parent.mkdir(parents=True, exist_ok=True)
        (root / folder).symlink_to(written.root / folder)

    def config(**settings: object) -> IngestConfig:
        later = tuple(map(str, range(4, 31)))
        return written.config(**{"root": str(root), "skip_sessions": later, **settings})

    tree = Tree(root, config, images=written.images[:3])
    tree.betas = rng.integers(-3000, 3000, (3, 750, sum(N_VERTICES))).astype(np.int16)
    left = np.arange(sum(N_VERTICES)) < N_VERTICES[0]
    for space in ("fsaverage", "nativesurface"):
        folder = root / f"nsddata_betas/ppdata/subj{SUBJECT:02d}/{space}/betas_fithrf_GLMdenoise_RR"
        folder.mkdir(parents=True)
        owner = "fsaverage" if space == "fsaverage" else f"subj{SUBJECT:02d}"
        labels = root / f"nsddata/freesurfer/{owner}/label"
        labels.mkdir(parents=True)
        for side, inside in (("lh", left), ("rh", ~left)):
            n = int(inside.sum())
            for number, betas in enumerate(tree.betas, start=1):
                stem = f"{side}.betas_session{number:02d}"
                if space == "fsaverage":
                    percent = (betas[:, inside] / np.float32(300)).T.astype(np.float32)
                    if side == "lh":
                        percent[1] = np.nan  # as subjects 6 and 8 have
                    nib.save(nib.MGHImage(percent.reshape(n, 1, 1, 750), np.eye(4)), folder / f"{stem}.mgh")
                else:
                    with h5py.File(folder / f"{stem}.hdf5", "w") as file:
                        file["betas"] = betas[:, inside]
            flat = np.full((n, 1, 1), 0.7, np.float32)
            nib.save(nib.MGHImage(flat, np.eye(4)), folder / f"{side}.ncsnr.mgh")
            words = np.zeros((n, 1, 1), np.int32)
            words[2] = 2
            nib.save(nib.MGHImage(words, np.eye(4)), labels / f"{side}.floc-words.mgz")
            t = np.full((n, 1, 1), 1 if side == "lh" else -1, np.float32)
            nib.save(nib.MGHImage(t, np.eye(4)), labels / f"{side}.flocwordtval.mgz")
    return tree


@pytest.mark.parametrize("space", ["fsaverage", "nativesurface"])
def test_both_surfaces_give_the_same_percent_signal_change(space: str, surface: Tree, home: Path) -> None:
    # fsaverage files hold percent already, nativesurface ones 300 times that.
    dataset = Nsd(surface.config(space=space, zscore="none"), home)
    assert (dataset.subject.space, dataset.subject.shape) == ("surface", N_VERTICES)
    assert dataset.subject.subject_id == f"nsd/subj04-{space}"
    found = dataset.responses_of(np.arange(sum(N_VERTICES)))
    trials: dict[int, list[NDArray[np.float64]]] = {}
    for image, row in zip(surface.images.ravel(), surface.betas.reshape(-1, sum(N_VERTICES)) / 300, strict=True):
        trials.setdefault(int(image), []).append(row)
    expected = np.array([np.mean(trials[image], axis=0) for image in sorted(trials)])
    if space == "fsaverage":
        expected[:, 1] = np.nan
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(dataset.responses_of(np.arange(6, 9)), found[:, 6:9])


def test_vertices_without_betas_are_nan_and_the_others_are_not(surface: Tree, home: Path) -> None:
    found = Nsd(surface.config(space="fsaverage"), home).responses_of(np.arange(sum(N_VERTICES)))
    assert np.isnan(found).all(axis=0).nonzero()[0].tolist() == [1]
    assert np.isnan(found).any(axis=0).sum() == 1


def test_surface_voxels_and_regions_know_their_hemisphere(surface: Tree, home: Path) -> None:
    dataset = Nsd(surface.config(space="nativesurface"), home)
    assert dataset.voxels["hemisphere"].to_list() == ["left"] * 7 + ["right"] * 6
    assert dataset.voxels["vertex"].to_list() == [*range(7), *range(6)]
    assert dataset.voxels["i"].null_count() == sum(N_VERTICES)
    # Label 2 in both hemispheres, and t > 0 in the left one only.
    inside = dataset.voxel_rois.filter(pl.col("roi") == "VWFA-2").join(dataset.voxels, on="voxel")
    assert inside.is_empty()
    inside = dataset.voxel_rois.filter(pl.col("roi") == "VWFA-1").join(dataset.voxels, on="voxel")
    assert inside.select("hemisphere", "vertex").rows() == [("left", 2)]
    assert dataset.voxels["noise_ceiling"].null_count() == 0


def test_a_cut_surface_file_is_one_sentence(surface: Tree, home: Path, tmp_path: Path) -> None:
    folder = surface.root / f"nsddata_betas/ppdata/subj{SUBJECT:02d}/fsaverage/betas_fithrf_GLMdenoise_RR"
    path = folder / "rh.betas_session02.mgh"
    content = path.read_bytes()
    path.write_bytes(content[:-4000])
    try:
        with pytest.raises(BadInputError, match=r"rh.betas_session02.mgh: a damaged or cut file .*--skip-session 2"):
            Nsd(surface.config(space="fsaverage"), home)
    finally:
        path.write_bytes(content)
