import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from voxel_atlas.schemas.errors import SpaceMismatchError
from voxel_atlas.viz.render import palette, png
from voxel_atlas.viz.render.colormaps import Scale, colours, fit_scale
from voxel_atlas.viz.render.picture import Picture
from voxel_atlas.viz.surfaces.pixel_map import PixelMap
from voxel_atlas.viz.surfaces.surface import Surface, load_surface

Quietly = Callable[..., Any]


def pixels_of(png: bytes) -> NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"), np.int16)


def drawn(values: Any, pixels: PixelMap, **options: Any) -> NDArray[np.int16]:
    """A picture of values, in colours that suit them."""
    return pixels_of(png.render(Picture(values, fit_scale(values), **options), pixels))


@pytest.fixture(scope="module")
def pixel_map(spheres: Surface) -> PixelMap:
    return spheres.pixel_map(300)


@pytest.fixture(scope="module")
def values(spheres: Surface) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=spheres.n_cells).astype(np.float32)


@pytest.fixture(scope="module")
def nothing(spheres: Surface) -> NDArray[np.float32]:
    return np.full(spheres.n_cells, np.nan, np.float32)


def agreement_with_pycortex(
    surface: Surface, cortex: Any, quietly: Quietly, width: int, colormap: str, alpha: bool
) -> float:
    """Share of the pixels inside the cortex that differ by 2 of 255 at most from pycortex's own figure."""
    volume = np.random.default_rng(1).random(surface.shape).astype(np.float32)
    pixels = surface.pixel_map(width)
    data = cortex.Volume(volume, surface.name, surface.transform, vmin=0.1, vmax=0.8, cmap=colormap)
    file = io.BytesIO()
    options = {f"with_{part}": False for part in ("rois", "labels", "colorbar", "curvature")}
    quietly(cortex.quickflat.make_png, file, data, height=pixels.height, thick=1, depth=0.5, **options)
    opaque = np.ones(volume.size, np.float32) if alpha else None
    ours = png.render(Picture(volume.ravel(), Scale(colormap, 0.1, 0.8), opaque), pixels)
    theirs = np.asarray(Image.open(file).convert("RGBA"), np.int16)
    difference = np.abs(theirs - pixels_of(ours))[..., :3].max(2)
    return float((difference[pixels.inside] <= 2).mean())


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("colormap", ["RdBu_r", "viridis"])
def test_the_picture_is_pycortexs_own(
    spheres: Surface, cortex: Any, look_at: Any, quietly: Quietly, colormap: str, alpha: bool
) -> None:
    look_at(spheres)
    assert agreement_with_pycortex(spheres, cortex, quietly, 300, colormap, alpha) >= 0.99


@pytest.mark.slow
def test_the_picture_of_s1_is_pycortexs_own(cache: Path, cortex: Any, look_at: Any, quietly: Quietly) -> None:
    surface = load_surface("S1", "fullhead", cache)
    look_at(surface)
    assert agreement_with_pycortex(surface, cortex, quietly, 1024, "RdBu_r", False) >= 0.99


@pytest.mark.parametrize("side", ["left", "right"])
def test_one_lit_voxel_lights_its_pixels_alone(
    spheres: Surface, pixel_map: PixelMap, nothing: Any, centres: Any, voxel_at: Any, side: str
) -> None:
    lit = voxel_at(centres[side] + (-20 if side == "left" else 20, 0, 0))
    one = nothing.copy()
    one[lit] = 1.0
    picture, dark = drawn(one, pixel_map), drawn(nothing, pixel_map)
    changed = (picture != dark).any(2)
    assert np.array_equal(changed, pixel_map.index == lit)
    columns = np.nonzero(changed)[1]
    assert ((columns < pixel_map.width / 2) == (side == "left")).all()
    assert len(np.unique(picture[changed], axis=0)) == 1


def test_curvature_shows_where_there_is_no_value(pixel_map: PixelMap, nothing: Any) -> None:
    picture = drawn(nothing, pixel_map)
    grey = picture[pixel_map.inside]
    assert (grey[:, 0] == grey[:, 1]).all()
    assert (grey[:, 0] == grey[:, 2]).all()
    assert (grey[:, 0] < 255).all()
    assert (picture[~pixel_map.inside] == 255).all()


