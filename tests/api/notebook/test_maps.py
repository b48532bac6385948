"""Maps in a notebook: their values are the model's, their files an export's, their pictures the server's."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from toy_server import Fill

import voxel_atlas as va
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.api.notebook.shown_atlas import NotebookAtlas, ServedAtlas
from voxel_atlas.atlas.release.export import export
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.contrasts.region_means import intervals
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import BadInputError, NotFoundError
from voxel_atlas.viz.surfaces.surface import load_surface

Opened = NotebookAtlas | ServedAtlas


def test_open_takes_the_atlas_of_the_home_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXEL_ATLAS_HOME", str(home))
    with va.open() as atlas:
        assert atlas.model().model_id == "simulated/T1/toy/" + atlas.model().config_sha256[:6]


def test_open_keeps_to_the_memory_of_the_settings(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXEL_ATLAS_MEMORY_LIMIT", "200MiB")
    copy = shutil.copy(home / "atlas.duckdb", tmp_path)  # the other one is open, and settings are a database's
    with va.open(copy) as atlas:
        assert atlas.sql("SELECT current_setting('memory_limit') AS most")["most"].to_list() == ["200.0 MiB"]


def test_open_says_what_to_do_where_a_home_folder_has_no_atlas(own_home: Path) -> None:
    with pytest.raises(NotFoundError, match=str(own_home)):
        va.open()


@pytest.mark.parametrize(
    "asked",
    [
        {"concept": "cake"},
        {"concept": "cake - face", "min_z": 1.0, "readout": "weights", "significant": True},
        {"concept": "cake", "by": "labels", "method": "brainlmm-eq2"},
        {"concept": "cake", "metric": "z", "limits": (-2.0, 2.0)},
        {"concept": "cake", "null_band": True},
        {"metric": "r2", "opacity": "r"},
        {"label": "cake"},
        {"picture": np.full((24, 32, 3), (200, 30, 30), np.uint8)},
    ],
)
def test_a_map_is_the_same_from_a_file_as_over_http(opened: dict[str, Opened], asked: dict) -> None:
    here, mapped = opened["file"].model().map(**asked), opened["http"].model().map(**asked)
    assert mapped.frame.equals(here.frame)
    np.testing.assert_array_equal(mapped.values, here.values)
    for told in ("model_id", "title", "unit", "limits", "colormap", "held_to", "left_out", "readout", "baseline"):
        assert getattr(mapped, told) == getattr(here, told), told
    drawn = ({}, {"thick": 3}, {"views": ["ventral"], "rois": ["FFA"]})
    pictures = [here.plot(width=300, **how).content for how in drawn]
    assert [mapped.plot(width=300, **how).content for how in drawn] == pictures
    assert len(set(pictures)) == len(drawn)


def test_values_are_the_model_s_where_a_voxel_passes(opened: dict[str, Opened], atlas: Atlas) -> None:
    mapped = opened["http"].model().map("cake", min_z=1.5, significant=True)
    told = atlas.model().map("cake").frame.join(atlas.model().metric_map("q"), on="voxel")
    passes = ((told["z"] >= 1.5) & (told["value"] <= 0.05)).to_numpy()
    assert 0 < passes.sum() < len(passes)
    np.testing.assert_array_equal(mapped.values, np.where(passes, told["similarity"], np.nan))
    assert mapped.held_to == "only z ≥ 1.5; only significant"


def test_a_plot_is_a_picture_that_saves_and_that_matplotlib_draws(opened: dict[str, Opened], tmp_path: Path) -> None:
    mapped = opened["file"].model().map("cake")
    drawing = mapped.plot(width=400)
    with Image.open(drawing.save(tmp_path / "cake.png")) as saved:
        np.testing.assert_array_equal(np.asarray(saved.convert("RGB")), np.asarray(drawing))
    assert mapped.plot(width=1024).content == mapped._repr_png_() == drawing.__class__(mapped.picture())._repr_png_()
    assert "<svg" in str(mapped.plot(format="svg")._repr_svg_())
    with pytest.raises(BadInputError, match=r"cake\.pdf should end in \.png"):
        drawing.save(tmp_path / "cake.pdf")
    with pytest.raises(NotFoundError, match="no ROI FAF"):
        mapped.plot(rois=["FAF"])
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    mapped.plot(ax=axes)
    assert axes.images[0].get_array().shape == np.asarray(mapped.plot()).shape


@pytest.mark.parametrize("where", ["file", "http"])
def test_a_volume_is_the_file_that_an_export_writes(opened: dict[str, Opened], where: str, tmp_path: Path) -> None:
    mapped = opened[where].model().map("cake", semantic=False)
    folder = export(opened["file"], tmp_path / "release", concepts=["cake"], affine_of=opened["file"].desk.affine)
    (path,) = folder.rglob("*desc-cake_stat-similarity_statmap.nii.gz")
    written, image = nib.load(path), mapped.to_nifti()
    np.testing.assert_array_equal(image.get_fdata(), written.get_fdata())
    np.testing.assert_array_equal(image.affine, written.affine)
    assert image.header["sform_code"] == written.header["sform_code"] == 2
    assert mapped.to_nilearn().shape == written.shape
    left, right = mapped.to_gifti()
    cells = np.append(written.get_fdata(dtype=np.float32).T.ravel(), np.nan)
    surface = opened["file"].desk.surface(opened["file"].subject(mapped.subject_id))
    drawn = np.concatenate([left.darrays[0].data, right.darrays[0].data])
    np.testing.assert_array_equal(drawn, cells[surface.vertex_cells()])


@pytest.fixture(scope="module")
def on_real_surfaces(tmp_path_factory: pytest.TempPathFactory, fill_atlas: Fill) -> Iterator[NotebookAtlas]:
    """The small atlas with a subject on pycortex's S1, and with one of vertices of fsaverage5."""
    home = tmp_path_factory.mktemp("real")
    shape = list(load_surface("S1", "fullhead", home / "surfaces").shape)
    with Store.open(str(home / "atlas.duckdb")) as store:
        fill_atlas(store, home / "stimuli")
        fill_atlas(store, home / "stimuli", subject="simulated/T2", seed=1)
        on_s1 = "UPDATE subject SET surface = 'S1', transform = 'fullhead', shape = ? WHERE subject_id = 'simulated/T1'"
        on_fsaverage = (
            "UPDATE subject SET space = 'surface', surface = 'fsaverage5', transform = NULL, shape = [10242, 10242] "
            "WHERE subject_id = 'simulated/T2'",
            "UPDATE voxel SET i = NULL, j = NULL, k = NULL, vertex = 7 * voxel, "
            "hemisphere = CASE WHEN voxel % 2 = 0 THEN 'left' ELSE 'right' END WHERE subject_id = 'simulated/T2'",
        )
        store.change([(on_s1, [shape]), *((sql, None) for sql in on_fsaverage)])
    with va.open(str(home / "atlas.duckdb"), home=home) as atlas:
        assert isinstance(atlas, NotebookAtlas)
        yield atlas


