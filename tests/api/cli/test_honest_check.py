"""Where `check` says that a study is ready, `ingest` reaches its first batch; where it does not, it says why."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from toy_server import Run

from voxel_atlas.atlas.store.store import Store

N = 40
SETTINGS = ("--backbone", "toy", "--label-backbone", "toy", "--dissect", "none", "--n-bootstrap", "50")
AFFINE = np.diag([-2.0, 2, 2, 1])


def array(root: Path) -> np.ndarray:
    return np.load(root / "responses.npy")


def save(root: Path, values: np.ndarray) -> None:
    np.save(root / "responses.npy", values)


def series(root: Path, affine: np.ndarray | None = AFFINE, kind: type = np.float32) -> None:
    (root / "responses.npy").unlink()
    values = np.random.default_rng(1).standard_normal((4, 3, 2, N)).astype(kind)
    nib.save(nib.Nifti1Image(values, affine), root / "responses.nii.gz")


def volume(path: Path, values: np.ndarray, affine: np.ndarray | None = AFFINE) -> None:
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)


def few(root: Path) -> None:
    save(root, array(root)[:10])
    names = (root / "stimuli.csv").read_text().splitlines()
    (root / "stimuli.csv").write_text("\n".join(names[:11]) + "\n")


def lost(root: Path) -> None:
    values = array(root)
    values[17] = np.nan
    save(root, values)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def masked(root: Path, mask: np.ndarray, affine: np.ndarray | None = AFFINE) -> None:
    series(root)
    volume(root / "mask.nii.gz", mask, affine)


def region(root: Path, affine: np.ndarray | None) -> None:
    series(root)
    volume(root / "rois" / "V1.nii.gz", np.ones((4, 3, 2), np.uint8), affine)


def places(root: Path, rows: str) -> None:
    (root / "voxels.csv").write_text(rows)


def large(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (90, 60)).save(root / "00.png", exif=exif)


MIRRORED = np.diag([2.0, 2, 2, 1])
SHIFTED = AFFINE + np.array([[0, 0, 0, 0.1], [0] * 4, [0] * 4, [0] * 4])
ONES = np.ones((4, 3, 2), np.uint8)
Spoil = Callable[[Path], object]
DEFECTS: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "nothing": (lambda _: None, ()),
    "few images": (few, ()),
    "a lost trial": (lost, ()),
    "a lost trial left out": (lost, ("--allow-missing",)),
    "objects": (lambda root: np.save(root / "responses.npy", array(root).astype(object), allow_pickle=True), ()),
    "complex numbers": (lambda root: save(root, array(root).astype(np.complex64)), ()),
    "cut responses": (lambda root: cut(root / "responses.npy"), ()),
    "no responses": (lambda root: (root / "responses.npy").unlink(), ()),
    "a trial too many": (lambda root: save(root, np.vstack([array(root), array(root)[:1]])), ()),
    "no table": (lambda root: (root / "stimuli.csv").unlink(), ()),
    "an empty table": (lambda root: (root / "stimuli.csv").write_text(""), ()),
    "a cut picture": (lambda root: cut(root / "07.png"), ()),
    "a cut picture left out": (lambda root: cut(root / "07.png"), ("--on-error", "skip")),
    "a pointer": (lambda root: (root / "07.png").write_text("/annex/objects/SHA256E-s1--a.png\n"), ()),
    "a missing picture": (lambda root: (root / "07.png").unlink(), ()),
    "a missing picture left out": (lambda root: (root / "07.png").unlink(), ("--allow-missing",)),
    "a picture of numbers": (lambda root: Image.new("F", (4, 4), 300.0).save(root / "07.png", "TIFF"), ()),
    "a turned picture": (large, ()),
    "a negative ceiling": (lambda root: np.save(root / "noise_ceiling.npy", np.array([0.3] * 4 + [-0.02])), ()),
    "ceilings in percent": (lambda root: np.save(root / "noise_ceiling.npy", np.full(5, 30)), ()),
    "a surface that is not there": (lambda root: places(root, "hemisphere,vertex\n"), ("--surface", "fsavrage5")),
    "a transform that is not there": (series, ("--surface", "S1", "--transform", "fulhead")),
    "a volume of another transform": (series, ("--surface", "S1", "--transform", "fullhead")),
    "part of a surface": (
        lambda root: places(root, "hemisphere,vertex\nleft,0\nleft,20\nleft,100\nright,60\nright,100\n"),
        ("--surface", "fsaverage5"),
    ),
    "vertices beyond the surface": (
        lambda root: places(root, "hemisphere,vertex\nleft,0\nleft,20\nleft,99999\nright,60\nright,100\n"),
        ("--surface", "fsaverage5"),
    ),
    "places below 0": (lambda root: places(root, "i,j,k\n0,1,-1\n1,1,1\n2,1,1\n3,1,1\n4,1,1\n"), ()),
    "one place for two": (lambda root: places(root, "i,j,k\n" + "1,1,1\n" * 5), ()),
    "an image": (series, ()),
    "an image without affine": (lambda root: series(root, None), ()),
    "an image of complex numbers": (lambda root: series(root, AFFINE, np.complex64), ()),
    "a cut image": (lambda root: (series(root), cut(root / "responses.nii.gz")), ()),
    "a mask": (lambda root: masked(root, ONES), ()),
    "an empty mask": (lambda root: masked(root, 0 * ONES), ()),
    "a mirrored mask": (lambda root: masked(root, ONES, MIRRORED), ()),
    "a shifted mask": (lambda root: masked(root, ONES, SHIFTED), ()),
    "a mask without affine": (lambda root: masked(root, ONES, None), ()),
    "a mask of colours": (lambda root: masked(root, np.zeros((4, 3, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])), ()),
    "a mirrored region": (lambda root: region(root, MIRRORED), ()),
    "two test images": (lambda _: None, ("--test-share", "0.05", "--significance", "correlation")),
    "no such region": (lambda _: None, ("--roi", "FFA")),
    "no such network": (lambda _: None, ("--backbone", "clip-rn50")),
    "no such captioner": (lambda _: None, ("--dissect", "significant", "--captioner", "/no/such/folder")),
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Forty pictures of a colour each, and five voxels that answer to colours."""
    root = tmp_path / "study"
    root.mkdir()
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (N, 3)).astype(np.uint8)
    for number, colour in enumerate(colours):
        Image.fromarray(np.broadcast_to(colour, (9, 12, 3)).copy()).save(root / f"{number:02}.png")
    (root / "stimuli.csv").write_text("image\n" + "".join(f"{number:02}.png\n" for number in range(N)))
    save(root, (colours / 255 @ rng.standard_normal((3, 5)) + 0.1 * rng.standard_normal((N, 5))).astype(np.float32))
    return root


