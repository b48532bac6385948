"""The food region, by a literal loop, on a small NSD of four subjects, two of them with fewer sessions."""

import json
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
import scipy.io
import scipy.stats
from nsd_tree import write_nifti
from numpy.typing import NDArray

from voxel_atlas.api.report.analysis.measured_truth import shown_by
from voxel_atlas.ingest.datasets import check_dataset
from voxel_atlas.ingest.datasets.nsd.design import SESSIONS
from voxel_atlas.ingest.datasets.nsd.nsd import Nsd
from voxel_atlas.ingest.stages.model_split import split_of
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import AtlasError, BadInputError, NotFoundError

SUBJECTS = (1, 3, 4, 8)
SHAPE = (4, 3, 2)
N_VOXELS = 24
N_SHARED = 150
LATE = 7
"""Place of a shared image that is shown in sessions 33 to 40 only: subjects 3, 4, 6 and 8 did not see it."""
CATEGORIES = ("animal", "food", "person", "vehicle")
FOOD_VOXELS = (12, 13, 14, 2)
"""Voxels that answer to food; the last lies outside the ventral stream, which begins at 12."""


class Small:
    """What was written, and what images show."""

    def __init__(self, root: Path) -> None:
        rng = np.random.default_rng(0)
        self.root = root
        folder = root / "nsddata/experiments/nsd"
        folder.mkdir(parents=True)
        ordering = rng.permutation(np.repeat(np.arange(1, 10_001), 3))
        late = np.flatnonzero(ordering == LATE + 1)
        ordering[late], ordering[24_000:24_003] = ordering[24_000:24_003].copy(), LATE + 1
        own = rng.permutation(73_000)
        images = [
            np.concatenate([own[:N_SHARED], rng.permutation(own[N_SHARED:])[: 10_000 - N_SHARED]]) for _ in range(8)
        ]
        subjectim = np.stack(images).astype(np.int32) + 1
        design = {"masterordering": ordering[None].astype(np.uint16), "subjectim": subjectim}
        scipy.io.savemat(folder / "nsd_expdesign.mat", design)
        trials_of = np.argsort(ordering, kind="stable").reshape(10_000, 3) + 1
        columns = {
            "nsdId": np.arange(73_000),
            "cocoId": np.arange(73_000) + 7,
            "cropBox": ["(0, 0.1, 0.125, 0.125)"] * 73_000,
        }
        for number, seen in enumerate(subjectim, start=1):
            repeats = np.zeros((73_000, 3), np.int32)
            repeats[seen - 1] = trials_of
            columns |= {f"subject{number}_rep{repeat}": repeats[:, repeat] for repeat in range(3)}
        pl.DataFrame(columns).write_csv(folder / "nsd_stim_info_merged.csv")
        # Subjects 4 and 8 did the fewest sessions, 30.
        self.seen_by_all = [
            int(n) for place, n in enumerate(subjectim[0, :N_SHARED] - 1) if place + 1 in ordering[:22_500]
        ]
        self.shared = subjectim[0, :N_SHARED] - 1
        self.shows = {int(n): {c for c in CATEGORIES if rng.random() < 0.3} for n in self.shared}
        self.trials = {s: subjectim[s - 1, ordering - 1][: 750 * SESSIONS[s - 1]] - 1 for s in SUBJECTS}
        self.betas = {}
        for subject in SUBJECTS:
            food = np.array(["food" in self.shows.get(int(n), ()) for n in self.trials[subject]])
            betas = rng.normal(0, 900, (len(food), N_VOXELS)) + np.arange(N_VOXELS) * 10
            betas[:, FOOD_VOXELS] += 500 * food[:, None]
            self.betas[subject] = np.clip(betas, -32_000, 32_000).astype(np.int16)
            self._write(subject)
        stimuli = root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
        stimuli.parent.mkdir(parents=True)
        with h5py.File(stimuli, "w") as file:
            file["imgBrick"] = np.tile(np.arange(73_000, dtype=np.int32)[:, None, None, None], (1, 2, 2, 3))

    def _write(self, subject: int) -> None:
        folder = self.root / f"nsddata_betas/ppdata/subj{subject:02d}/func1pt8mm/betas_fithrf_GLMdenoise_RR"
        folder.mkdir(parents=True)
        for number, betas in enumerate(self.betas[subject].reshape(-1, 750, *SHAPE), start=1):
            with h5py.File(folder / f"betas_session{number:02d}.hdf5", "w") as file:
                file["betas"] = betas
        roi = self.root / f"nsddata/ppdata/subj{subject:02d}/func1pt8mm/roi"
        write_nifti(roi / "streams.nii.gz", np.where(np.arange(N_VOXELS) >= 12, 5, 6).reshape(SHAPE).astype(np.int16))
        faces = np.zeros(N_VOXELS, np.int16)
        faces[20:22] = 2
        write_nifti(roi / "floc-faces.nii.gz", faces.reshape(SHAPE))

    def annotations(self, path: Path, images: NDArray[np.integer]) -> Path:
        """COCO's layout; things in the part that was cut off are there, too, of every category."""
        sizes, marks = [], []
        for n in map(int, images):
            coco = n + 7
            sizes.append({"id": coco, "file_name": f"{coco:012d}.jpg", "width": 640, "height": 480})
            boxes = [(CATEGORIES.index(name), [300.0, 200.0, 60.0, 40.0]) for name in self.shows[n]]
            boxes += [(number, [0.0, 100.0, 150.0, 50.0]) for number in range(4)]  # centre at 75 of 80 that are cut off
            boxes += [(number, [300.0, 440.0, 30.0, 30.0]) for number in range(4)]  # below
            marks += [
                {"image_id": coco, "category_id": number, "bbox": box, "segmentation": []} for number, box in boxes
            ]
        kinds = [{"id": number, "name": f"one {name}", "supercategory": name} for number, name in enumerate(CATEGORIES)]
        path.write_text(json.dumps({"images": sizes, "annotations": marks, "categories": kinds}))
        return path

    def config(self, subject: int = 1, **settings: object) -> IngestConfig:
        return IngestConfig(**{"dataset": "nsd", "subject": str(subject), "root": str(self.root), **settings})

    def responses(self, subject: int) -> dict[int, NDArray[np.float64]]:
        """Image → z-scored response: METHOD's own words in loops."""
        trials: dict[int, list[NDArray[np.float64]]] = {}
        start = 0
        for _ in range(SESSIONS[subject - 1]):
            for run in range(1, 13):
                stop = start + (63 if run % 2 else 62)
                scored = scipy.stats.zscore(self.betas[subject][start:stop].astype(float) / 300, axis=0)
                for image, row in zip(self.trials[subject][start:stop], scored, strict=True):
                    trials.setdefault(int(image), []).append(row)
                start = stop
        return {image: np.mean(rows, axis=0) for image, rows in trials.items()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return Small(tmp_path_factory.mktemp("nsd"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def coco(small: Small, tmp_path: Path) -> tuple[str, str]:
    halves = (small.shared[::2], small.shared[1::2])
    return tuple(str(small.annotations(tmp_path / f"instances_{n}2017.json", half)) for n, half in enumerate(halves))


def literal_food(small: Small, subject: int) -> tuple[list[float], list[float]]:
    """t and q of voxels 12 to 23."""
    responses = small.responses(subject)
    seen_by_all = small.seen_by_all
    assert small.shared[LATE] not in seen_by_all
    design = np.array([[1.0, *(float(name in small.shows[n]) for name in CATEGORIES)] for n in seen_by_all])
    contrast = np.array([0.0, *(1.0 if name == "food" else -1 / 3 for name in CATEGORIES)])
    t, p = [], []
    for voxel in range(12, N_VOXELS):
        y = np.array([responses[n][voxel] for n in seen_by_all])
        beta = np.linalg.solve(design.T @ design, design.T @ y)
        freedom = len(y) - 5
        sigma2 = np.sum((y - design @ beta) ** 2) / freedom
        t.append(contrast @ beta / np.sqrt(sigma2 * contrast @ np.linalg.inv(design.T @ design) @ contrast))
        p.append(scipy.stats.t.sf(t[-1], freedom))
    order = np.argsort(p)
    q = [min(p[later] * 12 / (place + 1) for place, later in enumerate(order) if place >= rank) for rank in range(12)]
    return t, [q[int(np.flatnonzero(order == number)[0])] for number in range(12)]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_food_is_what_a_loop_makes_of_the_images_that_all_saw(
    subject: int, small: Small, home: Path, coco: tuple[str, str]
) -> None:
    dataset = Nsd(small.config(subject, food_labels=coco), home)
    t, q = literal_food(small, subject)
    tests = dataset.region_tests
    assert tests["voxel"].to_list() == list(range(12, N_VOXELS))
    np.testing.assert_allclose(tests["t"], t, rtol=2e-4)
    np.testing.assert_allclose(tests["q"], q, rtol=5e-3)
    food = dataset.voxel_rois.filter(roi="FOOD")
    assert food["voxel"].to_list() == [12 + n for n, value in enumerate(q) if value <= 0.05]
    assert set(food["voxel"]) >= {12, 13, 14}
    assert set(dataset.voxel_rois.filter(roi="selective")["voxel"]) == {*food["voxel"], 20, 21}
    assert dict(dataset.rois.select("roi", "source").iter_rows())["FOOD"] == "contrast"
    assert set(dataset.region_images["stimulus_id"]) == {f"nsd/{n}" for n in small.seen_by_all}


def test_a_users_table_makes_the_same_food_and_a_users_mask_wins(
    small: Small, home: Path, coco: tuple[str, str], tmp_path: Path
) -> None:
    by_coco = Nsd(small.config(food_labels=coco), home)
    rows = [(f"nsd/{n}", name) for n, names in small.shows.items() for name in names or [""]]
    # As Excel writes it where commas are decimal.
    table = pl.DataFrame(rows, ["image", "category"], orient="row")
    table.write_csv(tmp_path / "hand.csv", include_bom=True, separator=";", line_terminator="\r\n")
    by_table = Nsd(small.config(food_labels=(str(tmp_path / "hand.csv"),)), home)
    assert by_table.region_tests.equals(by_coco.region_tests)
    assert by_table.region_images.equals(by_coco.region_images)
    (tmp_path / "mask.txt").write_text("0 0 0\n")
    given = Nsd(small.config(food_labels=coco, food=str(tmp_path / "mask.txt")), home)
    assert given.voxel_rois.filter(roi="FOOD")["voxel"].to_list() == [0]
    assert not hasattr(given, "region_tests")


def test_the_reports_labels_are_what_lies_in_the_part_that_is_shown(
    small: Small, home: Path, coco: tuple[str, str]
) -> None:
    half = small.shared[::2]
    expected = {
        (f"nsd/{n}", name) for n in half for category in small.shows[n] for name in (category, f"one {category}")
    }
    found = shown_by(Nsd(small.config(), home), Path(coco[0]))
    assert set(found.rows()) == expected
    assert found.height == len(expected)


def test_images_that_made_food_are_not_tested_on(small: Small, home: Path, coco: tuple[str, str]) -> None:
    config = small.config(food_labels=coco)
    dataset = Nsd(config, home)
    train, test = split_of(config, dataset)
    plain = split_of(config, Nsd(small.config(), home))
    made = dataset.stimuli["stimulus_id"].is_in(dataset.region_images["stimulus_id"].to_list()).to_numpy()
    assert train.tolist() == plain[0].tolist()
    assert test.tolist() == [row for row in plain[1] if not made[row]]
    assert 0 < len(test) < len(plain[1])


def test_the_contrast_is_kept_and_the_check_lists_what_it_takes(
    small: Small, home: Path, coco: tuple[str, str]
) -> None:
    found = check_dataset(small.config(food_labels=coco, rois=("FOOD",)), home, 512)
    assert not found.problems
    assert set(coco) <= set(found.files["path"])
    assert len(list((home / "cache").glob("food-*.npz"))) == 1
    Nsd(small.config(food_labels=coco[::-1]), home)
    other = Nsd(small.config(food_labels=coco, zscore="session"), home)
    assert len(list((home / "cache").glob("food-*.npz"))) == 3
    assert not other.region_tests.equals(Nsd(small.config(food_labels=coco), home).region_tests)


CASES: dict[str, tuple[type[AtlasError], str]] = {
    "no file": (NotFoundError, r"none.json: not there; --food-labels takes COCO's instances_\*.json or a CSV"),
    "half": (BadInputError, r"7\d of the 1\d\d images that all subjects saw are not in it"),
    "no coco": (BadInputError, "bad.json: not annotations of COCO that can be read"),
    "no images": (NotFoundError, r"bad.csv: names none of the 1\d\d images that all subjects saw"),
    "few": (BadInputError, r"3 of the 1\d\d images show boat; at least 5 must show each category"),
    "no food": (BadInputError, "name no food beside other categories; they name animal, person"),
    "the same": (BadInputError, r"1\d\d images do not tell dish, food, person apart"),
    "no columns": (BadInputError, "bad.csv: the table needs the columns image and category"),
}


@pytest.mark.parametrize("case", CASES)
def test_labels_that_do_not_do_are_one_sentence(
    case: str, small: Small, home: Path, coco: tuple[str, str], tmp_path: Path
) -> None:
    error, message = CASES[case]
    rows = [(f"nsd/{n}", name) for n, names in small.shows.items() for name in names or [""]]
    ids = [f"nsd/{n}" for n in small.seen_by_all]
    changed = {
        "no images": [("elsewhere.png", "food"), ("other.png", "person")],
        "few": rows + [(name, "boat") for name in ids[:3]],
        "no food": [row for row in rows if row[1] in ("animal", "person")],
        "the same": [r for r in rows if r[1] in ("food", "person", "")] + [(i, "dish") for i, c in rows if c == "food"],
    }
    labels = [str(tmp_path / "bad.csv")]
    if case == "no file":
        labels = [str(tmp_path / "none.json")]
    elif case == "half":
        labels = [coco[0]]
    elif case == "no coco":
        labels = [str(tmp_path / "bad.json")]
        Path(labels[0]).write_text('{"images": [{"id": 1}], "annotations": [')
    elif case == "no columns":
        Path(labels[0]).write_text("picture,kind\nnsd/1,food\n")
    else:
        pl.DataFrame(changed[case], ["image", "category"], orient="row").write_csv(labels[0])
    if case == "the same":  # images that show neither stay known
        with Path(labels[0]).open("a") as file:
            file.writelines(f"{name},\n" for name in ids)
    with pytest.raises(error, match=message) as raised:
        Nsd(small.config(food_labels=tuple(labels)), home)
    assert "\n" not in str(raised.value)


def test_without_streams_or_shared_images_food_is_not_made(
    small: Small, home: Path, coco: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = small.root / "nsddata/ppdata/subj08/func1pt8mm/roi/streams.nii.gz"
    streams.rename(streams.with_suffix(".away"))
    try:
        with pytest.raises(NotFoundError, match=r"streams.nii.gz: not there, and FOOD is made within it"):
            Nsd(small.config(8, food_labels=coco), home)
    finally:
        streams.with_suffix(".away").rename(streams)
    monkeypatch.setattr(
        "voxel_atlas.ingest.datasets.nsd.food.shared_images", lambda *_: np.array([], np.int32), raising=True
    )
    with pytest.raises(NotFoundError, match="all subjects saw none of the images together"):
        Nsd(small.config(food_labels=coco), home)
