"""Ground truth: localisers by name, measured responses to what images show, and files that say what they show."""

import json

import numpy as np
import polars as pl
import pytest
from tiny import TinyDataset, tiny_config

from voxel_atlas.api.report.analysis.measured_truth import localiser_truth, response_truth, shown_by, truth_by_category
from voxel_atlas.api.report.analysis.refit import learning_curve, sampled, shuffled_control
from voxel_atlas.api.report.analysis.study_data import StudyData
from voxel_atlas.schemas.errors import BadInputError, NotFoundError

VOXELS = np.arange(10, dtype=np.int32)


class Localised(TinyDataset):
    def localisers(self):
        return {"faces": np.arange(12.0), "Character": -np.arange(12.0)}


@pytest.fixture(scope="module")
def evidence() -> StudyData:
    dataset = TinyDataset()
    config = tiny_config(data_sha256=dataset.fingerprint, test_share=0.75)
    return StudyData.of("m", config, dataset)


def colours(dataset: TinyDataset) -> pl.DataFrame:
    return pl.DataFrame({"stimulus_id": dataset.stimuli["stimulus_id"], "category": dataset._colours})


def test_localiser_contrasts_are_named_as_their_concepts():
    found = localiser_truth(Localised(), np.array([3, 5], np.int32))
    assert found.rows() == [("face", 3, 3.0), ("face", 5, 5.0), ("word", 3, -3.0), ("word", 5, -5.0)]


def with_localisers(changes: dict[str, np.ndarray]) -> StudyData:
    class Own(TinyDataset):
        def localisers(self):
            return changes

    dataset = Own()
    return StudyData.of("m", tiny_config(data_sha256=dataset.fingerprint, test_share=0.75), dataset)


def test_categories_without_a_localiser_map_take_the_responses_to_what_shows_them(tmp_path):
    data = with_localisers({"rose": np.arange(12.0)})
    colours(data.dataset).rename({"stimulus_id": "image"}).write_csv(tmp_path / "labels.csv")
    truths = truth_by_category(data, tmp_path / "labels.csv", (), VOXELS)
    assert [true.category for true in truths] == ["rose", "lake", "leaf", "lemon"]
    assert truths[0].kind == "localiser map"
    assert truths[0].values.tolist() == list(range(10))
    measured = response_truth(data, colours(data.dataset), VOXELS).filter(pl.col("category") == "leaf")
    assert truths[2].values.tolist() == measured["truth"].to_list()
    assert truths[2].kind == f"mean response (z-scored beta) to {measured['n_images'][0]} test images that show it"
    (leaf,) = truth_by_category(data, tmp_path / "labels.csv", ("leaf", "zebra"), VOXELS)
    assert (leaf.category, leaf.values.tolist()) == ("leaf", truths[2].values.tolist())


def test_a_localiser_map_without_a_number_does_not_hide_what_images_show(tmp_path):
    data = with_localisers({"rose": np.full(12, np.nan)})
    colours(data.dataset).rename({"stimulus_id": "image"}).write_csv(tmp_path / "labels.csv")
    (rose,) = truth_by_category(data, tmp_path / "labels.csv", ("rose",), VOXELS)
    measured = response_truth(data, colours(data.dataset), VOXELS).filter(pl.col("category") == "rose")
    assert rose.values.tolist() == measured["truth"].to_list()
    assert rose.kind.startswith("mean response")


def test_with_localiser_maps_alone_nothing_has_to_say_what_images_show():
    (face,) = truth_by_category(with_localisers({"faces": np.full(12, np.nan)}), None, (), VOXELS)
    assert face.category == "face"
    assert np.isnan(face.values).all()


def test_a_data_set_without_localisers_says_what_to_give():
    with pytest.raises(NotFoundError, match="--labels"):
        localiser_truth(TinyDataset(), VOXELS)


def test_truth_is_the_mean_response_to_the_test_images_that_show_it(evidence):
    shows = colours(evidence.dataset)
    found = response_truth(evidence, shows, VOXELS)
    responses = evidence.dataset.responses_of(VOXELS)
    for category, voxel, truth, n_images in found.iter_rows():
        shown = [row for row in evidence.test if shows["category"][int(row)] == category]
        assert n_images == len(shown) >= 10
        assert truth == pytest.approx(responses[shown, voxel].mean(), abs=1e-5)


def test_categories_of_few_images_are_left_out(evidence):
    few = colours(evidence.dataset).filter(pl.col("stimulus_id").is_in(["tiny/00", "tiny/01"]))
    with pytest.raises(NotFoundError, match="10 of the 135 test images"):
        response_truth(evidence, few, VOXELS)


class Filed(TinyDataset):
    def __init__(self, **paths: str) -> None:
        super().__init__()
        self.stimuli = pl.DataFrame({"stimulus_id": list(paths), "uri": list(paths.values())})


