"""Images on disk, as the networks get them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ...schemas.errors import BadInputError, NotFoundError


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The pixels of an image file as RGB, (height, width, 3).

    Raises:
        NotFoundError: there is no such file.
        BadInputError: it is no image, or ends early.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except FileNotFoundError:
        raise no_image(path) from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise BadInputError(f"{path}: not a readable image ({error}); get the file again.") from None


def no_image(path: Path | str) -> NotFoundError:
    """What is raised where an image is named whose file is not there."""
    return NotFoundError(f"{path}: there is no such image; check the path or put it there.")
