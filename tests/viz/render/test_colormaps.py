import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from voxel_atlas.schemas.errors import BadInputError, NotFoundError
from voxel_atlas.viz.render import palette
from voxel_atlas.viz.render.colormaps import (
    COLOUR_BLIND_SAFE,
    DIVERGING,
    SUGGESTED,
    Scale,
    colours,
    fit_scale,
    logarithmic_scale,
)
from voxel_atlas.viz.render.legend import number

floats = hnp.arrays(np.float32, st.integers(0, 20), elements=st.floats(-1e6, 1e6, width=32) | st.just(np.nan))
bounds = st.none() | st.floats(-1e5, 1e5)


@given(floats, bounds, bounds, st.sampled_from(["auto", "RdBu_r", "viridis"]))
def test_a_scale_always_has_a_range(values: np.ndarray, vmin: float | None, vmax: float | None, colormap: str) -> None:
    if vmin is not None and vmax is not None and vmin >= vmax:
        with pytest.raises(BadInputError, match="vmin must be below vmax"):
            fit_scale(values, colormap, vmin, vmax)
        return
    scale = fit_scale(values, colormap, vmin, vmax)
    assert np.isfinite([scale.vmin, scale.vmax]).all()
    assert scale.vmin < scale.vmax
    assert vmin is None or scale.vmin == vmin
    assert vmax is None or scale.vmax == vmax


@given(floats)
def test_diverging_scales_are_centred_on_zero(values: np.ndarray) -> None:
    scale = fit_scale(values, "RdBu_r")
    finite = values[np.isfinite(values)]
    if len(finite) and np.abs(finite).max() > 0 and np.ptp(np.abs(finite)) > 0:
        assert scale.vmin == -scale.vmax


@given(floats)
def test_the_range_runs_from_the_1st_to_the_99th_percentile(values: np.ndarray) -> None:
    finite = values[np.isfinite(values)].astype(np.float64)
    if len(finite) and np.ptp(np.percentile(finite, [1, 99])) > 1e-3:
        scale = fit_scale(values, "viridis")
        assert [scale.vmin, scale.vmax] == pytest.approx(np.percentile(finite, [1, 99]), rel=1e-9, abs=1e-9)


@given(floats, st.integers(2, 256))
def test_places_rise_with_the_values(values: np.ndarray, n: int) -> None:
    scale = Scale("viridis", -1.0, 2.0)
    finite = np.sort(values[np.isfinite(values)])
    places = scale.positions(finite, n)
    assert (np.diff(places.astype(int)) >= 0).all()
    assert (places < n).all()


def test_infinite_values_get_the_colours_of_the_ends() -> None:
    values = np.array([-np.inf, -1, 0, 1, np.inf, np.nan], np.float32)
    assert Scale("viridis", -1.0, 1.0).positions(values, 256).tolist() == [0, 0, 128, 255, 255, 0]
    assert fit_scale(values) == fit_scale(values[1:4])


def test_the_colormap_follows_the_signs() -> None:
    assert fit_scale(np.array([-1, 1], np.float32)).colormap == "RdBu_r"
    assert fit_scale(np.array([0, 1], np.float32)).colormap == "viridis"


def test_equal_values_are_in_the_middle_of_their_scale() -> None:
    scale = fit_scale(np.full(5, 3, np.float32))
    assert scale.vmin < 3 < scale.vmax


@pytest.mark.parametrize(("name", "bound"), [("vmin", np.nan), ("vmax", np.inf)])
def test_a_bound_must_be_finite(name: str, bound: float) -> None:
    with pytest.raises(BadInputError, match=name):
        fit_scale(np.ones(3, np.float32), **{name: bound})


def test_an_unknown_colormap_is_answered_with_the_suggested_ones() -> None:
    with pytest.raises(NotFoundError, match=r"'rainbows'.*RdBu_r.*viridis"):
        fit_scale(np.ones(3, np.float32), "rainbows")


def test_all_named_colormaps_exist() -> None:
    assert {*DIVERGING, *COLOUR_BLIND_SAFE, *SUGGESTED.values()} <= set(mpl.colormaps)


def test_suggested_colormaps_are_safe_for_the_colour_blind() -> None:
    assert set(SUGGESTED.values()) <= set(COLOUR_BLIND_SAFE)


@pytest.mark.parametrize("name", [*COLOUR_BLIND_SAFE, "coolwarm", "gray", "Greys"])
def test_palettes_of_gradients_are_exact_to_one_step(name: str) -> None:
    slots = palette.colour_slots(name)
    shown = palette.palette(name, transparent=False)[slots, :3].astype(int)
    assert np.abs(shown - colours(name)).max() <= 1
    assert slots.min() >= palette.FIRST_COLOUR
    assert slots.max() < palette.FIRST_COLOUR + palette.COLOURS


def test_rates_are_coloured_by_powers_of_ten() -> None:
    scale = logarithmic_scale("magma")
    assert (scale.vmin, scale.middle, scale.vmax) == (1e-6, pytest.approx(1e-3), 1)
    values = np.array([0, 1e-9, 1e-6, 1e-3, 0.999, 1, np.nan], np.float32)
    places = scale.positions(values, 256)
    assert places.tolist()[:3] == [0, 0, 0]
    assert abs(int(places[3]) - 128) <= 1
    assert places.tolist()[4:] == [255, 255, 0]
    for lo, hi in ((0.0, 1.0), (-1.0, None), (0.1, 0.01)):
        with pytest.raises(BadInputError, match="log scale"):
            logarithmic_scale("magma", lo, hi)


@pytest.mark.parametrize(("end", "written"), [(0.3, "0.30"), (-4.9, "−4.9"), (9.8, "9.8"), (120, "120")])
def test_the_end_of_a_range_is_written_as_it_is(end: float, written: str) -> None:
    assert number(end, 2 * abs(end)) == written