def test_pycortex_shows_a_volume_of_its_own_subject(on_real_surfaces: NotebookAtlas) -> None:
    mapped = on_real_surfaces.model("simulated/T1").map("cake")
    volume = mapped.to_cortex()
    np.testing.assert_array_equal(volume.volume[0], mapped.to_nifti().get_fdata(dtype=np.float32).T)
    assert (volume.subject, volume.xfmname, volume.cmap) == ("S1", "fullhead", mapped.colormap)
    assert (volume.vmin, volume.vmax) == mapped.limits


def test_vertices_go_to_gifti_pycortex_and_nilearn(on_real_surfaces: NotebookAtlas) -> None:
    mapped = on_real_surfaces.model("simulated/T2").map("cake")
    left, right = (each.darrays[0].data for each in mapped.to_gifti())
    expected = np.full((2, 10242), np.nan, np.float32)
    expected[mapped.frame["voxel"] % 2, 7 * mapped.frame["voxel"].to_numpy()] = mapped.values
    np.testing.assert_array_equal([left, right], expected)
    np.testing.assert_array_equal(mapped.to_cortex().vertices[0], expected.ravel())
    image = mapped.to_nilearn()
    assert image.shape == (20484, 1) or image.shape == (20484,)
    np.testing.assert_array_equal(np.ravel(image.data.parts["right"]), expected[1])
    assert image.mesh.parts["left"].coordinates.shape == (10242, 3)
    with pytest.raises(BadInputError, match="take to_gifti"):
        mapped.to_nifti()


