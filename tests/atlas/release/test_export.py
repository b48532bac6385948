"""Releases: what other programs find in them, and the way back into an atlas."""

import json
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import nibabel as nib
import nilearn.image
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.typing import NDArray
from toy_atlas import (
    AFFINE,
    SURFACE,
    VOLUME,
    WORDS,
    label_rows,
    model_rows,
    put,
    random_weights,
    run_rows,
    subject_rows,
)

from voxel_atlas.atlas.backbones.interface import Backbone
from voxel_atlas.atlas.release.export import export
from voxel_atlas.atlas.release.verify import problems
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError, NotFoundError, StoreError
from voxel_atlas.schemas.tables import DDL, table_schemas


def func(release: Path, name: str) -> Path:
    (found,) = release.glob(f"sub-*/func/{name}")
    return found


def test_duckdb_polars_and_pandas_read_each_table_with_its_columns(release: Path) -> None:
    n_rows = json.loads((release / "dataset_description.json").read_text())["VoxelAtlas"]["Rows"]
    assert list(n_rows) == list(table_schemas())
    with duckdb.connect() as connection:
        connection.execute(DDL)
        for table in table_schemas():
            _check_table(connection, table, str(release / "tables" / f"{table}.parquet"), n_rows[table])


def _check_table(connection: duckdb.DuckDBPyConnection, table: str, path: str, n_rows: int) -> None:
    described = connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM '{path}')").fetchall()
    assert described == connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {table})").fetchall()
    assert connection.execute(f"SELECT count(*) FROM '{path}'").fetchall() == [(n_rows,)]
    for frame in (pl.read_parquet(path), pd.read_parquet(path)):
        assert frame.shape == (n_rows, len(table_schemas()[table]))
        assert list(frame.columns) == table_schemas()[table].names


def test_a_nifti_map_has_each_voxels_value_at_its_place(release: Path, both: Atlas) -> None:
    path = func(release, "sub-simulatedS1_*_stat-r2_statmap.nii.gz")
    for image in (nib.load(path), nilearn.image.load_img(str(path))):
        values = np.asarray(image.dataobj)
        assert image.shape == (6, 5, 4)
        assert np.array_equal(image.affine, AFFINE)
        assert image.header["sform_code"] == 2
        quality = both.model(VOLUME).voxels(range(120))
        assert np.array_equal(values[quality["i"], quality["j"], quality["k"]], quality["r2"].to_numpy())
        assert values.dtype == np.float32


def test_voxels_without_a_value_are_nan_in_numbers_and_zero_in_labels(both: Atlas, tmp_path: Path) -> None:
    put(both.store, subject_rows("folder/2", 7), model_rows("folder/2/toy/c", "folder/2", random_weights(7)),
        run_rows("folder/2/toy/c"), label_rows("folder/2/toy/c", {3: [("cake", 1.0)]}), key="third")  # fmt: skip
    release = export(both, tmp_path / "r", models=["folder/2/toy/c"])
    values = np.asarray(nib.load(func(release, "*_stat-r2_statmap.nii.gz")).dataobj)
    labels = np.asarray(nib.load(func(release, "*_dseg.nii.gz")).dataobj)
    assert np.isnan(values).sum() == 120 - 7
    assert np.argwhere(labels).tolist() == [[3, 0, 0]]


def test_without_an_affine_the_header_says_that_the_place_is_unknown(both: Atlas, tmp_path: Path) -> None:
    release = export(both, tmp_path / "r", models=[VOLUME])
    path = func(release, "*_stat-r2_statmap.nii.gz")
    header = nib.load(path).header
    assert (header["sform_code"], header["qform_code"]) == (0, 0)
    assert (
        "not known" in json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())["SpatialReference"]
    )


def test_maps_of_a_volume_are_carried_to_fsaverage_as_pairs_of_gifti(both: Atlas, tmp_path: Path) -> None:
    def carry(values: NDArray[Any]) -> NDArray[Any]:
        return np.stack([values[:40], values[40:80]])

    release = export(both, tmp_path / "r", concepts=["cake"], fsaverage_of=lambda _: carry)
    quality = both.model(VOLUME).voxels(range(80))
    assert np.array_equal(quality["i"] + 6 * quality["j"] + 30 * quality["k"], np.arange(80))  # as cells are
    for ending in ("stat-r2_statmap.shape", "desc-*toplabel_dseg.label", "desc-cake_stat-similarity_statmap.shape"):
        halves = [
            nib.load(func(release, f"sub-simulatedS1_*_hemi-{side}_space-fsaverage_{ending}.gii")) for side in "LR"
        ]
        structures = [half.meta["AnatomicalStructurePrimary"] for half in halves]
        assert structures == ["CortexLeft", "CortexRight"]
        values = np.concatenate([half.agg_data() for half in halves])
        name = ending.rpartition(".")[0]
        volume = np.asarray(nib.load(func(release, f"sub-simulatedS1_*_{name}.nii.gz")).dataobj)
        assert np.array_equal(values, volume.T.ravel()[:80])
        sidecar = json.loads(func(release, f"sub-simulatedS1_*_space-fsaverage_{name}.json").read_text())
        assert "fsaverage" in sidecar["SpatialReference"]
    assert problems(release) == []


