"""PictureLibrary for scenes that need no package: coloured shapes and drawn words."""

from collections.abc import Callable

import numpy as np

from voxel_atlas.ingest.simulated.scenes.cutouts import CutOut
from voxel_atlas.ingest.simulated.scenes.drawn_words import lettering_cutouts
from voxel_atlas.ingest.simulated.scenes.picture_library import PictureLibrary

_CONCEPTS = ("smiley", "athlete", "building", "fruit", "dessert", "animal", "vehicle")


def disc(colour: tuple[int, int, int]) -> Callable[[np.random.Generator], np.ndarray]:
    y, x = np.mgrid[-1:1:60j, -1:1:60j]
    picture = np.zeros((60, 60, 4), np.uint8)
    picture[..., :3], picture[..., 3] = colour, 255 * (x**2 + y**2 < 1)
    return lambda _: picture


def toy_pictures() -> PictureLibrary:
    colours = np.random.default_rng(0).integers(0, 256, (len(_CONCEPTS) * 8, 3))
    discs = [
        CutOut(f"disc/{concept}{n}", f"{concept} number {n}", concept, (disc(tuple(colours[8 * i + n])),))
        for i, concept in enumerate(_CONCEPTS)
        for n in range(8)
    ]
    return PictureLibrary((*discs, *lettering_cutouts()), (), "")
