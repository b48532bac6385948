"""Images that subjects saw, made small for the page. Only what the atlas names can be asked for, by its id."""

import io
from pathlib import Path

import h5py
import numpy as np
from PIL import Image, ImageDraw

from ...atlas.search.atlas import Atlas
from ...schemas.errors import AtlasError, BadInputError, NotFoundError
from ...schemas.image_files import read_picture

LONGEST_SIDE = 512
"""Pixels of a picture's longer side on the page."""


def thumbnail(atlas: Atlas, stimulus_id: str, box: str = "") -> bytes:
    """A small JPEG of a stimulus.

    Args:
        atlas: where the stimulus is named.
        stimulus_id: the stimulus.
        box: a crop to draw a frame around: "left,top,right,bottom" in pixels of the original; empty for none.

    Raises:
        BadInputError: the box is not four whole numbers.
        NotFoundError: the atlas names no such image, or its file is not on this machine.
    """
    edges = _edges(box) if box else None
    rows = atlas.store.frame("SELECT uri FROM stimulus WHERE stimulus_id = ? LIMIT 1", [stimulus_id])
    if rows.is_empty():
        raise NotFoundError(f"The atlas has no stimulus {stimulus_id[:80]!r}.")
    image = open_stimulus(rows["uri"][0], stimulus_id)
    scale = max(1.0, max(image.size) / LONGEST_SIDE)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    if edges:
        _frame(image, [edge / scale for edge in edges])
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=85)
    return encoded.getvalue()


def _edges(box: str) -> list[int]:
    parts = box.split(",")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) < 7 for part in parts):
        raise BadInputError("box must be four whole numbers: left,top,right,bottom in pixels.")
    return [int(part) for part in parts]


def _frame(image: Image.Image, edges: list[float]) -> None:
    left, top, right, bottom = edges
    if left < right and top < bottom:
        drawing = ImageDraw.Draw(image)
        # Light on dark is seen on every picture.
        drawing.rectangle((left, top, right - 1, bottom - 1), outline=(20, 20, 20), width=5)
        drawing.rectangle(
            (left + 1, top + 1, max(left + 1, right - 2), max(top + 1, bottom - 2)), outline=(255, 214, 64), width=3
        )


def open_stimulus(uri: str, stimulus_id: str) -> Image.Image:
    """The image at a path, or at path#index inside an HDF5 file."""
    path, _, index = uri.rpartition("#")
    try:
        # A # is also a letter of paths.
        if index.isdigit() and not Path(uri).exists():
            with h5py.File(path) as file:
                pixels = next(iter(file.values()))[int(index)]
            return Image.fromarray(np.asarray(pixels, np.uint8))
        return Image.fromarray(read_picture(Path(uri)))
    except (AtlasError, OSError, ValueError, StopIteration) as error:
        raise NotFoundError(f"The file of stimulus {stimulus_id[:80]!r} is not on this machine.") from error
