"""`voxel-atlas surface`: what it says of flat maps."""

from pathlib import Path

import pytest
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