def test_the_first_labels_are_named_by_the_table_beside_them(release: Path, both: Atlas) -> None:
    path = func(release, "sub-simulatedS1_*_dseg.nii.gz")
    names = pd.read_csv(path.with_name(path.name.replace(".nii.gz", ".tsv")), sep="\t", index_col="index")["name"]
    values = np.asarray(nib.load(path).dataobj)
    assert sorted(names) == sorted(WORDS)
    assert set(np.unique(values)) == {0, *names.index}
    first = both.sql(f"FROM top_label WHERE model_id = '{VOLUME}' ORDER BY voxel")["label"].to_list()
    assert [names[values[v % 6, v // 6 % 5, v // 30]] for v in range(60)] == first


def test_a_concepts_map_is_what_the_atlas_answers_and_says_how(release: Path, both: Atlas) -> None:
    found = both.model(VOLUME).map("cake")
    for stat, column in (("z", "z"), ("q", "concept_q"), ("similarity", "similarity")):
        path = func(release, f"sub-simulatedS1_*_desc-cake_stat-{stat}_statmap.nii.gz")
        values = np.asarray(nib.load(path).dataobj).T.ravel()
        assert np.array_equal(values, found.frame[column].to_numpy().astype(np.float32))
    sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert sidecar.items() >= {"ComparedBy": "weights", "Readout": found.readout, "Simulated": True}.items()
    assert func(release, "sub-simulatedS1_*_desc-cakeface*_stat-similarity_statmap.nii.gz")


@pytest.mark.parametrize(("side", "n", "first"), [("L", 25, 0), ("R", 30, 20)])
def test_gifti_maps_have_a_value_per_vertex_and_named_labels(
    release: Path, both: Atlas, side: str, n: int, first: int
) -> None:
    image = nib.load(func(release, f"*_hemi-{side}_*_stat-r2_statmap.shape.gii"))
    r2 = both.model(SURFACE).metric_map("r2")["value"].to_numpy()
    values = image.darrays[0].data
    assert values.shape == (n,)
    assert np.array_equal(values[:20], r2[first : first + 20])
    assert np.isnan(values[20:]).all()
    assert image.meta["AnatomicalStructurePrimary"] == {"L": "CortexLeft", "R": "CortexRight"}[side]
    labels = nib.load(func(release, f"*_hemi-{side}_*_dseg.label.gii"))
    names = labels.labeltable.get_labels_as_dict()
    expected = ["<b>&\"cake'" if v % 2 else "cake" if v < 30 else "???" for v in range(first, first + 20)]
    shown = [names[key] for key in labels.darrays[0].data]
    assert shown[: min(20, 30 - first)] == expected[: min(20, 30 - first)]
    assert set(shown[30 - first :]) <= {"???"}


def test_a_cifti_file_has_all_maps_of_a_model_by_name(release: Path, both: Atlas) -> None:
    image = nib.load(func(release, "sub-nod01_*_statmap.dscalar.nii"))
    maps, places = image.header.get_axis(0), image.header.get_axis(1)
    assert list(maps.name)[:2] == ["R2 on the test images", "noise ceiling, as share of the variance"]
    assert "similarity to cake" in maps.name
    assert places.vertex.tolist() == [*range(20), *range(20)]
    assert places.nvertices == {"CIFTI_STRUCTURE_CORTEX_LEFT": 25, "CIFTI_STRUCTURE_CORTEX_RIGHT": 30}
    assert np.array_equal(
        image.get_fdata(dtype=np.float32)[0], both.model(SURFACE).metric_map("r2")["value"].to_numpy()
    )
    labels = nib.load(func(release, "sub-nod01_*_dseg.dlabel.nii"))
    table = labels.header.get_axis(0).label[0]
    assert table[int(labels.get_fdata()[0][1])][0] == "<b>&\"cake'"


def test_the_data_dictionary_explains_every_column(release: Path) -> None:
    dictionary = pd.read_csv(release / "data_dictionary.tsv", sep="\t", keep_default_na=False)
    explained = set(zip(dictionary["table"], dictionary["column"], strict=True))
    assert explained == {(table, column) for table in table_schemas() for column in ["", *table_schemas()[table].names]}
    assert dictionary["description"].str.len().min() > 5


def test_the_readme_says_which_subjects_are_simulated(release: Path) -> None:
    text = (release / "README.md").read_text()
    assert "`simulated/S1`: **simulated**" in text
    assert "`nod/01`: measured" in text
    assert "Natural Scenes" not in text


def test_what_is_derived_from_nsd_names_its_access_agreement(store: Store, tmp_path: Path) -> None:
    subject = subject_rows("nsd/subj05", 4)
    subject["subject"][0]["dataset"] = "nsd"
    put(store, subject, model_rows("nsd/subj05/toy/d", "nsd/subj05", random_weights(4)), run_rows("nsd/subj05/toy/d"),
        key="nsd")  # fmt: skip
    release = export(Atlas(store, home=tmp_path), tmp_path / "r", tables_only=True)
    assert "terms of use" in (release / "README.md").read_text()


def test_the_citation_names_the_references_of_the_project(release: Path) -> None:
    project = (Path(__file__).parents[3] / "CITATION.cff").read_text()
    citation = (release / "CITATION.cff").read_text()
    assert citation.partition("references:")[2] == project.partition("references:")[2] != ""


def test_sha256sum_agrees_with_the_checksums(release: Path) -> None:
    done = subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=release, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert problems(release) == []


def test_equal_rows_give_equal_files(both: Atlas, tmp_path: Path) -> None:
    one, two = (export(both, tmp_path / name, concepts=["cake"], affine_of=lambda _: AFFINE) for name in ("a", "b"))
    assert (one / "SHA256SUMS").read_text() == (two / "SHA256SUMS").read_text()


def test_an_export_of_one_model_holds_nothing_of_others(both: Atlas, tmp_path: Path) -> None:
    folder = export(both, tmp_path / "one", models=[SURFACE], tables_only=True) / "tables"
    assert pl.read_parquet(folder / "model.parquet")["model_id"].to_list() == [SURFACE]
    assert pl.read_parquet(folder / "subject.parquet")["subject_id"].to_list() == ["nod/01"]
    assert pl.read_parquet(folder / "label.parquet").height == 2
    assert pl.read_parquet(folder / "stimulus.parquet").height == 3
    assert pl.read_parquet(folder / "caption.parquet")["text"].sort().to_list() == ["a cake", "a face"]
    assert not list((tmp_path / "one").glob("sub-*"))


def test_an_export_that_fails_leaves_nothing(both: Atlas, tmp_path: Path) -> None:
    def refuse(name: str, home: Path) -> Backbone:
        raise NotFoundError("no tower")

    towerless = Atlas(both.store, home=tmp_path, load_backbone=refuse)
    with pytest.raises(NotFoundError, match="no tower"):
        export(towerless, tmp_path / "out" / "release", concepts=["unheard"])
    assert list((tmp_path / "out").iterdir()) == []


def test_an_export_never_writes_over_anything(both: Atlas, release: Path) -> None:
    before = (release / "SHA256SUMS").read_text()
    with pytest.raises(BadInputError, match="is there already"):
        export(both, release, tables_only=True)
    assert (release / "SHA256SUMS").read_text() == before


def test_a_folder_that_cannot_be_made_is_one_sentence(both: Atlas, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        export(both, tmp_path / "file" / "release", tables_only=True)


def test_unfinished_models_are_not_exported(both: Atlas, tmp_path: Path) -> None:
    put(both.store, subject_rows("folder/3", 4), model_rows("folder/3/toy/d", "folder/3", random_weights(4)),
        run_rows("folder/3/toy/d", "failed"), key="failed")  # fmt: skip
    with pytest.raises(BadInputError, match="not finished"):
        export(both, tmp_path / "r", models=["folder/3/toy/d"])
    everything = export(both, tmp_path / "all", tables_only=True)
    assert set(pl.read_parquet(everything / "tables/model.parquet")["model_id"]) == {VOLUME, SURFACE}


def test_a_subject_without_places_is_exported_as_tables_only(store: Store, tmp_path: Path) -> None:
    subject = subject_rows("folder/4", 3)
    for voxel in subject["voxel"]:
        voxel.update(i=None, j=None, k=None)
    put(
        store, subject, model_rows("folder/4/toy/e", "folder/4", random_weights(3)), run_rows("folder/4/toy/e"), key="4"
    )
    atlas = Atlas(store, home=tmp_path)
    with pytest.raises(NotFoundError, match="pass --tables-only"):
        export(atlas, tmp_path / "r")
    assert problems(export(atlas, tmp_path / "r", tables_only=True)) == []
