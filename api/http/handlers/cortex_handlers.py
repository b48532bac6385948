"""What a subject's cortex looks like: pictures, pixel maps, meshes, outlines; and the images that it was shown."""

import threading
from collections.abc import Callable

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request

from ....atlas.search.atlas import Atlas
from ....schemas.errors import BadInputError
from ....schemas.limits import LIMITS
from ....viz.render.card import card_png
from ....viz.render.vector import Composed, ImageMark, TextMark, draw
from ...graphql.uploaded_images import decode_image
from ...maps import packed_arrays, page_geometry
from ...maps.picture_cache import PictureCache
from ...maps.rendering import MEDIA_TYPES
from ...maps.subject_cortex import PAGE_WIDTH, CortexCache
from ...maps.thumbnails import thumbnail
from ...maps.voxel_card import voxel_card
from ..responses import IMMUTABLE, Content

FIGURE_WIDTH = 2 * PAGE_WIDTH
"""Pixels across the flat map in the page's figures."""
MOST_IMAGES = 24
"""Images in a figure: eight maps with their colour bars are 16."""
KEPT_BYTES = 128 * 2**20
"""Rendered pictures, pixel maps and meshes that are held in memory."""
_FIGURES = TypeAdapter(Composed)


class CortexHandlers:
    """Answers with what is drawn once and then kept."""

    def __init__(self, atlas: Atlas, cortices: CortexCache, pictures: PictureCache) -> None:
        self._atlas, self._cortices, self._pictures = atlas, cortices, pictures
        # One that alone is larger than all that may be kept counts as all.
        self._kept: LRUCache[str, Content] = LRUCache(KEPT_BYTES, lambda content: min(content.nbytes, KEPT_BYTES))
        self._lock = threading.Lock()

    def flatmap(self, request: Request) -> Content:
        """A picture by its hash."""
        sha256, suffix = (str(request.path_params[name]) for name in ("sha256", "suffix"))

        def drawn() -> Content:
            body = self._pictures.fetch(sha256, suffix)
            return Content(body, MEDIA_TYPES[suffix], IMMUTABLE, compressible=suffix == "svg")

        return self._prepared(f"{sha256}.{suffix}", drawn)

    def pixel_map(self, request: Request) -> Content:
        """Which voxel each pixel of a subject's flat map shows; with `width=2048` in finer pixels, for figures.

        Raises:
            BadInputError: another width than those two.
        """
        width = request.query_params.get("width", str(PAGE_WIDTH))
        if width not in (str(PAGE_WIDTH), str(FIGURE_WIDTH)):
            raise BadInputError(f"A pixel map is {PAGE_WIDTH} or {FIGURE_WIDTH} pixels wide, and not {width[:40]!r}.")
        return self.pixel_map_of(request.path_params["subject"], int(width))

    def pixel_map_of(self, subject_id: str, width: int = PAGE_WIDTH) -> Content:
        """The same for a subject by its id."""
        cortex = self._cortices.of(subject_id)
        return self._prepared(
            f"{subject_id} flat {width}",
            lambda: Content(page_geometry.pixel_map(cortex, width), packed_arrays.MEDIA_TYPE),
        )

    def mesh(self, request: Request) -> Content:
        """A subject's surface in 3-D, and which voxel each of its vertices shows."""
        subject_id, kind = (request.path_params[name] for name in ("subject", "kind"))
        cortex = self._cortices.of(subject_id)
        return self._prepared(
            f"{subject_id} mesh {kind}", lambda: Content(page_geometry.mesh(cortex, kind), packed_arrays.MEDIA_TYPE)
        )

    def outlines(self, request: Request) -> Content:
        """A subject's ROIs: paths, places of their names, voxels."""
        regions = page_geometry.regions(self._atlas, self._cortices.of(request.path_params["subject"]))
        return Content(regions, "application/json").prepare()

    def places(self, request: Request) -> Content:
        """Where a subject's voxels lie: array mm, float32[n · 3], x, y and z by the voxel's number."""
        points = self._cortices.millimetres(request.path_params["subject"]).astype(np.float32)
        return Content(packed_arrays.pack({}, {"mm": points}), packed_arrays.MEDIA_TYPE).prepare()

    def stimulus(self, request: Request) -> Content:
        """An image that subjects saw, made small."""
        picture = thumbnail(self._atlas, request.path_params["stimulus"], request.query_params.get("box", ""))
        return Content(picture, "image/jpeg", IMMUTABLE, compressible=False)

    def figure(self, request: Request) -> Content:
        """A figure that the page composed, as PDF.

        Raises:
            BadInputError: the body is no such figure.
        """
        try:
            drawing = _FIGURES.validate_json(request.state.body)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False, include_context=False)
            # What is wrong says more than what the other kinds of marks would have had.
            first = min(errors, key=lambda one: one["type"] == "missing")
            place = ".".join(str(part) for part in first["loc"]) or "the body"
            raise BadInputError(f"A figure to be made a PDF: {place[:60]}: {first['msg']}.") from None
        n_images = sum(isinstance(mark, ImageMark) for mark in drawing.marks)
        if n_images > MOST_IMAGES:
            raise BadInputError(f"A figure holds at most {MOST_IMAGES} images, and this one has {n_images}.")
        n_letters = sum(len(mark.text) for mark in drawing.marks if isinstance(mark, TextMark))
        if n_letters > LIMITS.figure_letters:
            raise BadInputError(f"A figure has at most {LIMITS.figure_letters:,} letters, and this one {n_letters:,}.")
        return Content(draw(drawing, _decoder()), "application/pdf", "no-store", compressible=False)

    def card(self, request: Request) -> Content:
        """All that is known of a voxel, as a picture."""
        model, voxel = request.query_params.get("model"), request.query_params.get("voxel", "")
        if not voxel.isdecimal() or len(voxel) > 4000:  # int() reads no more than 4,300 digits
            raise BadInputError(f"card.png?voxel= takes a voxel's number, and not {voxel[:40]!r}.")
        picture = card_png(voxel_card(self._atlas, model, int(voxel)))
        return Content(picture, "image/png", compressible=False)

    def _prepared(self, name: str, make: Callable[[], Content]) -> Content:
        """What stays as it is once it was made, hashed and compressed."""
        with self._lock:
            content = self._kept.get(name)
        if content is None:
            content = make().prepare()
            with self._lock:
                self._kept[name] = content
        return content


def _decoder() -> Callable[[str], NDArray[np.uint8]]:
    """Reads the images of one figure, which are all held until it is drawn, as long as they are not too many pixels."""
    left = LIMITS.figure_pixels

    def decode(text: str) -> NDArray[np.uint8]:
        nonlocal left
        image = decode_image(text)
        left -= image.shape[0] * image.shape[1]
        if left < 0:
            raise BadInputError(f"The images of a figure have at most {LIMITS.figure_pixels:,} pixels, all together.")
        return image

    return decode