def test_gyri_are_lighter_than_sulci() -> None:
    table = palette.palette("viridis", transparent=False)
    sulcus, gyrus = palette.shades(np.array([0, 255], np.uint8))
    assert table[sulcus, 0] < table[gyrus, 0]


def test_clear_background_is_clear_outside_only(pixel_map: PixelMap, values: Any) -> None:
    for alpha in (None, np.ones_like(values)):
        picture = drawn(values, pixel_map, alpha=alpha, transparent=True)
        assert np.array_equal(picture[..., 3] == 255, pixel_map.inside)
        assert (picture[~pixel_map.inside, 3] == 0).all()


def test_alpha_mixes_value_and_curvature(pixel_map: PixelMap, values: Any, nothing: Any) -> None:
    def shown(alpha: float) -> Any:
        return drawn(values, pixel_map, alpha=np.full_like(values, alpha))

    assert np.array_equal(shown(0), drawn(nothing, pixel_map))
    half = (shown(0) + shown(1)) / 2
    assert np.abs(shown(0.5) - half).max() <= 1
    assert np.array_equal(shown(np.nan), shown(0))
    assert np.array_equal(shown(7), shown(1))


def test_both_kinds_of_picture_agree(pixel_map: PixelMap, values: Any, spheres: Surface) -> None:
    plain = drawn(values, pixel_map, outlines=spheres.roi_outlines())
    true = drawn(values, pixel_map, outlines=spheres.roi_outlines(), alpha=np.ones_like(values))
    difference = np.abs(plain - true).max(2)
    assert (difference <= 1).mean() > 0.9
    assert np.abs(plain.mean((0, 1)) - true.mean((0, 1))).max() < 1


def test_outlines_change_pixels_near_them_only(pixel_map: PixelMap, values: Any, spheres: Surface) -> None:
    outlines = {"SQUARE": spheres.roi_outlines()["SQUARE"]}
    bare = drawn(values, pixel_map)
    outlined = drawn(values, pixel_map, outlines=outlines, names=False)
    rows, columns = np.nonzero((bare != outlined).any(2))
    path = outlines["SQUARE"][0] * (pixel_map.width, pixel_map.height)
    distance = [
        min(
            np.linalg.norm(np.array([x + 0.5, y + 0.5]) - (a + t * (b - a)))
            for a, b in pairwise(path)
            for t in np.linspace(0, 1, 40)
        )
        for x, y in list(zip(columns, rows, strict=True))[::7]
    ]
    assert len(rows) > 100
    assert max(distance) < 5
    assert (outlined[rows, columns, :3] > 200).all(1).any()


@pytest.mark.parametrize(("title", "unit"), [("", ""), ("a title", ""), ("", "R²"), ("a title", "R²")])
@pytest.mark.parametrize("alpha", [False, True])
def test_the_height_is_known_beforehand(pixel_map: PixelMap, values: Any, title: str, unit: str, alpha: bool) -> None:
    opacity = np.ones_like(values) if alpha else None
    picture = Picture(values, fit_scale(values), title=title, unit=unit, alpha=opacity)
    assert pixels_of(png.render(picture, pixel_map)).shape[:2] == (picture.height(pixel_map), 300)


def test_the_colour_bar_runs_through_the_colormap(pixel_map: PixelMap, values: Any) -> None:
    scale = fit_scale(values, "viridis")
    picture = pixels_of(png.render(Picture(values, scale, unit="R²", note="simulated"), pixel_map))
    table = colours("viridis").astype(int)
    strip = picture[pixel_map.height :, :, :3]
    matches = (np.abs(strip[:, :, None] - table[None, None]).max(3) <= 1).any(2)
    row = matches.sum(1).argmax()
    bar = np.flatnonzero(matches[row])
    assert len(bar) > 60
    assert np.abs(strip[row, bar[0]] - table[0]).max() <= 2
    assert np.abs(strip[row, bar[-1]] - table[-1]).max() <= 6


