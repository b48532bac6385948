"""The reader of the Algonauts Project 2023 on small files in its layout."""

from pathlib import Path

import numpy as np
import pytest
from algonauts_tree import LEFT, N_IMAGES, N_VERTICES, NSD_IDS, RIGHT, Tree, save, write_tree
from PIL import Image
from pointers import POINTERS

from voxel_atlas.ingest.datasets import check_dataset, open_dataset
from voxel_atlas.ingest.datasets.algonauts.algonauts import Algonauts
from voxel_atlas.schemas.errors import BadInputError, NotFoundError, SpaceMismatchError

N = len(LEFT) + len(RIGHT)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return write_tree(tmp_path / "algonauts [2023] #1")


def inside(dataset: Algonauts) -> dict[str, list[int]]:
    return {roi: rows["voxel"].to_list() for (roi,), rows in dataset.voxel_rois.group_by("roi", maintain_order=True)}


def test_responses_are_those_of_the_files(tree: Tree, tmp_path: Path) -> None:
    dataset = open_dataset(tree.config(), tmp_path)
    assert dataset.stimuli["stimulus_id"].to_list() == [f"algonauts/nsd-{number:05d}" for number in NSD_IDS]
    np.testing.assert_array_equal(dataset.responses_of(np.arange(N)), tree.responses)
    np.testing.assert_array_equal(dataset.responses_of(np.array([6, 0, 4])), tree.responses[:, [6, 0, 4]])
    assert dataset.image(3)[0, 0].tolist() == [NSD_IDS[3] // 256, NSD_IDS[3] % 256, 0]
    assert dataset.n_repeats.tolist() == [1] * N_IMAGES
    assert np.isnan(Algonauts(tree.config()).ceiling_of(np.arange(N))).all()  # single trials are gone


def test_vertices_lie_on_fsaverage_and_are_drawn_there(tree: Tree) -> None:
    dataset = Algonauts(tree.config())
    assert dataset.voxels["vertex"].to_list() == [*LEFT, *RIGHT]
    assert dataset.voxels["hemisphere"].to_list() == ["left"] * len(LEFT) + ["right"] * len(RIGHT)
    assert (dataset.subject.surface, dataset.subject.shape) == ("fsaverage", (N_VERTICES, N_VERTICES))
    assert Algonauts(tree.config(surface="mine")).subject.surface == "mine"


def test_regions_have_nsds_names_and_no_pickle_is_read(tree: Tree) -> None:
    dataset = Algonauts(tree.config())
    assert inside(dataset) == {
        "V1v": [2, 5],
        "V1d": [3],
        "hV4": [4],
        "V1": [2, 3, 5],
        "prf-visualrois": [2, 3, 4, 5],
        "OFA": [0],
        "FFA-1": [1, 6],
        "FFA-2": [2],
        "aTL-faces": [7],
        "FFA": [1, 2, 6],
        "floc-faces": [0, 1, 2, 6, 7],
        "streams:early": [0, 7],
        "streams:ventral": [4],
        "streams": [0, 4, 7],
        "floc": [0, 1, 2, 6, 7],
        "selective": [1, 2, 6],
    }
    assert not (tree.root / "unpickled").exists()


def test_labels_of_all_of_fsaverage_serve_as_well(tree: Tree) -> None:
    before = inside(Algonauts(tree.config()))
    for path in (tree.folder / "roi_masks").glob("*_challenge_space.npy"):
        path.unlink()
    assert inside(Algonauts(tree.config())) == before


def test_check_lists_every_file_and_how_big_the_job_is(tree: Tree, tmp_path: Path) -> None:
    found = check_dataset(tree.config(), tmp_path, 512)
    assert found.problems == ()
    assert found.files.filter(found.files["needed"])["found"].all()
    assert found.size is not None
    assert (found.size.n_images, found.size.n_voxels) == (N_IMAGES, N)


def test_missing_files_are_named(tree: Tree, tmp_path: Path) -> None:
    tree.picture(4).unlink()
    with pytest.raises(NotFoundError, match=r"no train-0005_nsd-….png \(missing images: 1 of 24\).*--allow-missing"):
        Algonauts(tree.config())
    left = Algonauts(tree.config(allow_missing=True))
    np.testing.assert_array_equal(left.responses_of(np.arange(N)), np.delete(tree.responses, 4, axis=0))
    tree.mask("rh.floc-faces_challenge_space").unlink()
    tree.mask("rh.floc-faces_fsaverage_space").unlink()
    with pytest.raises(NotFoundError, match=r"rh.floc-faces_fsaverage_space.npy: not there, and the other hemisphere"):
        Algonauts(tree.config(allow_missing=True))
    tree.mask("lh.all-vertices_fsaverage_space").unlink()
    with pytest.raises(NotFoundError, match=r"lh.all-vertices_fsaverage_space.npy: not there"):
        Algonauts(tree.config(allow_missing=True))
    with pytest.raises(NotFoundError, match=r"subj02.*lh_training_fmri.npy: not there; pass the folder"):
        Algonauts(tree.config(subject="subj02"))
    with pytest.raises(NotFoundError, match="Algonauts 2023 has no subject '9'; it has 1 … 8"):
        check_dataset(tree.config(subject="9"), tmp_path, 512)


@pytest.mark.parametrize(("pointer", "advice"), POINTERS)
@pytest.mark.parametrize("what", ["responses", "places", "labels", "picture"])
def test_a_pointer_is_told_from_its_content(what: str, pointer: str, advice: str, tree: Tree) -> None:
    paths = {
        "responses": tree.fmri("rh"),
        "places": tree.mask("lh.all-vertices_fsaverage_space"),
        "labels": tree.mask("lh.streams_challenge_space"),
        "picture": tree.picture(0),
    }
    paths[what].write_text(pointer)
    with pytest.raises(NotFoundError, match=rf"{paths[what].name}: a pointer of .*{advice}"):
        Algonauts(tree.config()).image(0)


def test_what_is_cut_pickled_or_no_number_is_one_sentence(tree: Tree) -> None:
    path = tree.fmri("lh")
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(BadInputError, match=r"lh_training_fmri.npy: a damaged or cut file"):
        Algonauts(tree.config())
    np.save(path, np.array({"betas": [1]}, object))
    with pytest.raises(BadInputError, match=r"lh_training_fmri.npy: pickled Python objects, which are not read"):
        Algonauts(tree.config())
    save(path, np.array([["one", "two"]]))
    with pytest.raises(BadInputError, match=r"lh_training_fmri.npy: <U3 of shape \(1, 2\), responses \(images"):
        Algonauts(tree.config())


def test_files_that_disagree_are_refused(tree: Tree) -> None:
    right, left = tree.responses[:, len(LEFT) :], tree.responses[:, : len(LEFT)]
    save(tree.fmri("rh"), right[1:])
    with pytest.raises(BadInputError, match=r"rh_training_fmri.npy: 23 images, but 24 in lh_training_fmri.npy"):
        Algonauts(tree.config())
    save(tree.fmri("rh"), right[:, 1:])
    with pytest.raises(SpaceMismatchError, match=r"rh.all-vertices_fsaverage_space.npy: 3 vertices, .* have 2"):
        Algonauts(tree.config())
    save(tree.fmri("rh"), right)
    save(tree.fmri("lh"), left[:, 0])
    with pytest.raises(BadInputError, match=r"float32 of shape \(24,\), responses \(images, vertices\) expected"):
        Algonauts(tree.config())
    save(tree.fmri("lh"), left)
    save(tree.mask("lh.streams_challenge_space"), np.array([1, 8, 0, 0, 0]))
    with pytest.raises(BadInputError, match=r"streams has the label 8, and NSD knows 1 … 7"):
        Algonauts(tree.config())
    save(tree.mask("lh.streams_challenge_space"), np.array([1, 2]))
    with pytest.raises(SpaceMismatchError, match=r"int64 of shape \(2,\), numbers of shape \(5,\) expected"):
        Algonauts(tree.config())
    save(tree.mask("lh.streams_challenge_space"), np.zeros(5, int))
    other = tree.picture(0).with_name("train-0001_nsd-72999.png")
    Image.new("RGB", (6, 6)).save(other)
    with pytest.raises(BadInputError, match=r"train-0001_nsd-\d+.png: beside train-0001_nsd-\d+.png; get images and"):
        Algonauts(tree.config())
    other.rename(other.with_name("train-0025_nsd-72999.png"))
    with pytest.raises(BadInputError, match=r"train-0025_nsd-72999.png: the responses have 24 images"):
        Algonauts(tree.config())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"space": "func1mm"}, "Algonauts 2023 has no space 'func1mm'; its responses are on fsaverage"),
        ({"zscore": "run"}, "--zscore run: Algonauts 2023 has responses that are z-scored within sessions"),
        ({"skip_sessions": ("3",)}, "--skip-session: Algonauts 2023 has responses"),
        ({"localizer_t": 2.0}, "the localiser map of faces is not there"),
    ],
)
def test_settings_that_the_data_set_has_not_are_refused(settings: dict[str, object], said: str, tree: Tree) -> None:
    with pytest.raises((BadInputError, NotFoundError), match=said):
        Algonauts(tree.config(**settings))


def test_what_is_read_depends_on_responses_and_pictures(tree: Tree) -> None:
    first = Algonauts(tree.config()).fingerprint
    save(tree.fmri("lh"), -tree.responses[:, : len(LEFT)])
    second = Algonauts(tree.config()).fingerprint
    Image.new("RGB", (6, 6), (1, 2, 3)).save(tree.picture(2))
    assert len({first, second, Algonauts(tree.config()).fingerprint}) == 3
