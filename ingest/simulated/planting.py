"""What a simulated subject's voxels are tuned to, and what they answer. Reads what is in pictures, never a network."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import ndimage

from .scenes.categories import CATEGORIES, CATEGORY_OF

Mask = NDArray[np.bool_]
"""A volume, (z, y, x)."""

EARLY = ("V1", "V2", "V3")
PREFERRED = {
    "OFA": "face",
    "FFA": "face",
    "EBA": "body",
    "PPA": "place",
    "OPA": "place",
    "RSC": "place",
    "VWFA": "word",
    "FOOD": "food",
}
"""ROI → the category that its voxels are tuned to, as localisers define these cortex."""
PATCHES = ("VWFA", "FOOD")
"""Regions that S1 has no localiser for: patches beside FFA, simulated."""
TUNED = tuple(category for category in CATEGORIES if category != "other")
CONCEPTS = tuple(concept for category in TUNED for concept in CATEGORIES[category])

_PATCH_STEPS = 3
"""Voxels from FFA to the far edge of the simulated patches."""
_N_CONCEPTS = (0.4, 0.35, 0.25)
"""Chances of one, two and three planted concepts."""
_EVENNESS = 4.0
"""Parameter of the Dirichlet distribution of a voxel's shares; 1 would make any division as likely as any other."""
_SAME_CATEGORY = 0.7
"""Chance that a further concept is of the region's category."""
_WITHIN_CATEGORY = 0.5
"""Response to another concept of a planted category, as a share of that to the planted concept itself."""
_GRID = 8
"""Contrast is measured in so many patches a side."""


@dataclass(frozen=True)
class Cortex:
    """Where a cortex's voxels are: the cortical mask, drawn ROIs, and the surface they were drawn on."""

    mask: Mask
    rois: Mapping[str, Mask]
    surface: str
    transform: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x)."""
        z, y, x = self.mask.shape
        return z, y, x


@dataclass(frozen=True)
class Chosen:
    """The voxels of a simulated subject."""

    cells: NDArray[np.int64]
    """Linear index in the volume, (n_voxels,), ascending."""
    rois: dict[str, NDArray[np.int32]]
    """ROI → numbers of its voxels."""
    nearest: NDArray[np.str_]
    """The ROI that each voxel is in or next to, (n_voxels,)."""
    inside: Mask
    """Whether it is in that ROI, (n_voxels,)."""


def choose_voxels(cortex: Cortex, n_at_least: int) -> Chosen:
    """The visual ROIs, the simulated patches, and cortex around them until there are enough voxels."""
    rois = {name: cortex.rois[name] & cortex.mask for name in (*EARLY, *PREFERRED) if name in cortex.rois}
    rois |= _patches(cortex.mask, rois)
    distances = np.stack([ndimage.distance_transform_edt(~roi) for roi in rois.values()])
    distance = np.where(cortex.mask, distances.min(axis=0), np.inf)
    wanted = min(n_at_least, int(cortex.mask.sum()))
    reach = np.sort(distance, axis=None)[wanted - 1]
    cells = np.flatnonzero(distance.ravel() <= reach)
    number = np.full(cortex.mask.size, -1, np.int32)
    number[cells] = np.arange(len(cells), dtype=np.int32)
    return Chosen(
        cells=cells,
        rois={name: number[np.flatnonzero(roi.ravel())] for name, roi in rois.items()},
        nearest=np.array(list(rois))[distances.reshape(len(rois), -1)[:, cells].argmin(axis=0)],
        inside=distance.ravel()[cells] == 0,
    )


def _patches(mask: Mask, rois: Mapping[str, Mask]) -> dict[str, Mask]:
    """Two patches of cortex beside FFA: the side that lies further back reads words, the other answers to food."""
    taken = np.any(list(rois.values()), axis=0)
    beside = (ndimage.distance_transform_edt(~rois["FFA"]) <= _PATCH_STEPS) & mask & ~taken
    y = np.nonzero(beside)[1]
    behind = np.zeros_like(beside)
    behind[:, : int(np.median(y)) + 1] = True
    return dict(zip(PATCHES, (beside & behind, beside & ~behind), strict=True))


@dataclass(frozen=True)
class Planting:
    """Tuning of all voxels."""

    weights: NDArray[np.float64]
    """Share of each of CONCEPTS in a voxel's tuning, (n_voxels, n_concepts); zero for early visual voxels."""
    fields: NDArray[np.float64]
    """Weight of the contrast of each patch of the picture, (n_voxels, 64); zero for the others."""
    ceiling: NDArray[np.float64]
    """Share of the response's variance that is signal, (n_voxels,)."""

    def table(self) -> pl.DataFrame:
        """voxel, concept, category, weight: the rows of the `planting` table."""
        voxel, concept = np.nonzero(self.weights)
        names = np.array(CONCEPTS)[concept]
        tuned = pl.DataFrame(
            {
                "voxel": voxel.astype(np.int32),
                "concept": names,
                "category": [CATEGORY_OF[name] for name in names],
                "weight": self.weights[voxel, concept].astype(np.float32),
            }
        )
        early = np.flatnonzero(self.fields.any(axis=1)).astype(np.int32)
        contrast = pl.DataFrame({"voxel": early}).with_columns(
            pl.lit("contrast").alias("concept"),
            pl.lit("contrast").alias("category"),
            pl.lit(1.0, pl.Float32).alias("weight"),
        )
        return pl.concat([tuned, contrast]).sort("voxel", "weight", descending=[False, True])

    def noise_free(self, contents: NDArray[np.float64], contrast: NDArray[np.float64]) -> NDArray[np.float64]:
        """Responses without noise, z-scored over the pictures, (n_pictures, n_voxels).

        Args:
            contents: how much of each of CONCEPTS a picture shows, (n_pictures, n_concepts); see `shown`.
            contrast: contrast of each patch of a picture, (n_pictures, 64); see `patch_contrast`.
        """
        category = np.array([[CATEGORY_OF[a] == CATEGORY_OF[b] for b in CONCEPTS] for a in CONCEPTS], float)
        spread = _WITHIN_CATEGORY * category + (1 - _WITHIN_CATEGORY) * np.eye(len(CONCEPTS))
        signal = contents @ (self.weights @ spread).T + contrast @ self.fields.T
        signal -= signal.mean(axis=0)
        deviation = signal.std(axis=0)
        scored: NDArray[np.float64] = np.divide(signal, deviation, out=np.zeros_like(signal), where=deviation > 0)
        return scored

    def measured(self, noise_free: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float32]:
        """Responses with noise, so that `ceiling` is the signal's share of the variance; shape as `noise_free`."""
        noise = rng.standard_normal(noise_free.shape)
        return (np.sqrt(self.ceiling) * noise_free + np.sqrt(1 - self.ceiling) * noise).astype(np.float32)


