"""Pictures as PNG: a gather through the pixel map, a palette, lines on top. A millisecond or two when warm.

Flat maps of opaque values are palette images (200 colours of the colormap). Views of the solid cortex, and pictures
whose voxels have an opacity or a colour each, are true-colour ones, made more slowly by the same steps.
"""

import io
import struct
import zlib

import numpy as np
from isal import igzip_lib
from PIL import Image

from ..surfaces.pixel_map import PixelMap, View
from . import palette
from .paint import Bytes, slots, true_colours
from .picture import Picture


def render(picture: Picture, pixels: PixelMap) -> bytes:
    """Draw a picture.

    Args:
        picture: what is shown, and how.
        pixels: of a flat map (`Surface.pixel_map`) or of sides of the solid cortex (`Surface.view`).

    Raises:
        SpaceMismatchError: as many values as this surface and transform have not.
    """
    scale = picture.scale
    table = palette.palette(scale.colormap if scale else "viridis", picture.transparent)
    above, below = picture.above(pixels.width), picture.below(pixels.width)
    if scale and picture.alpha is None and not isinstance(pixels, View):
        rows = [*(strip.slots() for strip in above), slots(picture, scale, pixels), *(strip.slots() for strip in below)]
        return _palette_image(np.concatenate(rows), table)
    body = true_colours(picture, pixels)
    rows = [*(strip.pixels(table) for strip in above), body, *(strip.pixels(table) for strip in below)]
    file = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _palette_image(slots: Bytes, table: Bytes) -> bytes:
    """Slots (h, w) of a palette (256, 4) RGBA as a PNG file.

    Pillow's zlib would take four times as long as ISA-L does for nearly all that a picture takes. The chunks are those
    of W3C's Portable Network Graphics, third edition, sections 5, 9 and 11.
    """
    height, width = slots.shape
    lines = np.pad(slots, ((0, 0), (1, 0)))  # a line begins with its filter: 0, none
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0),
        b"PLTE": table[:, :3].tobytes(),
        **({b"tRNS": table[:, 3].tobytes()} if table[:, 3].min() < 255 else {}),
        # Looking 4 KiB back and not 32: lines above are within, and a twentieth of the time is saved.
        b"IDAT": igzip_lib.compress(lines, 1, igzip_lib.COMP_ZLIB, hist_bits=12),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    )
