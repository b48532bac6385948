"""Flat maps by autoflatten: cuts on another mesh, and a small subject that is flattened for real."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.viz.conftest import CENTRES, spheres_meshes
from voxel_atlas.schemas.errors import SpaceMismatchError
from voxel_atlas.viz.flattening import autoflattened
from voxel_atlas.viz.surfaces.surface import load_surface
from voxel_atlas.viz.surfaces.surface_import import from_freesurfer

SIDES = ("lh", "rh")


def directions(n: int, seed: int) -> NDArray[np.float64]:
    points = np.random.default_rng(seed).standard_normal((n, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_a_cut_has_its_vertices_nearest_ones_and_those_whose_nearest_one_is_its_own() -> None:
    source, target = directions(60, 0), directions(90, 1)
    cuts = {"mwall": np.arange(20), "calcarine": np.array([31, 40, 55]), "none": np.array([], np.int64)}
    expected: dict[str, set[int]] = {name: set() for name in cuts}
    for name, cut in cuts.items():
        for vertex in cut:
            expected[name].add(int(np.argmin([np.linalg.norm(source[vertex] - place) for place in target])))
        for vertex, place in enumerate(target):
            if int(np.argmin([np.linalg.norm(place - other) for other in source])) in cut:
                expected[name].add(vertex)
    found = autoflattened.carried(cuts, source, target)
    assert {name: set(cut.tolist()) for name, cut in found.items()} == expected


@pytest.fixture
def subject(tmp_path: Path) -> Path:
    """A FreeSurfer subject without flat patches, and fsaverage beside it: spheres of 3,000 points."""
    meshes = spheres_meshes()
    folder, average = tmp_path / "subjects" / "me", tmp_path / "subjects" / "fsaverage"
    for surf in (folder / "surf", average / "surf"):
        surf.mkdir(parents=True)
    for at, (side, centre) in enumerate(zip(SIDES, CENTRES.values(), strict=True)):
        for name, kind in (("white", "wm"), ("pial", "pia"), ("inflated", "inflated")):
            nib.freesurfer.write_geometry(folder / "surf" / f"{side}.{name}", *meshes[kind][at])
        points, faces = meshes["wm"][at]
        nib.freesurfer.write_geometry(folder / "surf" / f"{side}.sphere.reg", points - centre, faces)
        nib.freesurfer.write_geometry(average / "surf" / f"{side}.sphere.reg", 100 * directions(3000, 7), faces[:1])
    return folder


def test_what_is_lacking_is_said(subject: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoflattened, "find_spec", lambda _: None)
    assert "pip install 'voxel-atlas[flatten]'" in autoflattened.reason_against(subject)
    monkeypatch.setattr(autoflattened, "find_spec", lambda name: name)
    assert autoflattened.reason_against(subject) == ""
    (subject.parent / "fsaverage/surf/rh.sphere.reg").unlink()
    assert autoflattened.reason_against(subject).endswith("fsaverage/surf/rh.sphere.reg is needed")


@pytest.mark.slow  # JAX compiles for minutes
@pytest.mark.filterwarnings("ignore")  # of JAX, of the package
def test_a_subject_without_flat_patches_is_cut_and_flattened(
    subject: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = pytest.importorskip("autoflatten.config", reason="the extra `flatten` is not installed: it brings JAX")
    places = directions(3000, 7)
    template = {}
    for side, inwards in zip(SIDES, (1, -1), strict=True):
        wall = np.flatnonzero(places[:, 0] * inwards > 0.75)
        behind = (places[:, 0] * inwards > 0) & (places[:, 1] < 0) & (np.abs(places[:, 2]) < 0.06)
        template[f"{side}_mwall"] = wall.tolist()
        template[f"{side}_calcarine"] = np.setdiff1d(np.flatnonzero(behind), wall).tolist()
    (tmp_path / "cuts.json").write_text(json.dumps(template))
    monkeypatch.setattr(config, "fsaverage_cut_template", tmp_path / "cuts.json")
    from_freesurfer("me", subject, tmp_path / "store", cache)
    surface = load_surface("me", None, cache, tmp_path / "store")
    flat, folded = surface.mesh("flat"), surface.mesh("fiducial")
    used = np.unique(flat.faces)
    unit = (folded.points - np.repeat([*CENTRES.values()], surface.n_vertices, axis=0)) / 20
    inwards = np.repeat([1, -1], surface.n_vertices) * unit[:, 0]
    assert inwards[used].max() < 0.85
    assert np.isin(np.flatnonzero(inwards < -0.1), used).all()
    edges = flat.faces[:, :2]
    laid, solid = (np.linalg.norm(np.diff(mesh.points[edges], axis=1), axis=-1).ravel() for mesh in (flat, folded))
    assert 0.6 < np.median(laid / solid) < 1.5
    for half in np.split(np.arange(len(unit)), [surface.n_vertices[0]]):
        kept = np.intersect1d(half, used)
        assert np.corrcoef(flat.points[kept, 1], unit[kept, 2])[0, 1] > 0.8  # superior is up
    assert surface.pixel_map(200).inside.any()
    nib.freesurfer.write_geometry(subject / "surf/lh.sphere.reg", places, flat.faces[:1])
    with pytest.raises(SpaceMismatchError, match=r"lh.sphere.reg"):
        from_freesurfer("another", subject, tmp_path / "store", cache)
