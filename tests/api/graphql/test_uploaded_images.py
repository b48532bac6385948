"""Images that clients send in base64."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from voxel_atlas.api.graphql.uploaded_images import decode_image
from voxel_atlas.schemas.errors import BadInputError

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("head", ["", "data:image/png;base64,", "DATA:image/png;base64,"])
def test_base64_may_have_line_breaks_and_the_head_any_case(head: str) -> None:
    for text in (base64.b64encode(png()).decode(), base64.encodebytes(png()).decode(), "\r\n".join(png_lines())):
        np.testing.assert_array_equal(decode_image(head + text), PIXELS)


def png_lines() -> list[str]:
    text = base64.b64encode(png()).decode()
    return [text[start : start + 76] for start in range(0, len(text), 76)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not base64!", "not base64"),
        (base64.b64encode(b"%PDF-1.7").decode(), "The image: not a readable image .*; send a file of PNG, JPEG"),
    ],
)
def test_what_is_no_image_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        decode_image(text)
