import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from voxel_atlas.schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from voxel_atlas.viz.render import png
from voxel_atlas.viz.render.colormaps import fit_scale
from voxel_atlas.viz.render.contours import contours
from voxel_atlas.viz.render.picture import Picture
from voxel_atlas.viz.surfaces.pixel_map import View
from voxel_atlas.viz.surfaces.projection import VIEWS
from voxel_atlas.viz.surfaces.surface import Surface, regions

AWAY = {
    "lateral": {"left": (-1, 0, 0), "right": (1, 0, 0)},
    "medial": {"left": (1, 0, 0), "right": (-1, 0, 0)},
    "ventral": dict.fromkeys(("left", "right"), (0, 0, -1)),
    "posterior": dict.fromkeys(("left", "right"), (0, -1, 0)),
    "dorsal": dict.fromkeys(("left", "right"), (0, 0, 1)),
    "anterior": dict.fromkeys(("left", "right"), (0, 1, 0)),
}
"""View → the side of each hemisphere that faces the viewer."""


def pixels_of(png: bytes) -> NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"), np.int16)


def drawn(values: NDArray[np.float32], view: View, **options: Any) -> NDArray[np.int16]:
    return pixels_of(png.render(Picture(values, fit_scale(values), **options), view))


def lit(surface: Surface, seen: View, cell: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where a picture changes when one cell gets a value."""
    dark = np.full(surface.n_cells, np.nan, np.float32)
    bright = dark.copy()
    bright[cell] = 1
    rows, columns = np.nonzero((drawn(bright, seen) != drawn(dark, seen)).any(2))
    return rows, columns


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_lit_vertex_is_seen_from_its_side_alone(sphere_vertices: Surface, centres: Any, view: str, side: str) -> None:
    points = sphere_vertices.mesh("inflated").points
    towards = np.array(AWAY[view][side], float)
    near = int(np.linalg.norm(points - (centres[side] + 25 * towards), axis=1).argmin())
    far = int(np.linalg.norm(points - (centres[side] - 25 * towards), axis=1).argmin())
    seen = sphere_vertices.view(width=300, views=(view,))
    rows, columns = lit(sphere_vertices, seen, near)
    on_the_left = (side == "left") != (view in ("ventral", "anterior"))
    assert len(rows)
    assert ((columns < 150) == on_the_left).all()
    caption = next((x, y) for text, x, y in seen.captions if text == f"{side} {view}")
    assert abs(columns.mean() - caption[0]) < 5
    assert len(lit(sphere_vertices, seen, far)[0]) == 0


@pytest.mark.parametrize(
    ("view", "side", "place", "right", "up"),
    [
        ("lateral", "left", (-0.8, 0.6, 0), -1, 0),  # anterior lies at the left of a left hemisphere seen from outside
        ("lateral", "right", (0.8, 0.6, 0), 1, 0),
        ("medial", "left", (0.8, 0.6, 0), 1, 0),
        ("medial", "right", (-0.8, 0.6, 0), -1, 0),
        ("lateral", "left", (-0.8, 0, 0.6), 0, 1),
        ("posterior", "left", (0.6, -0.8, 0), 1, 0),
        ("anterior", "left", (0.6, 0.8, 0), -1, 0),
        ("dorsal", "right", (0, 0.6, 0.8), 0, 1),
        ("ventral", "right", (0, 0.6, -0.8), 0, 1),
        ("ventral", "right", (0.6, 0, -0.8), -1, 0),
    ],
)
def test_views_are_not_mirrored(
    sphere_vertices: Surface, centres: Any, view: str, side: str, place: Any, right: int, up: int
) -> None:
    points = sphere_vertices.mesh("inflated").points
    vertex = int(np.linalg.norm(points - (centres[side] + 25 * np.array(place)), axis=1).argmin())
    seen = sphere_vertices.view(width=300, views=(view,))
    rows, columns = lit(sphere_vertices, seen, vertex)
    shown = np.nonzero(np.isin(seen.vertex, np.flatnonzero(np.sign(points[:, 0]) == (-1 if side == "left" else 1))))
    middle_row, middle_column = (np.ptp(where) / 2 + where.min() for where in shown)
    radius = np.ptp(shown[0]) / 2
    assert (columns.mean() - middle_column) / radius == pytest.approx(0.6 * right, abs=0.12)
    assert (middle_row - rows.mean()) / radius == pytest.approx(0.6 * up, abs=0.12)


def test_a_lit_voxel_is_seen(spheres: Surface, centres: Any, voxel_at: Any) -> None:
    seen = spheres.view(width=300, views=("lateral", "medial"))
    rows, columns = lit(spheres, seen, voxel_at(centres["right"] + (20, 0, 0)))
    assert len(rows)
    assert (columns > 150).all()
    assert (rows < seen.height / 2).all()


def test_what_faces_the_viewer_is_brightest(spheres: Surface) -> None:
    seen = spheres.view(width=300, views=("lateral",))
    inside = seen.inside
    assert seen.light[inside].max() > 250
    rows, columns = np.nonzero(inside)
    left = columns < 150
    distance = np.hypot(rows[left] - rows[left].mean(), columns[left] - columns[left].mean())
    assert np.corrcoef(distance, seen.light[inside][left])[0, 1] < -0.9


@pytest.mark.parametrize("kind", ["inflated", "pia", "wm", "fiducial"])
def test_every_solid_surface_can_be_seen(spheres: Surface, kind: str) -> None:
    values = np.random.default_rng(0).normal(size=spheres.n_cells).astype(np.float32)
    seen = spheres.view(width=200, kind=kind)
    picture = drawn(values, seen, title="t", unit="c", note="n", transparent=True)
    assert picture.shape[1] == 200
    assert len(seen.captions) == 8


def test_regions_are_outlined(sphere_vertices: Surface, cache: Path, store: Path) -> None:
    _, rois = regions("spheres", None, cache, store)
    seen = sphere_vertices.view(width=400, views=("lateral", "medial"))
    found = contours(seen.vertex, rois)
    assert set(found) == {"SQUARE", "CIRCLE"}
    assert all((path[:, 1] < 0.5).all() for paths in found.values() for path in paths)
    assert all((path[:, 0] < 0.5).all() for path in found["SQUARE"])
    values = np.zeros(sphere_vertices.n_cells, np.float32)
    bare, outlined = (drawn(values, seen, outlines=outlines) for outlines in (None, found))
    assert 50 < (bare != outlined).any(2).sum() < 6000


@pytest.mark.parametrize("width", [90, 300, 400])
def test_a_view_can_be_had_in_any_width(spheres: Surface, width: int) -> None:
    built = spheres.view(width=300, views=("lateral",))
    other = built.at(width)
    values = np.random.default_rng(0).normal(size=spheres.n_cells).astype(np.float32)
    picture = drawn(values, other)
    assert picture.shape[1] == width
    assert picture.shape[0] == pytest.approx(built.height * width / 300, abs=1)
    assert other.vertex.shape == other.light.shape == other.shape
    assert [text for text, *_ in other.captions] == [text for text, *_ in built.captions]
    assert [x / width for _, x, _ in other.captions] == pytest.approx([x / 300 for _, x, _ in built.captions])


def test_unknown_views_and_kinds_are_answered_with_the_known_ones(spheres: Surface) -> None:
    with pytest.raises(NotFoundError, match=r"sideways.*lateral"):
        spheres.view(views=("sideways",))
    with pytest.raises(NotFoundError, match="none given"):
        spheres.view(views=())
    for kind in ("very_inflated", "flat"):
        with pytest.raises(NotFoundError, match="inflated, pia"):
            spheres.view(kind=kind)
    with pytest.raises(BadInputError, match="wide"):
        spheres.view(width=3)
    with pytest.raises(SpaceMismatchError):
        drawn(np.ones(4, np.float32), spheres.view(width=120))
