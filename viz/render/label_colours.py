"""Colours of labels: neighbours in meaning get neighbouring colours (the paper's Fig. 4).

UMAP (McInnes et al. 2018) is fitted in three dimensions on the embeddings of the images, all labels are projected into
it at once, and the three coordinates become red, green and blue. Labels must not be projected in parts: UMAP's answer
for one label depends on the others. So the colours are worked out once for a model and kept with it.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, NotFoundError
from ..surfaces.locked_files import cached, stored

Floats = NDArray[np.float32]

_DARKEST, _LIGHTEST = 0.12, 0.95
_MOST_NEIGHBOURS = 15


@dataclass(frozen=True, eq=False)
class LabelColours:
    """A colour for each label."""

    labels: tuple[str, ...]
    rgb: Floats
    """(n, 3) float32, red, green and blue, 0 to 1."""
    trustworthiness: float
    """0 to 1: how far neighbours in colour are neighbours in embedding (Venna & Kaski 2001), over as many of them as
    UMAP looked at; about 0.5 is chance, and NaN stands for fewer than 3 labels.
    """

    def of(self, wanted: Sequence[str | None]) -> Floats:
        """The colours of these labels, (n, 3) float32; NaN for None.

        Raises:
            NotFoundError: one of them has no colour.
        """
        rows = {label: row for row, label in enumerate(self.labels)}
        unknown = sorted({label for label in wanted if label is not None and label not in rows})
        if unknown:
            raise NotFoundError(f"These labels have no colour yet: {', '.join(unknown[:10])}; fit the colours again.")
        table = np.vstack([self.rgb, np.full((1, 3), np.nan, np.float32)])
        return table[[rows[label] if label is not None else -1 for label in wanted]]

    def legend(self, wanted: Sequence[str]) -> list[tuple[str, tuple[int, int, int]]]:
        """Labels and their colours for `flatmap.render_colours`."""
        rgb = np.rint(self.of(wanted) * 255).astype(int).tolist()
        return [(label, (red, green, blue)) for label, (red, green, blue) in zip(wanted, rgb, strict=True)]


def label_colours(images: Floats, labels: Sequence[str], vectors: Floats, *, seed: int = 42) -> LabelColours:
    """Fit UMAP on the images and give every label a colour.

    Both kinds of vectors are centred on their own mean first: images and texts lie in different parts of such spaces
    (Liang et al. 2022), and uncentred labels would all get one colour.

    Args:
        images: (n_images, d) embeddings of the images.
        labels: the labels.
        vectors: (n_labels, d) embeddings of the labels, in the same space.
        seed: of UMAP.

    Raises:
        BadInputError: fewer than 5 images or 2 labels, other widths, or values that are not finite.
    """
    images, vectors = np.asarray(images, np.float32), np.asarray(vectors, np.float32)
    if images.ndim != 2 or vectors.ndim != 2 or images.shape[1] != vectors.shape[1] or len(labels) != len(vectors):
        raise BadInputError(
            f"Colours take (n, d) images and (m, d) vectors of m labels, not {images.shape}, {vectors.shape} and "
            f"{len(labels)} labels."
        )
    if len(images) < 5 or len(labels) < 2:
        raise BadInputError(f"Colours need 5 images and 2 labels at least; there are {len(images)} and {len(labels)}.")
    if not (np.isfinite(images).all() and np.isfinite(vectors).all()):
        raise BadInputError("An embedding holds NaN or infinite values; embed the images and labels again.")
    n_neighbours = max(2, min(_MOST_NEIGHBOURS, len(images) - 1, len(labels) // 2))
    with warnings.catch_warnings():
        # UMAP warns that a seed costs parallelism, that few points give fewer components, and numba of its own cache.
        warnings.simplefilter("ignore")
        from umap import UMAP

        _keep_compiled()
        # It starts from principal components: spectral starting places fail on few points.
        fitted = UMAP(
            n_components=3, n_neighbors=n_neighbours, metric="cosine", init="pca", random_state=seed, n_jobs=1
        ).fit(_centred(images))
        rgb = _to_rgb(np.asarray(fitted.transform(_centred(vectors)), np.float32))
    return LabelColours(tuple(labels), rgb, _trust(vectors, rgb, n_neighbours))


def kept(path: Path, fit: Callable[[], LabelColours]) -> LabelColours:
    """The colours in the file `path`, fitted first when it is not there: labels keep the colours that they once got."""
    return _colours(cached(path, lambda: {name: np.array(value) for name, value in vars(fit()).items()}))


def kept_before(path: Path) -> LabelColours | None:
    """The colours in the file `path`; None where it is not there or cannot be read."""
    arrays = stored(path)
    return _colours(arrays) if arrays and {"labels", "rgb", "trustworthiness"} <= arrays.keys() else None


def _colours(arrays: Mapping[str, NDArray[Any]]) -> LabelColours:
    return LabelColours(tuple(arrays["labels"].tolist()), arrays["rgb"], float(arrays["trustworthiness"]))


def _keep_compiled() -> None:
    """Let numba keep in its own folder what it compiles of umap: else every process compiles it anew, for 15 s."""
    from numba.core.registry import CPUDispatcher
    from umap import distances, layouts, umap_, utils

    for module in (distances, layouts, umap_, utils):
        for function in vars(module).values():
            if isinstance(function, CPUDispatcher):
                function.enable_caching()


def _centred(vectors: Floats) -> Floats:
    centred: Floats = vectors - vectors.mean(0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), np.float32(1e-12))
    return centred


def _to_rgb(coordinates: Floats) -> Floats:
    """Spread each coordinate from dark to light; the outermost 2 % at either end share the end."""
    low, high = np.percentile(coordinates, [2, 98], axis=0)
    share = ((coordinates - low) / np.maximum(high - low, 1e-9)).clip(0, 1)
    return np.asarray(_DARKEST + (_LIGHTEST - _DARKEST) * share, np.float32)


def _trust(vectors: Floats, rgb: Floats, n_neighbours: int) -> float:
    from sklearn.manifold import trustworthiness

    n = min(n_neighbours, (len(vectors) - 1) // 2)
    if n < 1:
        return float("nan")
    return float(trustworthiness(_centred(vectors), rgb, n_neighbors=n, metric="cosine"))
