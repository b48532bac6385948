"""What a simulated subject is tuned to, and that its responses are what the planting and the noise ceiling say."""

import numpy as np
import pytest

from voxel_atlas.ingest.simulated.planting import (
    CONCEPTS,
    EARLY,
    PREFERRED,
    Chosen,
    Cortex,
    Planting,
    choose_voxels,
    patch_contrast,
    plant,
    shown,
)
from voxel_atlas.ingest.simulated.scenes.categories import CATEGORY_OF


@pytest.fixture(scope="module")
def cortex() -> Cortex:
    """A block of cortex with one cube for each ROI."""
    mask = np.ones((12, 40, 40), bool)
    rois = {}
    for number, name in enumerate((*EARLY, *[roi for roi in PREFERRED if roi not in ("VWFA", "FOOD")])):
        roi = np.zeros_like(mask)
        y, x = divmod(number, 3)
        roi[4:8, 4 + 12 * y : 8 + 12 * y, 4 + 12 * x : 8 + 12 * x] = True
        rois[name] = roi
    return Cortex(mask, rois, "toy", "toy")


@pytest.fixture(scope="module")
def chosen(cortex: Cortex) -> Chosen:
    return choose_voxels(cortex, 2500)


@pytest.fixture(scope="module")
def planting(chosen: Chosen) -> Planting:
    return plant(chosen, np.random.default_rng(0))


def test_all_region_voxels_are_chosen_and_cortex_around_them(cortex, chosen):
    assert len(chosen.cells) >= 2500
    for name, roi in cortex.rois.items():
        assert set(np.flatnonzero(roi)) == set(chosen.cells[chosen.rois[name]])


def test_simulated_patches_lie_beside_ffa_and_in_no_other_region(cortex, chosen):
    drawn = np.any(list(cortex.rois.values()), axis=0).ravel()
    for patch in ("VWFA", "FOOD"):
        assert len(chosen.rois[patch])
        assert not drawn[chosen.cells[chosen.rois[patch]]].any()


def test_each_voxel_has_one_to_three_concepts_that_sum_to_one(chosen, planting):
    table = planting.table()
    counts = table.group_by("voxel").len()["len"]
    assert table["voxel"].n_unique() == len(chosen.cells)
    assert counts.min() == 1
    assert counts.max() == 3
    for _, group in table.group_by("voxel"):
        assert group["weight"].sum() == pytest.approx(1, abs=1e-5)


def test_the_first_concept_inside_a_region_is_of_its_category(chosen, planting):
    for roi, category in PREFERRED.items():
        planted = planting.table().filter(planting.table()["voxel"].is_in(chosen.rois[roi].tolist()))
        of_category = planted.filter(planted["category"] == category)["voxel"].n_unique()
        assert of_category == len(chosen.rois[roi])


def test_early_voxels_answer_to_contrast_and_to_nothing_else(chosen, planting):
    early = np.isin(chosen.nearest, EARLY)
    assert not planting.weights[early].any()
    assert planting.fields[early].sum(axis=1) == pytest.approx(np.ones(early.sum()))
    assert not planting.fields[~early].any()


def test_the_noise_ceiling_is_the_signals_share_of_the_variance(planting):
    rng = np.random.default_rng(1)
    contents, contrast = rng.random((4000, len(CONCEPTS))), rng.random((4000, 64))
    noise_free = planting.noise_free(contents, contrast)
    measured = planting.measured(noise_free, rng)
    explained = np.array([np.corrcoef(a, b)[0, 1] ** 2 for a, b in zip(noise_free.T, measured.T, strict=True)])
    assert np.abs(explained - planting.ceiling).mean() < 0.02
    assert 0.25 < np.median(planting.ceiling) < 0.35


def test_a_voxel_answers_most_to_its_own_concept_and_less_to_its_category(planting):
    voxel = int(np.flatnonzero((planting.weights > 0).sum(axis=1) == 1)[0])
    own = int(planting.weights[voxel].argmax())
    one_each = np.vstack([np.eye(len(CONCEPTS)), np.zeros(len(CONCEPTS))])
    response = planting.noise_free(one_each, np.zeros((len(one_each), 64)))[:, voxel]
    kin = [i for i, c in enumerate(CONCEPTS) if CATEGORY_OF[c] == CATEGORY_OF[CONCEPTS[own]] and i != own]
    strange = [i for i, c in enumerate(CONCEPTS) if CATEGORY_OF[c] != CATEGORY_OF[CONCEPTS[own]]]
    assert response.argmax() == own
    assert min(response[kin]) > max(response[strange])


def test_what_is_shown_grows_with_area_and_other_things_count_nothing():
    assert 0 < shown("dessert", 0.02) < shown("dessert", 0.1) <= shown("dessert", 0.5) == 1
    assert shown("vehicle", 0.5) == 0


def test_contrast_is_that_of_the_patch():
    image = np.full((64, 64, 3), 128, np.uint8)
    image[:8, :8][::2] = 255
    contrast = patch_contrast(image).reshape(8, 8)
    assert contrast[0, 0] > 0.2
    assert contrast.ravel()[1:] == pytest.approx(np.zeros(63))
