"""`voxel-atlas surface`: what is imported can be drawn on, and what it says of flat maps."""

import io
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from toy_server import Run

from tests.viz.surfaces.test_nsd_warps import write_nsd
from voxel_atlas.viz.flattening import autoflattened


@pytest.mark.parametrize(
    ("patches", "extra", "said"),
    [
        (True, None, "with a flat map, with transforms func1pt8mm"),
        (False, None, "without a flat map (`pip install 'voxel-atlas[flatten]'` adds what makes one), with transforms"),
        (False, "here", "without a flat map (to make one, "),
    ],
)
def test_an_nsd_subject_says_where_its_flat_map_comes_from(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patches: bool, extra: str | None, said: str
) -> None:
    monkeypatch.setenv("VOXEL_ATLAS_CORTEX_FILESTORE", str(tmp_path / "store"))
    monkeypatch.setattr(autoflattened, "find_spec", lambda _: extra)
    write_nsd(tmp_path / "nsd", patches=patches)
    status, _, told = run("surface", "nsd", "--root", str(tmp_path / "nsd"), "--subject", "5")
    assert status == 0
    assert said in " ".join(told.split())
    status, _, told = run("surface", "nsd", "--root", str(tmp_path / "nsd"), "--subject", "5")
    assert status == 2
    assert "There is a subject 'nsd-subj05'" in " ".join(told.split())


def gifti(path: Path, points: Any, faces: Any) -> Path:
    arrays = [
        nib.gifti.GiftiDataArray(np.asarray(points, np.float32), intent="NIFTI_INTENT_POINTSET"),
        nib.gifti.GiftiDataArray(np.asarray(faces, np.int32), intent="NIFTI_INTENT_TRIANGLE"),
    ]
    nib.save(nib.GiftiImage(darrays=arrays), path)
    return path


def test_surfaces_are_imported_given_a_transform_and_drawn_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corners = np.array([[x, y, z] for x in (-9, 9) for y in (-9, 9) for z in (-9, 9)], float)
    faces = np.array([[0, 1, 3], [0, 3, 2], [4, 7, 5], [4, 6, 7], [0, 5, 1], [0, 4, 5],
                      [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]])  # fmt: skip
    pairs = []
    for kind, size in (("wm", 0.8), ("pia", 1.0), ("inflated", 1.2)):
        files = [
            gifti(tmp_path / f"{kind}.{side}.gii", corners * size + (x, 0, 0), faces)
            for side, x in (("L", -20), ("R", 20))
        ]
        pairs.append(f"{kind}={files[0]},{files[1]}")
    volume = np.zeros((20, 12, 12), np.float32)
    volume[:10] = 1
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = -38, -22, -22
    nib.save(nib.Nifti1Image(volume, affine), tmp_path / "own.nii.gz")
    np.savetxt(tmp_path / "matrix.txt", np.linalg.inv(affine))
    options = [part for pair in pairs for part in ("--gifti", pair)]
    assert "CORTEX_FILESTORE" in run("surface", "import", "cubes", *options)[2]
    monkeypatch.setenv("VOXEL_ATLAS_CORTEX_FILESTORE", str(tmp_path / "store"))
    status, _, said = run("surface", "import", "cubes", *options)
    assert status == 0, said
    assert "without a flat map" in said
    reference = ("--reference", str(tmp_path / "own.nii.gz"))
    status, _, said = run("surface", "transform", "cubes", "run1", *reference, "--matrix", str(tmp_path / "matrix.txt"))
    assert status == 0, said
    assert "voxel 0, 0, 0 is at -38.0, -22.0, -22.0 mm" in said
    draw = ("flatmap", "--map", str(tmp_path / "own.nii.gz"), "--surface", "cubes", "--transform", "run1")
    status, _, said = run(*draw, "-o", str(tmp_path / "flat.png"))
    assert status == 2
    assert "no flat map" in said
    status, _, said = run(
        *draw, "--view", "posterior", "--colormap", "RdBu_r", "--range", "-1", "1", "-o", str(tmp_path / "seen.png")
    )
    assert status == 0, said
    pixels = np.asarray(Image.open(io.BytesIO((tmp_path / "seen.png").read_bytes())).convert("RGB"), int)
    body = pixels[60 : pixels.shape[0] - 80]
    reddish = (body[..., 0] - body[..., 2]) > 60
    # The left half of the volume is lit: seen from behind, left is left.
    assert reddish[:, : body.shape[1] // 2].sum() > 1000
    assert reddish[:, body.shape[1] // 2 :].sum() == 0
    assert "Give exactly one" in run("surface", "transform", "cubes", "run2", *reference)[2]
    assert "no subject" in run("surface", "transform", "nobody", "run2", *reference, "--matrix", "m.txt")[2]
    assert "write KIND" in run("surface", "import", "b", "--gifti", "wm")[2]
    assert "either --freesurfer" in run("surface", "import", "b")[2]
