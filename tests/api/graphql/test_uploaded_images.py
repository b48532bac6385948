"""Images that clients send in base64."""

import base64
import io
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toy_network import Toy
from toy_server import Server

from voxel_atlas.api.graphql.uploaded_images import decode_image
from voxel_atlas.schemas.errors import BadInputError

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def png(pixels: NDArray[np.uint8] = PIXELS) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
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


def test_a_picture_goes_through_the_network_once_whatever_is_asked_of_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_encoded, features = list[int](), Toy.features

    def counting(self: Toy, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        n_encoded.append(len(images))
        return features(self, images)

    monkeypatch.setattr(Toy, "features", counting)
    image = base64.b64encode(png()).decode()
    predict = "query ($image: String!) { predict(image: $image) { ... on Prediction { nearest { concept } } } }"
    assert len(server.data(predict, image=image)["predict"]["nearest"]) == 10
    assert n_encoded == [1]
    similar = "query ($image: String!) { similarVoxels(image: $image) { totalCount } }"
    assert server.data(similar, image=image)["similarVoxels"]["totalCount"]
    assert n_encoded == [1]
    assert server.data(similar, image=base64.b64encode(png(PIXELS[::-1])).decode())["similarVoxels"]["totalCount"]
    assert n_encoded == [1, 1]


def test_an_image_that_unfolds_into_a_giant_is_refused(server: Server) -> None:
    giant = base64.b64encode(png(np.zeros((8000, 8000), np.uint8))).decode()
    query = "query ($image: String) { similarVoxels(image: $image) { totalCount } }"
    assert "million" in server.error(query, image=giant)["message"]
