import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from voxel_atlas.viz.render.png import palette_png, rgba_png

sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(sizes.flatmap(lambda size: hnp.arrays(np.uint8, size)), st.integers(0, 2**32 - 1))
def test_palette_pictures_are_read_as_they_were_written(slots: np.ndarray, seed: int) -> None:
    palette = np.random.default_rng(seed).integers(0, 256, (256, 4), dtype=np.uint8)
    image = Image.open(io.BytesIO(palette_png(np.pad(slots, ((0, 0), (1, 0))), palette)))
    assert np.array_equal(np.asarray(image.convert("RGBA")), palette[slots])


@given(sizes.flatmap(lambda size: hnp.arrays(np.uint8, (*size, 4))))
def test_true_colour_pictures_are_read_as_they_were_written(pixels: np.ndarray) -> None:
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(rgba_png(pixels)))), pixels)
