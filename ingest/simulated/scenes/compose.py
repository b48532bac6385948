"""Scenes: one to three cut-outs on a photograph or a gradient, with the list of what is in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ....atlas.backbones.interface import Box, Image
from .categories import CATEGORIES
from .cutouts import RGBA, CutOut
from .picture_library import read_photograph

SIZE = 256
"""Width and height of a scene, in pixels."""

_SHARES = {"face": 0.18, "body": 0.17, "place": 0.16, "food": 0.18, "word": 0.13, "other": 0.18}
"""How often each category is drawn: those that subjects are tuned to about equally, and as much of everything else."""
_N_THINGS = (0.4, 0.35, 0.25)
"""Chances of one, two and three things in a scene."""
_PHOTOGRAPH = 0.6
"""Chance of a photograph as background, where there are any."""
_TRIES = 8


@dataclass(frozen=True)
class Thing:
    """A cut-out in a scene."""

    name: str
    description: str
    concept: str
    area: float
    """Share of the scene that shows it, 0 to 1."""
    box: Box


@dataclass(frozen=True)
class Scene:
    """A picture and what is in it."""

    image: Image
    things: tuple[Thing, ...]


def choose(cutouts: Sequence[CutOut], rng: np.random.Generator) -> list[CutOut]:
    """One to three cut-outs at random: first the category, then the concept, then one that shows it."""
    by_concept: dict[str, list[CutOut]] = {}
    for cutout in cutouts:
        by_concept.setdefault(cutout.concept, []).append(cutout)
    return _choose(by_concept, rng)


def _choose(by_concept: dict[str, list[CutOut]], rng: np.random.Generator) -> list[CutOut]:
    concepts = {c: [k for k in known if k in by_concept] for c, known in CATEGORIES.items()}
    categories = [category for category, known in concepts.items() if known]
    shares = np.array([_SHARES[category] for category in categories])
    chosen = []
    for category in rng.choice(categories, size=1 + rng.choice(3, p=_N_THINGS), p=shares / shares.sum()):
        concept = concepts[category][rng.integers(len(concepts[category]))]
        chosen.append(by_concept[concept][rng.integers(len(by_concept[concept]))])
    return chosen


def compose(
    cutouts: Sequence[CutOut], rng: np.random.Generator, photographs: Sequence[Path] = (), size: int = SIZE
) -> Scene:
    """Paste cut-outs at random sizes and places, the later ones in front.

    Pictures are never mirrored: some hold words.

    Args:
        cutouts: what to paste.
        rng: decides everything that is random.
        photographs: what to paste on; a gradient is drawn where there are none, and sometimes where there are.
        size: width and height of the scene, in pixels.
    """
    canvas = _background(photographs, rng, size)
    pasted: list[tuple[CutOut, Box, NDArray[np.float32]]] = []
    for cutout in cutouts:
        picture = _resized(cutout.picture(rng), rng, size, len(cutouts))
        box = _place(picture.shape[:2], [box for _, box, _ in pasted], rng, size)
        opacity = _paste(canvas, picture, box)
        for _, _, visible in pasted:
            visible[box[1] : box[3], box[0] : box[2]] *= 1 - opacity
        own = np.zeros((size, size), np.float32)
        own[box[1] : box[3], box[0] : box[2]] = opacity
        pasted.append((cutout, box, own))
    things = tuple(
        Thing(cutout.name, cutout.description, cutout.concept, float(visible.mean()), box)
        for cutout, box, visible in pasted
    )
    return Scene(canvas, things)


def _background(photographs: Sequence[Path], rng: np.random.Generator, size: int) -> Image:
    if photographs and rng.random() < _PHOTOGRAPH:
        photograph = read_photograph(photographs[int(rng.integers(len(photographs)))])
        height, width = photograph.shape[:2]
        side = int(min(height, width) * rng.uniform(0.5, 1))
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        cut = photograph[top : top + side, left : left + side]
        return np.asarray(cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    corners = rng.integers(20, 236, (2, 2, 3)).astype(np.float32)
    return np.asarray(cv2.resize(corners, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def _resized(picture: RGBA, rng: np.random.Generator, size: int, n_things: int) -> RGBA:
    longest = size * rng.uniform(0.4, 0.85) / n_things**0.35
    height, width = picture.shape[:2]
    scale = longest / max(height, width)
    target = max(1, round(width * scale)), max(1, round(height * scale))
    resized = cv2.resize(picture, target, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def _place(shape: tuple[int, ...], taken: Sequence[Box], rng: np.random.Generator, size: int) -> Box:
    """The place of several random ones that hides least of what is there."""
    height, width = shape
    best, least = (0, 0, width, height), np.inf
    for _ in range(_TRIES if taken else 1):
        left, top = int(rng.integers(size - width + 1)), int(rng.integers(size - height + 1))
        box = (left, top, left + width, top + height)
        hidden = sum(_overlap(box, other) for other in taken)
        if hidden < least:
            best, least = box, hidden
    return best


def _overlap(a: Box, b: Box) -> int:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def _paste(canvas: Image, picture: RGBA, box: Box) -> NDArray[np.float32]:
    """Blend a picture into the canvas; gives its opacity, 0 to 1."""
    opacity: NDArray[np.float32] = picture[..., 3].astype(np.float32) / np.float32(255)
    below = canvas[box[1] : box[3], box[0] : box[2]]
    blended = below + (picture[..., :3].astype(np.float32) - below) * opacity[..., None]
    canvas[box[1] : box[3], box[0] : box[2]] = blended.astype(np.uint8)
    return opacity
