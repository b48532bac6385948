"""CLIP-MSM (AAAI 2025): labels from a fixed list of concepts by soft WPMI, the baseline beside BrainLMM (METHOD §3)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from ...atlas.backbones.interface import Floats
from ...atlas.backbones.products import inner_products, unit_rows
from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError, NotFoundError
from ...schemas.tables import label_id
from .activation import top_images
from .interface import Batch, Material, Scorer, Scores

TOP_K = 100
"""Images per voxel that count."""
_P_FIRST, _P_BEYOND = 0.998, 0.970
"""The first image's p, and that of the one after the last: as the released code has it, the last does not reach it."""
_EPSILON = 1e-7
_BLOCK_BYTES = 256 << 10
"""So that a block stays in the processor's cache."""


class ClipMsm:
    """Soft WPMI of a fixed list of concepts, over voxels that come in batches.

    The value of concept t for voxel v is log p(t|v) - λ·log p(t). The prior p(t) is a mean over all voxels, so each
    batch is given twice: first to `count`, then, when all have been counted, to `values`.

    Args:
        image_text: products of the images' vectors with the concepts', (n_images, n_concepts); their softmax over the
            concepts is P (METHOD's a = 1: as they are). (n_images, n_concepts) float64 of it are held.
        prior_weight: λ.
    """

    def __init__(self, image_text: Floats, prior_weight: float = 1.0) -> None:
        if image_text.ndim != 2 or not image_text.shape[1]:
            raise BadInputError("CLIP-MSM needs at least one concept; give a file with one concept a line.")
        self._share: NDArray[np.float64] = softmax(image_text.astype(np.float64), axis=1)
        self._prior_weight = prior_weight
        self._log_total = np.full(image_text.shape[1], -np.inf)
        self._n_voxels = 0

    def count(self, top: NDArray[np.int32]) -> None:
        """Add a batch of voxels to the prior; `top` as in `values`."""
        for block in self._blocks(top):
            self._log_total = np.logaddexp(self._log_total, np.logaddexp.reduce(block, axis=0))
            self._n_voxels += len(block)

    def values(self, top: NDArray[np.int32]) -> Floats:
        """Soft WPMI of each voxel and concept.

        Args:
            top: indices of each voxel's top images, strongest first, (n_voxels, k).

        Returns:
            (n_voxels, n_concepts) float32; higher is better.
        """
        if not self._n_voxels:
            raise BadInputError("CLIP-MSM's prior is empty: count every batch of voxels before asking for values.")
        prior = self._prior_weight * (self._log_total - np.log(self._n_voxels))
        blocks = [(block - prior).astype(np.float32) for block in self._blocks(top)]
        return np.concatenate(blocks) if blocks else np.empty((0, len(prior)), np.float32)

    def _blocks(self, top: NDArray[np.int32]) -> Iterator[NDArray[np.float64]]:
        """Σ over the top images of log(1 + p·(P - 1) + ε), for some voxels at a time."""
        if top.size and not 0 <= top.min() <= top.max() < len(self._share):
            raise BadInputError(f"CLIP-MSM has similarities of {len(self._share)} images and was given others.")
        weight = np.linspace(_P_FIRST, _P_BEYOND, top.shape[1], endpoint=False)
        step = max(1, _BLOCK_BYTES // (8 * self._share.shape[1]))
        for start in range(0, len(top), step):
            rows = top[start : start + step]
            total = np.zeros((len(rows), self._share.shape[1]))
            product, factor = np.ones_like(total), np.empty_like(total)
            for place, p in enumerate(weight):
                np.take(self._share, rows[:, place], axis=0, out=factor, mode="clip")
                factor *= p
                factor += 1 - p + _EPSILON
                product *= factor
                # A factor is at least 0.002: a hundred of them stay above the smallest float64, so that one
                # logarithm does for a hundred images.
                if place % 100 == 99:
                    total += np.log(product)
                    product[:] = 1
            yield total + np.log(product)


class ClipMsmScorer(Scorer):
    """The best concepts of the configured list: rank 1 is the hard label, `score` the soft WPMI; see `Scorer`.

    Of each voxel the best `labels_per_voxel` concepts are kept; `probability` is the soft label, a softmax over the
    whole list. Images and concepts are compared by their cosine in the space of the labels' backbone.
    """

    from_candidates = False

    def __init__(self, material: Material, batches: Sequence[Batch]) -> None:
        super().__init__(material, batches)
        if material.space is None or material.images is None:
            raise BadInputError("CLIP-MSM needs the images in the space of the labels' backbone.")
        concepts, images = material.config.concepts, material.images
        self._wpmi = ClipMsm(inner_products(unit_rows(images), material.space.text(concepts)))
        self._ids = np.array([label_id(concept) for concept in concepts], np.int64)
        self._n_kept = material.config.labels_per_voxel
        self._top: dict[Batch, NDArray[np.int32]] = {}
        # The prior is a mean over all voxels, so that every batch is looked at before the first is scored.
        for batch in batches:
            self._top[batch], _ = top_images(material.features, batch.read(), TOP_K)
            self._wpmi.count(self._top[batch])

    @staticmethod
    def space(config: IngestConfig) -> str:
        """See `Scorer`."""
        return config.label_backbone

    def score(self, batch: Batch) -> Scores:
        """See `Scorer`; equal concepts are ranked as on the list."""
        values = self._wpmi.values(self._top[batch])
        order = np.argsort(-values, axis=1, kind="stable")[:, : self._n_kept]
        voxel, rank = np.indices(order.shape)
        soft = softmax(values.astype(np.float64), axis=1).astype(np.float32)
        score, probability = (np.take_along_axis(array, order, axis=1).ravel() for array in (values, soft))
        return Scores(
            voxel.ravel(),
            self._ids[order].ravel(),
            score.astype(np.float64),
            (rank.ravel() + 1).astype(np.int32),
            probability,
        )


def read_concepts(path: Path) -> tuple[str, ...]:
    """The concepts of a file, one a line: in lower case, each once, in their order.

    Raises:
        NotFoundError: there is no such file.
        BadInputError: it is no text, or names nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise NotFoundError(f"{path} is not there; --concepts takes a file with one concept a line.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} cannot be read as text: {error}.") from error
    concepts = tuple(dict.fromkeys(word for line in lines if (word := " ".join(line.lower().split()))))
    if not concepts:
        raise BadInputError(f"{path} names no concept; write one a line.")
    return concepts