def test_images_are_named_by_id_by_file_or_by_stem(tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("image,category\na1,animal\nsomewhere/dog.png,animal\ncow,animal\ncow,food\nnobody.png,food\n")
    found = shown_by(Filed(a1="/x/cat.png", a2="/x/dog.jpg", a3="/y/cow.png"), labels)
    assert found.rows() == [("a1", "animal"), ("a2", "animal"), ("a3", "animal"), ("a3", "food")]


def test_images_of_one_name_in_two_folders_are_told_apart_by_their_paths(tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("image,category\ncats/001.png,cat\n./dogs/001,dog\n/x/dogs/scene.002.png,dog\n")
    paths = {"c": "/x/cats/001.png", "d": "/x/dogs/001.png", "e": "/x/dogs/scene.001.png", "f": "/x/dogs/scene.002.png"}
    assert shown_by(Filed(**paths), labels).rows() == [("c", "cat"), ("d", "dog"), ("f", "dog")]
    for name in ("001.png", "elsewhere/001.jpg", "001"):
        labels.write_text(f"image,category\n{name},cat\n")
        with pytest.raises(BadInputError, match=f"{name} may be /x/cats/001.png or /x/dogs/001.png; name images by"):
            shown_by(Filed(**paths), labels)


def test_coco_annotations_give_categories_and_supercategories(tmp_path):
    labels = tmp_path / "instances.json"
    content = {
        "images": [{"id": 1003, "file_name": "000000001003.jpg"}, {"id": 9, "file_name": "000000000009.jpg"}],
        "categories": [{"id": 61, "name": "cake", "supercategory": "food"}],
        "annotations": [{"image_id": 1003, "category_id": 61}, {"image_id": 9, "category_id": 61}],
    }
    labels.write_text(json.dumps(content))
    found = shown_by(Filed(a="/coco/000000001003.jpg", b="/coco/000000000001.jpg"), labels)
    assert found.rows() == [("a", "cake"), ("a", "food")]


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        (
            "labels.csv",
            "picture,thing\na,b\n",
            BadInputError,
            "labels.csv: the table needs the columns image and category",
        ),
        ("labels.csv", "image,category\nnobody,face\n", NotFoundError, "names no image of this subject"),
        ("labels.csv", "image,category\na,b,c\n", BadInputError, "line 2: 3 cells, but the header names 2"),
        ("labels.csv", "image,category\n,face\n", BadInputError, "line 2: every row needs the name of an image"),
        ("labels.json", "{}", BadInputError, "not annotations of COCO that can be read"),
        ("labels.json", "[", BadInputError, "not annotations of COCO that can be read"),
    ],
)
def test_bad_labels_are_one_sentence(name, content, error, said, tmp_path):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(error, match=said):
        shown_by(TinyDataset(), path)


def test_labels_that_are_not_there_and_no_labels_at_all_are_said(tmp_path):
    for name in ("none.csv", "none.json"):
        with pytest.raises(NotFoundError, match="is not there"):
            shown_by(TinyDataset(), tmp_path / name)
    with pytest.raises(NotFoundError, match="Nothing says what the images show"):
        shown_by(TinyDataset(), None)


def test_evidence_of_other_data_is_refused():
    config = tiny_config(data_sha256="other")
    with pytest.raises(BadInputError, match=r"tiny/1 on this machine have fingerprint .*, and m was"):
        StudyData.of("m", config, TinyDataset())


def test_refits_find_the_signal_and_nothing_in_shuffled_responses():
    dataset = TinyDataset()
    config = tiny_config(data_sha256=dataset.fingerprint, test_share=0.4, significance="correlation")
    evidence = StudyData.of("m", config, dataset)
    features = np.array([[colour == name for name in TinyDataset.COLOURS] for colour in dataset._colours], np.float32)
    curve = learning_curve(evidence, features, VOXELS[:9])
    assert curve["n_train"].n_unique() == 7
    last = curve.filter(pl.col("n_train") == pl.col("n_train").max())
    assert last["r"].min() > 0.5
    control = shuffled_control(evidence, features, VOXELS[:9])
    measured, shuffled = (control.filter(responses=kind) for kind in ("measured", "shuffled"))
    assert measured["r"].to_numpy() == pytest.approx(last["r"].to_numpy(), abs=1e-6)
    assert measured["q"].max() < 0.01
    assert shuffled["r"].abs().max() < 0.5
    assert (shuffled["q"] <= 0.05).sum() <= 1


def test_samples_are_drawn_without_replacement_and_small_sets_are_taken_whole():
    assert sampled(VOXELS[::-1], 20).tolist() == VOXELS.tolist()
    drawn = sampled(np.arange(100, dtype=np.int32), 30)
    assert len(set(drawn.tolist())) == 30
    assert (np.diff(drawn) > 0).all()
