"""Every kind of picture against one that was looked at and kept: nothing may turn, move or change colour unnoticed.

To renew one, delete its file, run the test, look at what it wrote, and commit that.
"""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from voxel_atlas.viz.render import png
from voxel_atlas.viz.render.colormaps import Scale, fit_scale
from voxel_atlas.viz.render.contours import contours
from voxel_atlas.viz.render.picture import Picture
from voxel_atlas.viz.surfaces.pixel_map import PixelMap
from voxel_atlas.viz.surfaces.projection import VIEWS
from voxel_atlas.viz.surfaces.surface import Surface, regions

REFERENCES = Path(__file__).with_name("references")
WIDTH = 200
LARGEST_SHARE, TOLERANCE = 0.005, 12
"""Share of pixels that may differ by more than so much of 255: fonts and rounding differ a little between machines."""


@pytest.fixture(scope="module")
def pattern(spheres: Surface) -> NDArray[np.float32]:
    """What grows to the right, more to the front and most upwards, with no values at the far left."""
    z, y, x = np.mgrid[tuple(slice(0, n) for n in spheres.shape)]
    values = (x / spheres.shape[2] + 2 * y / spheres.shape[1] + 4 * z / spheres.shape[0]).astype(np.float32)
    values[:, :, : spheres.shape[2] // 3] = np.nan
    return values.ravel()


@pytest.fixture(scope="module")
def colours(pattern: NDArray[np.float32]) -> NDArray[np.float32]:
    share = (pattern - np.nanmin(pattern)) / np.ptp(pattern[np.isfinite(pattern)])
    return np.stack([share, 1 - share, np.full_like(share, 0.4)], 1)


@pytest.fixture(scope="module")
def rois(store: Path, cache: Path) -> dict[str, NDArray[np.bool_]]:
    return regions("spheres", None, cache, store)[1]


Pictures = dict[str, Callable[[], bytes]]


@pytest.fixture(scope="module")
def pictures(spheres: Surface, pattern: Any, colours: Any, rois: Any) -> Pictures:
    text = {"title": "A title", "note": "simulated"}
    pixels, outlines = spheres.pixel_map(WIDTH), spheres.roi_outlines()

    def flat(values: Any, **options: Any) -> bytes:
        return png.render(Picture(values, scaled(values, pixels), outlines=outlines, **options), pixels)

    def scaled(values: Any, shown: PixelMap) -> Scale:
        return fit_scale(values[shown.cells])

    def view(name: str) -> bytes:
        shown = spheres.view(WIDTH, views=(name,))
        lines = contours(shown.vertex, rois)
        return png.render(Picture(pattern, scaled(pattern, shown), outlines=lines, unit="quantity", **text), shown)

    def inflated_colours() -> bytes:
        shown = spheres.view(WIDTH)
        lines = contours(shown.vertex, rois)
        return png.render(Picture(colours, outlines=lines, legend=[("red", (255, 0, 100))], **text), shown)

    legend = [("red", (255, 0, 100)), ("green", (0, 255, 100))]
    return {
        "flat": lambda: flat(pattern, unit="quantity", **text),
        "flat-diverging": lambda: flat(pattern - 3, unit="quantity"),
        "flat-opacity": lambda: flat(pattern, alpha=pattern / 7),
        "flat-clear": lambda: flat(pattern, transparent=True),
        "flat-colours": lambda: png.render(Picture(colours, outlines=outlines, legend=legend, **text), pixels),
        "inflated-colours": inflated_colours,
        **{name: partial(view, name) for name in VIEWS},
    }


@pytest.mark.parametrize(
    "name",
    ["flat", "flat-diverging", "flat-opacity", "flat-clear", "flat-colours", "inflated-colours", *VIEWS],
)
def test_the_picture_is_the_one_that_was_looked_at(pictures: Pictures, name: str) -> None:
    png, path = pictures[name](), REFERENCES / f"{name}.png"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png)
        pytest.fail(f"There was no {path}; now there is: look at it, and commit it.")
    wanted, shown = (
        np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"), int) for content in (path.read_bytes(), png)
    )
    assert shown.shape == wanted.shape
    assert (np.abs(shown - wanted).max(2) > TOLERANCE).mean() <= LARGEST_SHARE


@pytest.mark.parametrize("change", ["mirrored", "upside down", "shifted", "other colours"])
def test_the_comparison_notices_changes(pictures: Pictures, change: str) -> None:
    shown = np.asarray(Image.open(io.BytesIO(pictures["flat"]())).convert("RGBA"), int)
    changed = {
        "mirrored": shown[:, ::-1],
        "upside down": shown[::-1],
        "shifted": np.roll(shown, 3, axis=1),
        "other colours": shown[..., [2, 1, 0, 3]],
    }[change]
    assert (np.abs(shown - changed).max(2) > TOLERANCE).mean() > LARGEST_SHARE