@pytest.mark.parametrize("width", [64, 150, 300, 777])
def test_any_width_can_be_had(pixel_map: PixelMap, values: Any, width: int) -> None:
    picture = drawn(values, pixel_map.at(width))
    assert picture.shape[1] == width
    assert picture.shape[0] == pytest.approx(pixel_map.height * width / 300, abs=1)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert('x')</script>",
        "🎂 cake 🍰",
        "עוגה ‮dlrow",
        "long " * 60,
        "two\nlines\r\tand\x07a bell",
        "\x00",
        "$\\frac{1}{0}$",
        "",
    ],
)
def test_any_text_can_stand_in_a_picture(pixel_map: PixelMap, values: Any, spheres: Surface, text: str) -> None:
    outlines = {text: spheres.roi_outlines()["SQUARE"]}
    assert drawn(values, pixel_map, title=text, unit=text, note=text, outlines=outlines).shape[1] == 300


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf, 3e38, -3e38])
def test_strange_values_make_pictures(pixel_map: PixelMap, values: Any, strange: float) -> None:
    some = values.copy()
    some[::2] = strange
    for shown in (some, np.full_like(values, strange)):
        assert drawn(shown, pixel_map, unit="x").shape[1] == 300


def test_equal_values_make_one_colour(pixel_map: PixelMap, values: Any) -> None:
    picture = drawn(np.full_like(values, 0.3), pixel_map)
    assert len(np.unique(picture[pixel_map.index >= 0], axis=0)) == 1


def test_a_map_of_another_space_is_refused(pixel_map: PixelMap, values: Any, spheres: Surface) -> None:
    for wrong in (values[:-1], values.reshape(spheres.shape), np.zeros(0, np.float32)):
        with pytest.raises(SpaceMismatchError, match=str(spheres.n_cells)):
            drawn(wrong, pixel_map)
    with pytest.raises(SpaceMismatchError):
        drawn(values, pixel_map, alpha=values[:10])
    with pytest.raises(SpaceMismatchError, match="3"):
        png.render(Picture(values), pixel_map)


def test_an_roi_without_a_path_is_no_trouble(pixel_map: PixelMap, values: Any) -> None:
    outlines: dict[str, list[Any]] = {"NONE": [], "POINT": [np.array([[0.5, 0.5]] * 2, np.float32)]}
    assert drawn(values, pixel_map, outlines=outlines).shape[1] == 300


def test_equal_requests_give_equal_bytes(pixel_map: PixelMap, values: Any, spheres: Surface) -> None:
    picture = Picture(values, fit_scale(values), outlines=spheres.roi_outlines(), title="a", unit="b")
    assert png.render(picture, pixel_map) == png.render(picture, pixel_map)


def test_colours_are_shown_as_they_are(pixel_map: PixelMap, values: Any) -> None:
    rgb = np.random.default_rng(0).random((len(values), 3)).astype(np.float32)
    rgb[::3] = np.nan
    legend = [("cake", (200, 30, 40)), ("<b>kitchen</b> " * 20, (0, 0, 255))]
    labelled = Picture(rgb, legend=legend, title="labels", note="simulated")
    picture, bare = (pixels_of(png.render(one, pixel_map)) for one in (labelled, Picture(rgb)))
    assert picture.shape[:2] == (labelled.height(pixel_map), 300)
    shown = (pixel_map.index >= 0) & (pixel_map.index % 3 != 0)
    assert np.abs(bare[shown, :3] - rgb[pixel_map.index[shown]] * 255).max() <= 0.51
    grey = bare[(pixel_map.index >= 0) & (pixel_map.index % 3 == 0)]
    assert (grey[:, 0] == grey[:, 1]).all()
    for colour in ((200, 30, 40), (0, 0, 255)):
        assert (picture[..., :3] == colour).all(2).sum() >= 9


def test_a_picture_of_colours_says_what_it_leaves_out_before_its_note() -> None:
    rgb = np.zeros((3, 3), np.float32)
    for picture in (Picture(rgb, note="a note", left_out="7 are bare"), Picture(rgb, left_out="7 are bare")):
        (strip,) = picture.below(800)
        assert strip.texts[-1].text == ("7 are bare · a note" if picture.note else "7 are bare")
