"""The commands about whole atlases as a user meets them."""

import io
import json
from pathlib import Path

import duckdb
import nibabel as nib
import numpy as np
import pytest

from voxel_atlas.atlas.search.tables.indexed_voxels import index_folder
from voxel_atlas.atlas.store.store import Store


@pytest.fixture
def own(home: Path, tmp_path: Path) -> Path:
    """A copy of the small atlas that a test may change."""
    path = tmp_path / "own.duckdb"
    path.write_bytes((home / "atlas.duckdb").read_bytes())
    return path


def test_a_release_goes_out_and_comes_in(run, own, tmp_path):
    release, other = tmp_path / "release", tmp_path / "other.duckdb"
    assert run("export", "-o", release, "--tables-only", "--atlas", own)[::2] == (0, f"wrote {release}\n")
    assert run("verify", release)[::2] == (0, f"{release} is whole\n")
    status, _, said = run("import", release, "--atlas", other)
    assert (status, said.startswith("imported simulated/T1/toy/")) == (0, True)
    assert "nothing to do" in run("import", release, "--atlas", other)[2]
    with Store.open(str(own)) as here, Store.open(str(other)) as there:
        sql = "FROM encoding ORDER BY voxel"
        assert there.arrow(sql).equals(here.arrow(sql))


def test_the_maps_lie_where_the_surfaces_transform_says(run, own, tmp_path, monkeypatch):
    surface = type("Surface", (), {"transform_matrix": lambda self: np.diag([0.5, 0.5, 0.25, 1])})
    monkeypatch.setattr("voxel_atlas.api.maps.subject_cortex.load_surface", lambda *_: surface())
    assert run("export", "-o", tmp_path / "maps", "--concept", "cake", "--atlas", own)[0] == 0
    (path,) = (tmp_path / "maps").glob("sub-*/func/*_desc-cake_stat-similarity_statmap.nii.gz")
    assert nib.load(path).shape == (10, 10, 6)
    assert np.array_equal(nib.load(path).affine, np.diag([2, 2, 4, 1]))


def test_each_problem_of_a_release_is_a_line(run, own, tmp_path):
    release = tmp_path / "release"
    run("export", "-o", release, "--tables-only", "--atlas", own)
    (release / "README.md").write_text("changed")
    (release / "CITATION.cff").unlink()
    status, _, said = run("verify", release)
    assert (status, len(said.splitlines())) == (2, 2)
    status, _, said = run("import", release, "--atlas", tmp_path / "x.duckdb")
    assert (status, said.count("\n")) == (2, 1)


def test_runs_are_listed_with_their_state(run):
    status, printed, _ = run("runs", "--json")
    assert status == 0
    assert {row["state"] for row in json.loads(printed)} <= {"started", "finished", "interrupted", "failed"}
    assert json.loads(printed)[0]["model_id"].startswith("simulated/")


def test_a_model_is_removed_with_its_index_after_a_question_only(run, own, home, monkeypatch):
    model = json.loads(run("sql", "SELECT model_id FROM model LIMIT 1", "--json", "--atlas", own)[1])[0]["model_id"]
    monkeypatch.chdir(Path(own).parent)
    run("query", "cake", "--model", model, "--atlas", Path(own).name)
    kept = index_folder(home, str(own), model)
    assert list(kept.rglob("*.index"))
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody answers
    assert run("rm", model, "--atlas", own)[0] == 1
    assert f"removed {model}" in run("rm", model, "--yes", "--atlas", own)[2]
    assert not kept.exists()
    status, _, said = run("rm", model, "--yes", "--atlas", own)
    assert (status, said.startswith("voxel-atlas: There is no model")) == (2, True)
    status, _, said = run("vacuum", "--atlas", own)
    assert (status, "MB now" in said) == (0, True)


def test_upgrade_says_what_it_did(run, own):
    assert "nothing to do" in run("upgrade", "--atlas", own)[2]
    with duckdb.connect(str(own)) as connection:
        connection.execute("UPDATE atlas_format SET version = 99")
    status, _, said = run("upgrade", "--atlas", own)
    assert (status, "newer voxel-atlas" in said) == (2, True)
