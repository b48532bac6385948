"""Images that clients send: decoded with care, because a small file can unfold into a huge picture."""

import base64
import binascii
import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ...schemas.errors import BadInputError

MAX_BYTES = 8 * 2**20
MAX_PIXELS = 40_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def decode_image(text: str) -> NDArray[np.uint8]:
    """An image from base64 or a data URL.

    Args:
        text: base64 of a PNG, JPEG, WebP, GIF or BMP file of at most 8 MB, with or without `data:…;base64,`.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        BadInputError: it is no such file, or it has more than 40 million pixels.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    if len(text) > MAX_BYTES * 4 // 3 + 4:
        raise BadInputError(f"The image is larger than {MAX_BYTES // 2**20} MB; send a smaller one.")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadInputError("The image is not base64; send the file's bytes in base64 or as a data URL.") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    size = f"{image.width} × {image.height}"
                    raise BadInputError(f"The image has {size} pixels; send at most {MAX_PIXELS // 10**6} million.")
                return np.asarray(image.convert("RGB"), np.uint8)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError, ValueError) as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError(f"The image cannot be read; send a file of {', '.join(FORMATS)}.") from None
