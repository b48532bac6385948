"""Images that clients send: decoded with care, because a small file can unfold into a huge picture."""

import base64
import binascii
import io

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import BadInputError
from ...schemas.image_files import read_picture
from ...schemas.limits import LIMITS

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def decode_image(text: str) -> NDArray[np.uint8]:
    """An image from base64 or a data URL.

    Args:
        text: base64 of what `read_image` takes, with or without `data:…;base64,`.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        BadInputError: it is no base64, or as `read_image` says.
    """
    if text[:5].lower() == "data:":
        text = text.partition(",")[2]
    # `base64` and e-mail break their lines.
    text = "".join(text.split())
    if len(text) > LIMITS.picture_bytes * 4 // 3 + 4:
        raise _too_large()
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadInputError("The image is not base64; send the file's bytes in base64 or as a data URL.") from None
    return read_image(data)


def read_image(data: bytes) -> NDArray[np.uint8]:
    """An image from a file's bytes.

    Args:
        data: a PNG, JPEG, WebP, GIF or BMP file of at most 8 MB.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        BadInputError: it is no such file, is an animation, or has more than 40 million pixels.
    """
    if len(data) > LIMITS.picture_bytes:
        raise _too_large()
    return read_picture(io.BytesIO(data), "The image", formats=FORMATS, max_pixels=LIMITS.picture_pixels, still=True)


def _too_large() -> BadInputError:
    return BadInputError(f"The image is larger than {LIMITS.picture_bytes // 2**20} MB; send a smaller one.")
