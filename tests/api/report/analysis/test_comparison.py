"""Differences of two sides over subjects."""

import numpy as np
import polars as pl
import pytest

from voxel_atlas.api.report.analysis.comparison import Comparison, Side
from voxel_atlas.api.report.analysis.statistics import interval


def test_five_subjects_have_an_interval_over_subjects():
    rng = np.random.default_rng(0)
    subjects = [f"s{number}" for number in range(5)]
    a, shift = rng.normal(size=500), rng.normal(0.5, 0.2, 5).repeat(100)
    voxels = pl.DataFrame(
        {
            "subject_id": np.repeat(subjects, 100),
            "quantity": "R²",
            "voxel": np.tile(np.arange(100), 5),
            "a": a,
            "b": a - shift,
        }
    )
    sides = {subject: Side({}, None) for subject in subjects}
    tests = Comparison(sides, sides, pl.DataFrame(), voxels, pl.DataFrame()).tests()
    over = tests.filter(subject_id="over subjects").row(0, named=True)
    assert (over["n"], over["difference"]) == pytest.approx((5, shift.mean()))
    assert over["low"] < shift.mean() < over["high"]
    assert (over["low"], over["high"]) == pytest.approx(interval(shift[::100]))
