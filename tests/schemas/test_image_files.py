"""Pictures of every kind that Pillow opens, as the networks, the page and cards get them."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from voxel_atlas.schemas.errors import BadInputError, NotFoundError
from voxel_atlas.schemas.image_files import read_picture

GREY = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
RGB = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)

Save = Callable[[Image.Image, str], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(picture: Image.Image, name: str) -> Path:
        picture.save(tmp_path / name)
        return tmp_path / name

    return write


def test_a_picture_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "turned.png"), np.rot90(RGB, -1))


@pytest.mark.parametrize("hidden", [(255, 0, 255), (0, 0, 0)])
def test_colour_below_transparent_pixels_is_not_seen(hidden: tuple[int, int, int], save: Save) -> None:
    alpha = np.zeros((48, 64, 1), np.uint8)
    alpha[10:20, 10:20] = 255
    pixels = np.where(alpha == 0, np.array(hidden, np.uint8), RGB)
    read = read_picture(save(Image.fromarray(np.dstack([pixels, alpha])), "clear.png"))
    np.testing.assert_array_equal(read, np.where(alpha == 0, 128, RGB))


def test_half_transparent_pixels_are_half_the_grey_below(save: Save) -> None:
    clear = np.full((48, 64, 4), (200, 0, 100, 128), np.uint8)
    expected = np.rint(np.array([200, 0, 100]) * 128 / 255 + 128 * 127 / 255)
    np.testing.assert_allclose(read_picture(save(Image.fromarray(clear), "half.png"))[0, 0], expected, atol=1)


def test_a_transparent_colour_of_a_palette_is_grey(tmp_path: Path) -> None:
    indexed = Image.new("P", (4, 4), 1)
    indexed.putpalette([255, 0, 255, 10, 20, 30])
    indexed.putpixel((0, 0), 0)
    indexed.save(tmp_path / "palette.png", transparency=0)
    read = read_picture(tmp_path / "palette.png")
    assert read[0, 0].tolist() == [128, 128, 128]
    assert read[1, 1].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("pixels", "name"),
    [
        (GREY, "grey8.png"),
        (GREY.astype(np.uint16) * 257, "grey16.png"),
        (GREY.astype(np.uint16) * 257, "grey16.tif"),
        (GREY.astype(np.int32) * 257, "grey32.tif"),
        ((GREY / 255).astype(np.float32), "float.tif"),
    ],
)
def test_grey_is_the_same_with_any_number_of_bits(pixels: NDArray[np.generic], name: str, save: Save) -> None:
    read = read_picture(save(Image.fromarray(pixels), name))
    np.testing.assert_array_equal(read, np.repeat(GREY[:, :, None], 3, axis=2))


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 255.0), (0.0, float("nan"))])
def test_numbers_that_are_no_grey_are_refused_by_name(low: float, high: float, save: Save) -> None:
    values = np.full((4, 4), low, np.float32)
    values[0, 0] = high
    with pytest.raises(BadInputError, match=r"z-scores\.tif: grey from .* 0 to 1 expected; save it with 8 bits\.$"):
        read_picture(save(Image.fromarray(values), "z-scores.tif"))


def test_four_inks_become_three_colours(save: Save) -> None:
    read = read_picture(save(Image.fromarray(RGB).convert("CMYK"), "inks.tif"))
    np.testing.assert_allclose(read, RGB, atol=1)


def test_a_picture_of_too_many_pixels_is_refused_by_name(save: Save) -> None:
    small = save(Image.new("1", (30, 20)), "small.png")
    with pytest.raises(BadInputError, match=r"small\.png has 30 × 20 pixels"):
        read_picture(small, max_pixels=599)
    huge = save(Image.new("1", (14_000, 13_000)), "huge.png")
    with pytest.raises(BadInputError, match=r"huge\.png.* too large|huge\.png has 14000 × 13000"):
        read_picture(huge)


def test_a_large_picture_is_read_without_a_warning(save: Save) -> None:
    assert read_picture(save(Image.new("1", (9_500, 9_500)), "large.png")).shape == (9_500, 9_500, 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", r"Git LFS; .* `git lfs pull`"),
        (b"/annex/objects/SHA256E-s123--abc.png\n", r"git-annex; .* `datalad get \S+\.png`"),
        (b"<html>", "of no known format"),
    ],
)
def test_a_pointer_in_the_place_of_a_picture_is_said_with_what_fetches_it(
    content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / "pointer.png").write_bytes(content)
    with pytest.raises((BadInputError, NotFoundError), match=rf"pointer\.png: .*{said}"):
        read_picture(tmp_path / "pointer.png")


def test_a_link_of_an_annex_without_its_content_is_said(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(".git/annex/objects/gone")
    with pytest.raises(NotFoundError, match=r"link\.png: a link to content .* `datalad get"):
        read_picture(tmp_path / "link.png")


def test_only_the_formats_that_are_named_are_read() -> None:
    sent = BytesIO()
    Image.fromarray(RGB).save(sent, "TIFF")
    with pytest.raises(BadInputError, match=r"^The image: not a readable image .*; send a file of PNG\.$"):
        read_picture(sent, "The image", formats=("PNG",))