def told(run: Run, root: Path, options: Sequence[str]) -> tuple[bool, str, str]:
    """Whether `check` says ready, which is so exactly where `ingest` begins, and what the two say."""
    atlas = root.parent / "a.duckdb"
    given = ("--dataset", "folder", "--root", root, "--subject", "me", "--atlas", atlas, *SETTINGS, *options)
    checked, _, said = run("check", *given)
    ready = checked == 0 and said.splitlines()[-1] == "Ready to ingest."
    ingested, _, message = run("ingest", *given)
    assert ready == (atlas.exists() and began(atlas)), (said, message)
    if not ready:
        assert (checked, ingested) == (2, 2)
        assert said.splitlines()[-1].startswith("voxel-atlas: ")
    return ready, said, message


def began(atlas: Path) -> bool:
    """Whether an ingest has encoded images and brought a model."""
    with Store.open(str(atlas), create=False) as store:
        return bool(store.frame("FROM model").height)


@pytest.mark.parametrize("defect", list(DEFECTS))
def test_check_says_ready_exactly_where_ingest_reaches_its_first_batch(defect: str, run: Run, study: Path) -> None:
    spoil, options = DEFECTS[defect]
    spoil(study)
    ready, said, message = told(run, study, options)
    if not ready:
        assert said.splitlines()[-1].removeprefix("voxel-atlas: ")[:40] in message


@pytest.mark.slow  # thirty studies
@pytest.mark.parametrize("seed", range(30))
def test_check_is_honest_of_defects_that_come_together(seed: int, run: Run, study: Path) -> None:
    names = np.random.default_rng(seed).choice(list(DEFECTS), 2, replace=False)
    for name in names:
        with suppress(OSError, ValueError):  # the other one left nothing that it could spoil
            DEFECTS[name][0](study)
    told(run, study, [option for name in names for option in DEFECTS[name][1]])
