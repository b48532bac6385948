"""Fresh truths: simulated voxels of other kinds than the demo's, on which nothing has been tuned.

Seven ways of being tuned, with fixed seeds. Pictures are made for them: the cut-outs of the fitted pictures and those
of the test pictures are disjoint, so that nothing can be recognised by its outline. Ceilings are such that the
significant voxels of each have a median R² of 0.10 to 0.20, as measured subjects have. These numbers were settled by R²
alone, before any answer was evaluated on them, and stay as they are.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from voxel_atlas.atlas.backbones.interface import Image
from voxel_atlas.ingest.simulated.planting import patch_contrast
from voxel_atlas.ingest.simulated.scenes.categories import CATEGORIES
from voxel_atlas.ingest.simulated.scenes.compose import Scene, choose, compose
from voxel_atlas.ingest.simulated.scenes.picture_library import load_pictures

N_TRAIN, N_TEST = 1500, 500
GRID = (30, 40)
"""Voxels lie on a sheet of so many rows and columns."""
N_VOXELS = GRID[0] * GRID[1]
CONTRAST_SHARE = 0.2
"""Voxels that answer to contrast in a part of the picture alone."""

FIVE = ("face", "body", "place", "food", "word")
ELEVEN = (*FIVE, "animal", "plant", "vehicle", "clothing", "tool", "instrument")
"""Six more, which the demo's subject is not tuned to; their only concept has their name."""


@dataclass(frozen=True)
class Truth:
    """How the voxels of one simulated sheet are tuned, and what else moves their responses."""

    name: str
    seed: int
    categories: tuple[str, ...] = FIVE
    n_concepts: tuple[float, float, float] = (0.4, 0.35, 0.25)
    """Chances of one, two and three concepts."""
    evenness: float = 4.0
    """Parameter of the Dirichlet distribution of their shares."""
    other_category: float = 0.3
    """Chance that a further concept is of any category, not the region's."""
    ceiling: tuple[float, float] = (2.0, 3.6)
    """Parameters of the beta distribution of the share of the variance that is signal."""
    confound: float = 0.0
    """Share of the signal's variance that is how full the picture is, the same for all voxels."""
    smoothness: float = 0.0
    """Width of the noise's spatial correlation, in voxels; 0 for none."""
    suppressed: float = 0.0
    """Chance that a voxel is suppressed by a category that it is not tuned to."""


