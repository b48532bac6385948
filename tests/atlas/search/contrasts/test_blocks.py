"""The bootstrap over blocks of cortex, beside literal resampling, and where the blocks are."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from voxel_atlas.api.maps.subject_cortex import SubjectCortex
from voxel_atlas.api.report.analysis.recovery import auc_draws
from voxel_atlas.atlas.search.contrasts.blocks import (
    LEAST_P,
    block_sums,
    correlation_draws,
    cortex_blocks,
    estimate,
    mean_draws,
    unplaced_blocks,
)
from voxel_atlas.schemas.errors import NotFoundError
from voxel_atlas.viz.surfaces.surface import load_surface

N, N_BLOCKS = 400, 25


def smooth(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values and truth whose neighbours are alike, and the blocks; none is where the next number is."""
    rng = np.random.default_rng(seed)
    block = rng.permutation(np.arange(N) % N_BLOCKS) * 3
    truth = rng.normal(size=100)[block] + rng.normal(0, 0.3, N)
    values = np.column_stack([truth + rng.normal(size=100)[block], rng.normal(size=N), np.ones(N)])
    return values, truth, block


def literal(statistic, block: np.ndarray, n: int = 3000) -> np.ndarray:
    """A statistic of voxels, whose blocks are drawn one by one."""
    rng, names = np.random.default_rng(1), np.unique(block)
    members = {name: np.flatnonzero(block == name) for name in names}
    return np.array([statistic(np.concatenate([members[b] for b in rng.choice(names, len(names))])) for _ in range(n)])


def alike(drawn: np.ndarray, other: np.ndarray) -> None:
    width = np.ptp(np.quantile(other, [0.025, 0.975]))
    assert np.quantile(drawn, [0.025, 0.5, 0.975]) == pytest.approx(
        np.quantile(other, [0.025, 0.5, 0.975]), abs=0.1 * width
    )


def test_means_are_those_of_blocks_that_are_drawn_one_by_one():
    values, _, block = smooth()
    alike(mean_draws(values, block)[:, 0], literal(lambda rows: values[rows, 0].mean(), block))
    assert (mean_draws(values, block)[:, 2] == 1).all()


def test_correlations_are_those_of_blocks_that_are_drawn_one_by_one():
    values, truth, block = smooth()
    drawn = correlation_draws(values, truth, block)
    alike(drawn[:, 0], literal(lambda rows: stats.pearsonr(values[rows, 0], truth[rows]).statistic, block))
    apart = literal(
        lambda rows: np.subtract(*(stats.pearsonr(values[rows, k], truth[rows]).statistic for k in (0, 1))), block
    )
    alike(drawn[:, 0] - drawn[:, 1], apart)
    assert np.isnan(drawn[:, 2]).all()


def test_areas_are_those_of_blocks_that_are_drawn_one_by_one():
    values, truth, block = smooth()
    score, positive = np.round(values[:, 0], 1), truth > 0.5

    def area(rows: np.ndarray) -> float:
        ours, others = score[rows][positive[rows]], score[rows][~positive[rows]]
        return float(((ours[:, None] > others) + 0.5 * (ours[:, None] == others)).mean())

    drawn = auc_draws(score, positive, block)
    alike(drawn, literal(area, block, 1000))
    assert area(np.arange(N)) == pytest.approx(np.median(drawn), abs=0.05)


def test_intervals_hold_the_truth_where_neighbours_are_alike():
    inside = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        block = np.repeat(np.arange(60), 10)
        values = 1 + rng.normal(size=60)[block] + rng.normal(0, 0.2, 600)
        found = estimate(mean_draws(values[:, None], block)[:, 0], float(values.mean()))
        inside.append(found.low <= 1 <= found.high)
    assert 0.89 < np.mean(inside) < 0.99


def test_p_is_never_below_its_smallest_step_and_one_where_there_is_nothing():
    drawn = np.random.default_rng(0).normal(5, 0.1, 4999)
    assert estimate(drawn, 5.0).p == LEAST_P == pytest.approx(1 / 5000)
    assert estimate(drawn - 5, 0.0).p == 1


def test_too_few_blocks_say_nothing():
    values, truth, _ = smooth()
    for draws in (mean_draws(values, np.arange(N) % 2), correlation_draws(values, truth, np.zeros(N, int))):
        assert np.isnan(estimate(draws[:, 0], 0.3)).all()


def test_sums_are_of_each_block():
    assert block_sums(np.arange(6.0)[:, None], np.array([7, 2, 7, 2, 2, 9])).ravel().tolist() == [8, 2, 5]


def test_blocks_of_a_volume_are_cubes_of_a_centimetre(tmp_path: Path):
    surface = load_surface("S1", "fullhead", tmp_path, None)
    cells = surface.vertex_cells()
    cells = np.unique(cells[cells >= 0]).astype(np.int64)[::7]
    block = cortex_blocks(SubjectCortex("S1", surface, cells, {}).places)
    z, y, x = np.unravel_index(cells, surface.shape)
    mm = (np.column_stack([x, y, z, np.ones_like(x)]) @ np.linalg.inv(surface.transform_matrix()).T)[:, :3]
    for name in np.unique(block)[::20]:
        assert np.ptp(mm[block == name], axis=0).max() <= 10
    assert 500 < len(np.unique(block)) < len(cells) / 3


def test_a_mesh_that_is_not_drawn_in_full_says_no_blocks(tmp_path: Path):
    coarse, dense = (load_surface(name, None, tmp_path, None) for name in ("fsaverage5", "fsaverage6"))
    places = [SubjectCortex("S1", surface, np.arange(surface.n_cells), {}).places for surface in (coarse, dense)]
    drawn = np.r_[np.arange(10_242), 40_962 + np.arange(10_242)]
    assert np.array_equal(places[1][drawn], places[0])
    assert np.isnan(np.delete(places[1], drawn, axis=0)).all()
    assert len(cortex_blocks(SubjectCortex("S1", dense, drawn, {}).places)) == len(drawn)
    with pytest.raises(NotFoundError, match="Where 61,440 of 81,924 voxels lie is not known"):
        cortex_blocks(SubjectCortex("S1", dense, np.arange(dense.n_cells), {}).places)


def test_voxels_whose_places_are_not_known_are_drawn_by_themselves_or_in_groups_at_random():
    assert sorted(unplaced_blocks(7)) == list(range(7))
    many = unplaced_blocks(5000)
    assert (np.bincount(many) == 5).all()
    assert abs(np.corrcoef(many, np.arange(5000))[0, 1]) < 0.1
