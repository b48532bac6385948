"""Image files as RGB pixels, in one way for the networks, the page, the API and cards.

Pictures are turned as their EXIF orientation says. What is transparent lies over mid grey (128), which hides whatever
colour is stored below it. Grey of 16 bits is scaled by its type, numbers with a point are taken as 0 … 1. Palettes and
CMYK become RGB, of an animation the first picture is taken.
"""

import io
import warnings
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import BadInputError, NotFoundError
from .files import missing_content

BACKGROUND = (128, 128, 128)
"""RGB of what lies below transparent pixels: LAION-fMRI's pictures were shown over it."""
MAX_PIXELS = 2 * Image.MAX_IMAGE_PIXELS if Image.MAX_IMAGE_PIXELS else 178_956_970
"""Pixels of a picture at most: more are taken for a file that is made to fill the memory, as Pillow does."""


def read_picture(
    file: Path | IO[bytes],
    name: str = "",
    *,
    formats: tuple[str, ...] | None = None,
    max_pixels: int = MAX_PIXELS,
    still: bool = False,
) -> NDArray[np.uint8]:
    """The pixels of an image file as RGB, (height, width, 3).

    Args:
        file: where it is, or an open file.
        name: what messages call it; its path where none is given.
        formats: those that are read, as Pillow names them; None for all.
        max_pixels: larger pictures are refused before they are decoded.
        still: whether animations are refused.

    Raises:
        NotFoundError: there is no such file.
        BadInputError: it is no image, ends early, is too large, moves, or has pixels that say no colours.
    """
    name = name or str(file)
    if isinstance(file, Path) and (reason := missing_content(file)):
        raise NotFoundError(f"{name}: {reason}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=formats) as picture:
                return _rgb(picture, name, max_pixels, still=still)
    except BadInputError:
        raise
    except FileNotFoundError:
        raise no_image(name) from None
    except Image.DecompressionBombError as error:
        raise BadInputError(f"{name}: too large a picture ({str(error).rstrip('.')}); make it smaller.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        # Pillow names the file, or where it lies in memory.
        reason = "of no known format" if isinstance(error, UnidentifiedImageError) else str(error).rstrip(".")
        advice = f"send a file of {', '.join(formats)}" if formats else "get the file again"
        raise BadInputError(f"{name}: not a readable image ({reason}); {advice}.") from None


def stored_picture(stored: NDArray[np.uint8] | bytes, name: str) -> NDArray[np.uint8]:
    """A picture as an array of an HDF5 file holds it, as RGB, (height, width, 3).

    Args:
        stored: its pixels, (height, width, 3), or the bytes of an image file.
        name: what messages call it.

    Raises:
        BadInputError: the bytes are no image.
    """
    return np.asarray(stored, np.uint8) if np.ndim(stored) == 3 else read_picture(io.BytesIO(bytes(stored)), name)


def no_image(path: Path | str) -> NotFoundError:
    """What is raised where an image is named whose file is not there."""
    return NotFoundError(f"{path}: there is no such image; check the path or put it there.")


def _rgb(picture: Image.Image, name: str, max_pixels: int, *, still: bool) -> NDArray[np.uint8]:
    if still and getattr(picture, "is_animated", False):
        raise BadInputError(f"{name} is an animation, of which no one picture is meant; send one of them.")
    if picture.width * picture.height > max_pixels:
        raise BadInputError(
            f"{name} has {picture.width} × {picture.height} pixels; at most {max_pixels // 10**6} million are read, so "
            "make it smaller."
        )
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
        grey = _grey(np.asarray(picture), name)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        below = Image.new("RGBA", picture.size, (*BACKGROUND, 255))
        picture = Image.alpha_composite(below, picture.convert("RGBA"))
    return np.asarray(picture.convert("RGB"))


def _grey(values: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    """Grey of more than 8 bits as 8 bits."""
    low, high = float(values.min()), float(values.max())
    top = 1 if values.dtype.kind == "f" else 65535
    if not (low >= 0 and high <= top):  # written so that NaN is none, either
        raise BadInputError(f"{name}: grey from {low:g} to {high:g}, 0 to {top} expected; save it with 8 bits.")
    return np.rint(np.asarray(values, np.float64) * (255 / top)).astype(np.uint8)
