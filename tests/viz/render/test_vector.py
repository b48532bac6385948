import base64
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from voxel_atlas.schemas.errors import BadInputError, SpaceMismatchError
from voxel_atlas.viz.render import vector
from voxel_atlas.viz.render.colormaps import fit_scale
from voxel_atlas.viz.render.picture import Picture
from voxel_atlas.viz.surfaces.surface import Surface

HOSTILE = "<script>alert('$x$')</script> & 🎂 ‮עוגה " + "long " * 60


@pytest.fixture(scope="module")
def values(spheres: Surface) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=spheres.n_cells).astype(np.float32)


def test_svg_has_a_path_for_every_outline_and_text_for_every_word(
    spheres: Surface, values: NDArray[np.float32]
) -> None:
    outlines = spheres.roi_outlines()
    picture = Picture(values, fit_scale(values), outlines=outlines, title="Cake", unit="cosine", note="simulated")
    svg = vector.render(picture, spheres.pixel_map(300), "svg")
    root = ElementTree.fromstring(svg)
    ids = {element.get("id") for element in root.iter()}
    assert {f"{name}-0" for name in outlines} <= ids
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Cake", "cosine", "simulated", "SQUARE", "CIRCLE"} <= texts
    assert len(list(root.iter("{http://www.w3.org/2000/svg}image"))) == 2


def test_an_outline_lies_where_it_lies_on_the_picture(spheres: Surface, values: NDArray[np.float32]) -> None:
    outlines, pixels = spheres.roi_outlines(), spheres.pixel_map(300)
    picture = Picture(values, fit_scale(values), outlines=outlines, names=False)
    root = ElementTree.fromstring(vector.render(picture, pixels, "svg"))
    width, height = (float(root.get(name, "").removesuffix("pt")) for name in ("width", "height"))
    assert height / width == pytest.approx(pixels.height / pixels.width, rel=0.01)
    group = next(element for element in root.iter() if element.get("id") == "SQUARE-0")
    numbers = [float(part) for part in group[0].get("d", "").replace("M", "").replace("L", "").replace("z", "").split()]
    drawn = np.array(numbers).reshape(-1, 2) / (width, height)
    assert np.allclose(drawn[: len(outlines["SQUARE"][0])], outlines["SQUARE"][0], atol=0.002)


@pytest.mark.parametrize("form", ["svg", "pdf"])
def test_equal_requests_give_equal_files(spheres: Surface, values: NDArray[np.float32], form: str) -> None:
    picture = Picture(values, fit_scale(values), outlines=spheres.roi_outlines(), title="a", unit="b")
    one, other = (vector.render(picture, spheres.pixel_map(300), form) for _ in range(2))
    assert one == other
    assert one.startswith(b"<?xml" if form == "svg" else b"%PDF")


@pytest.mark.parametrize("form", ["svg", "pdf"])
def test_any_text_and_value_can_stand_in_a_figure(spheres: Surface, values: NDArray[np.float32], form: str) -> None:
    strange = values.copy()
    strange[::2], strange[1::4] = np.nan, np.inf
    outlines = {HOSTILE: spheres.roi_outlines()["SQUARE"]}
    picture = Picture(strange, fit_scale(strange), outlines=outlines, title=HOSTILE, unit=HOSTILE, note=HOSTILE)
    figure = vector.render(picture, spheres.pixel_map(100), form)
    if form == "svg":
        root = ElementTree.fromstring(figure)
        assert not list(root.iter("{http://www.w3.org/2000/svg}script"))


@pytest.mark.parametrize("form", ["svg", "pdf"])
def test_a_map_of_colours_has_its_names_as_text_beside_squares_of_their_colours(spheres: Surface, form: str) -> None:
    rgb = np.tile(np.float32([0.2, 0.4, 0.6]), (spheres.n_cells, 1))
    picture = Picture(
        rgb,
        outlines=spheres.roi_outlines(),
        title="Labels",
        legend=[("cake", (51, 102, 153)), (HOSTILE, (255, 0, 0))],
        note="simulated",
    )
    drawn = [vector.render(picture, spheres.pixel_map(300), form) for _ in range(2)]
    assert drawn[0] == drawn[1]
    if form == "svg":
        root = ElementTree.fromstring(drawn[0])
        texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
        assert {"Labels", "cake", "simulated", "SQUARE"} <= texts
        styles = [element.get("style", "") for element in root.iter("{http://www.w3.org/2000/svg}path")]
        assert any("fill: #336699" in style for style in styles)
        (image,) = root.iter("{http://www.w3.org/2000/svg}image")
        encoded = image.get("{http://www.w3.org/1999/xlink}href", "").split("base64,")[1]
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGBA"))
        coloured = np.ptp(pixels[..., :3], axis=2) > 0
        assert coloured.mean() > 0.1
        assert (pixels[coloured] == (51, 102, 153, 255)).all()


def test_bad_requests_are_refused(spheres: Surface, values: NDArray[np.float32]) -> None:
    scale = fit_scale(values)
    with pytest.raises(BadInputError, match="svg or pdf"):
        vector.render(Picture(values, scale), spheres.pixel_map(100), "gif")
    with pytest.raises(SpaceMismatchError):
        vector.render(Picture(values[1:], scale), spheres.pixel_map(100), "svg")