@pytest.mark.parametrize("where", ["file", "http"])
def test_two_maps_are_compared_voxel_by_voxel_and_region_by_region(opened: dict[str, Opened], where: str) -> None:
    model = opened[where].model()
    pair = va.compare(model.map("cake"), model.map("face", min_z=-1))
    a, b = pair.a.values, pair.b.values
    both = np.isfinite(a) & np.isfinite(b)
    assert 0 < both.sum() < len(a)
    np.testing.assert_array_equal(pair.frame["difference"], (a - b)[both])
    assert pair.correlation == pytest.approx(np.corrcoef(a[both], b[both])[0, 1], abs=1e-6)
    assert pair.a_share == pytest.approx((a > b)[both].mean())
    voxels = model.voxels(pair.frame["voxel"].to_list())
    for row in pair.regions.iter_rows(named=True):
        inside = voxels["rois"].list.contains(row["roi"]).to_numpy()
        assert row["n_voxels"] == inside.sum()
        assert row["difference"] == pytest.approx((a - b)[both][inside].mean(), abs=1e-6)
    assert set(pair.regions["roi"]) == set(voxels["rois"].explode().drop_nulls())


def test_the_share_that_prefers_one_map_has_the_interval_of_a_contrast(on_real_surfaces: NotebookAtlas) -> None:
    model = on_real_surfaces.model("simulated/T2")
    pair = va.compare(model.map("cake"), model.map("face"))
    places = on_real_surfaces.desk.millimetres("simulated/T2")[pair.frame["voxel"].to_numpy()]
    above = (pair.a.values > pair.b.values)[np.isfinite(pair.a.values) & np.isfinite(pair.b.values)]
    (low,), (high,), n_blocks = intervals(above.astype(float)[:, None], places)
    assert n_blocks is not None
    assert n_blocks >= 3
    assert pair.interval == (low, high)
    assert f"({low:.0%} to {high:.0%} over blocks of cortex)" in pair._repr_html_()
    inside = model.voxels(pair.frame["voxel"].to_list())["rois"].list.contains("FOOD").to_numpy()
    (row,) = pair.regions.filter(roi="FOOD").iter_rows(named=True)
    assert [[row["low"]], [row["high"]]] == list(intervals(above[inside].astype(float)[:, None], places[inside])[:2])


def test_maps_that_have_nothing_in_common_are_not_compared(
    opened: dict[str, Opened], on_real_surfaces: NotebookAtlas
) -> None:
    model = opened["file"].model()
    with pytest.raises(BadInputError, match="compare maps of one quantity"):
        va.compare(model.map("cake"), model.map(metric="r2"))
    with pytest.raises(BadInputError, match="roi_table"):
        va.compare(model.map("cake"), on_real_surfaces.model("simulated/T2").map("cake"))


def test_a_map_of_a_subject_without_a_surface_is_a_table_and_a_volume(
    tmp_path: Path, fill_atlas: Fill, surfaces: LoadSurface
) -> None:
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        fill_atlas(store, tmp_path / "stimuli")
        store.change([("UPDATE subject SET surface = NULL, transform = NULL", None)])
    with NotebookAtlas.at(str(tmp_path / "atlas.duckdb"), Settings(home=tmp_path)) as atlas:
        mapped = atlas.model().map("cake")
        assert mapped._repr_png_() is None
        assert "<table" in mapped._repr_html_()
        assert np.isfinite(mapped.to_nifti().get_fdata()).sum() == np.isfinite(mapped.values).sum()
        with pytest.raises(NotFoundError, match="has no surface"):
            mapped.to_gifti()


def test_a_user_s_own_pycortex_store_is_not_written_to(
    on_real_surfaces: NotebookAtlas, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import cortex

    mapped = on_real_surfaces.model("simulated/T1").map("cake")
    mapped.to_cortex()
    monkeypatch.setattr(cortex, "db", cortex.database.Database(str(tmp_path)))
    with pytest.raises(NotFoundError, match=f"store {tmp_path} has no subject 'S1'"):
        mapped.to_cortex()
    assert list(tmp_path.iterdir()) == []