def plant(chosen: Chosen, rng: np.random.Generator) -> Planting:
    """Tune every voxel: early ones to contrast in a part of the picture, the others to one to three concepts."""
    n = len(chosen.cells)
    weights, fields = np.zeros((n, len(CONCEPTS))), np.zeros((n, _GRID**2))
    y, x = (np.mgrid[:_GRID, :_GRID] + 0.5) / _GRID
    for voxel, roi in enumerate(chosen.nearest):
        if roi in EARLY:
            # Receptive fields grow from V1 to V3.
            size = 0.3 + 0.1 * EARLY.index(str(roi))
            centre_y, centre_x = rng.uniform(0.2, 0.8, 2)
            field = np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / (2 * size**2))
            fields[voxel] = (field / field.sum()).ravel()
        else:
            concepts = _concepts(PREFERRED[str(roi)], bool(chosen.inside[voxel]), rng)
            # Each planted concept counts for something: shares of 0.1 would be a planting that nobody can find.
            shares = np.sort(rng.dirichlet(np.full(len(concepts), _EVENNESS)))[::-1]
            weights[voxel, [CONCEPTS.index(concept) for concept in concepts]] = shares
    # A median of 0.3; voxels beside a region carry less signal than those inside.
    ceiling = rng.beta(2.0, 3.6, n) * np.where(chosen.inside, 1.0, 0.75)
    return Planting(weights, fields, ceiling.clip(0.01, 0.95))


def _concepts(preferred: str, inside: bool, rng: np.random.Generator) -> list[str]:
    wanted = 1 + int(rng.choice(len(_N_CONCEPTS), p=_N_CONCEPTS))
    concepts: list[str] = []
    while len(concepts) < wanted:
        first = not concepts and inside
        category = preferred if first or rng.random() < _SAME_CATEGORY else str(rng.choice(TUNED))
        concept = str(rng.choice(CATEGORIES[category]))
        if concept not in concepts:
            concepts.append(concept)
    return concepts


def shown(concept: str, area: float) -> float:
    """How much of a concept a thing shows: grows with the square root of its share of the picture, up to 1."""
    return min(1.0, (area / 0.12) ** 0.5) if concept in CONCEPTS else 0.0


def patch_contrast(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Root mean square contrast of the luminance in 8 × 8 patches, (64,), 0 to about 0.5."""
    luminance = image.astype(np.float64) @ np.array([0.299, 0.587, 0.114]) / 255
    height, width = (side // _GRID * _GRID for side in luminance.shape)
    patches = luminance[:height, :width].reshape(_GRID, height // _GRID, _GRID, width // _GRID)
    return np.asarray(patches.std(axis=(1, 3)).ravel())