TRUTHS = (
    Truth("even mixtures", 11, n_concepts=(0.0, 0.5, 0.5), evenness=20.0, other_category=0.8),
    Truth("eleven categories", 12, categories=ELEVEN),
    Truth("low signal", 13, ceiling=(2.0, 6.0)),
    Truth("global confound", 14, confound=0.4),
    Truth("correlated noise", 15, smoothness=1.5),
    Truth("suppression", 16, suppressed=0.6),
    Truth("all together", 17, ELEVEN, (0.3, 0.4, 0.3), 8.0, 0.5, (2.0, 3.0), 0.25, 1.5, 0.4),
)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of all truths, the first N_TRAIN to fit on and the others to test on."""

    scenes: tuple[Scene, ...]

    @cached_property
    def images(self) -> list[Image]:
        """RGB, (256, 256, 3) each."""
        return [scene.image for scene in self.scenes]

    @cached_property
    def contrast(self) -> NDArray[np.float64]:
        """Contrast of the patches of each picture, (n_pictures, 64)."""
        return np.stack([patch_contrast(image) for image in self.images])

    def amounts(self, concepts: tuple[str, ...]) -> NDArray[np.float64]:
        """How much of each concept a picture shows, 0 to 1, (n_pictures, n_concepts)."""
        found = np.zeros((len(self.scenes), len(concepts)))
        for row, scene in zip(found, self.scenes, strict=True):
            for thing in scene.things:
                if thing.concept in concepts:
                    row[concepts.index(thing.concept)] += min(1.0, (thing.area / 0.12) ** 0.5)
        return found

    @cached_property
    def fullness(self) -> NDArray[np.float64]:
        """Share of a picture that shows things, (n_pictures,)."""
        return np.array([sum(thing.area for thing in scene.things) for scene in self.scenes])


def make_pictures(home: Path, n_train: int = N_TRAIN, n_test: int = N_TEST) -> Pictures:
    """Scenes of the half that subjects see; those of the two parts share no cut-out."""
    library = load_pictures(home)
    parts = [[cutout for cutout in library.of_half("B") if cutout.held_out == test] for test in (False, True)]
    scenes = []
    for part, n in enumerate((n_train, n_test)):
        for number in range(n):
            rng = np.random.default_rng([part, number])
            scenes.append(compose(choose(parts[part], rng), rng, library.photographs))
    return Pictures(tuple(scenes))


@dataclass(frozen=True, eq=False)
class Sheet:
    """The voxels of a truth."""

    truth: Truth
    tuned: tuple[frozenset[str], ...]
    """The categories that each voxel is tuned to; empty for voxels that answer to contrast."""
    responses: NDArray[np.float32]
    """Measured, (n_pictures, n_voxels)."""
    noise_free: NDArray[np.float64]
    """What of them is signal, (n_pictures, n_voxels)."""

    @property
    def contrast_only(self) -> NDArray[np.bool_]:
        """Voxels that answer to contrast alone, (n_voxels,)."""
        return np.array([not categories for categories in self.tuned])

    def has(self, category: str) -> NDArray[np.bool_]:
        """Voxels that are tuned to a category, (n_voxels,)."""
        return np.array([category in categories for categories in self.tuned])


def simulate(truth: Truth, pictures: Pictures) -> Sheet:
    """The responses of a truth's voxels to the pictures."""
    rng = np.random.default_rng(truth.seed)
    concepts = tuple(concept for category in truth.categories for concept in concepts_of(category))
    category_of = {concept: category for category in truth.categories for concept in concepts_of(category)}
    n_contrast = round(CONTRAST_SHARE * N_VOXELS)
    weights, tuned = np.zeros((N_VOXELS, len(concepts))), [frozenset[str]()] * N_VOXELS
    for voxel in range(n_contrast, N_VOXELS):
        region = truth.categories[(voxel - n_contrast) * len(truth.categories) // (N_VOXELS - n_contrast)]
        chosen = _concepts(truth, region, rng)
        shares = np.sort(rng.dirichlet(np.full(len(chosen), truth.evenness)))[::-1]
        weights[voxel, [concepts.index(concept) for concept in chosen]] = shares
        tuned[voxel] = frozenset(category_of[concept] for concept in chosen)
        others = [category for category in truth.categories if category not in tuned[voxel]]
        if others and rng.random() < truth.suppressed:
            against = str(rng.choice(others))
            weights[voxel, [category_of[concept] == against for concept in concepts]] = -0.5
    # A voxel answers half as much to the other concepts of a category as to its own.
    same = np.array([[category_of[a] == category_of[b] for b in concepts] for a in concepts], float)
    signal = pictures.amounts(concepts) @ (weights @ (0.5 * same + 0.5 * np.eye(len(concepts)))).T
    signal[:, :n_contrast] = pictures.contrast @ _fields(n_contrast, rng).T
    signal = _standardised(signal)
    fullness = _standardised(pictures.fullness[:, None])
    signal = _standardised(np.sqrt(1 - truth.confound) * signal + np.sqrt(truth.confound) * fullness)
    noise = rng.standard_normal((len(pictures.scenes), *GRID))
    if truth.smoothness:
        noise = gaussian_filter(noise, (0, truth.smoothness, truth.smoothness))
    ceiling = rng.beta(*truth.ceiling, N_VOXELS).clip(0.01, 0.95)
    measured = np.sqrt(ceiling) * signal + np.sqrt(1 - ceiling) * _standardised(noise.reshape(len(noise), -1))
    return Sheet(truth, tuple(tuned), measured.astype(np.float32), signal)


def concepts_of(category: str) -> tuple[str, ...]:
    """The concepts of a category; one that is a concept of `other` has itself."""
    return CATEGORIES.get(category, (category,))


def _concepts(truth: Truth, region: str, rng: np.random.Generator) -> list[str]:
    n_possible = sum(len(concepts_of(category)) for category in truth.categories)
    wanted = min(1 + int(rng.choice(3, p=truth.n_concepts)), n_possible)
    chosen: list[str] = []
    while len(chosen) < wanted:
        elsewhere = chosen and (len(concepts_of(region)) <= len(chosen) or rng.random() < truth.other_category)
        category = str(rng.choice(truth.categories)) if elsewhere else region
        concept = str(rng.choice(concepts_of(category)))
        if concept not in chosen:
            chosen.append(concept)
    return chosen


def _fields(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Receptive fields over the 8 × 8 patches of a picture, (n, 64)."""
    y, x = (np.mgrid[:8, :8] + 0.5) / 8
    centres, sizes = rng.uniform(0.2, 0.8, (n, 2)), rng.uniform(0.2, 0.5, n)
    fields = [
        np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * size**2)).ravel()
        for (cy, cx), size in zip(centres, sizes, strict=True)
    ]
    return np.stack(fields)


def _standardised(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((columns - columns.mean(axis=0)) / columns.std(axis=0))
