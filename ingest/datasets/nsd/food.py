"""The food region of NSD's subjects, which is published as a method and not as masks (Jain et al. 2023)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.config import FDR
from ....schemas.errors import NotFoundError
from ....schemas.files import file_sha256, write_atomically
from ...encoding.contrast import category_contrast
from ..fingerprint import combined_sha256
from ..rois import FOOD, Region
from ..trials import LEFT_OUT, Block, Floats, Indices, mean_responses
from .design import TABLE, NsdIds, shared_images
from .image_contents import image_contents
from .subject_maps import SubjectMaps

_VENTRAL = 5
"""Label of the ventral stream in `streams`."""
_VOXELS_AT_ONCE = 2000


@dataclass(frozen=True)
class FoodMap:
    """Where a subject's ventral stream answers more to food than to other things."""

    voxels: Indices
    """Those of the ventral stream, (n,)."""
    t: Floats
    """Student's t of the contrast, (n,); NaN where a voxel has no usable responses."""
    q: Floats
    nsd_ids: NsdIds
    """The images whose responses it comes from."""

    def region(self, n_voxels: int) -> Region:
        """FOOD: the voxels with q ≤ 0.05."""
        inside, t = np.zeros(n_voxels, np.bool_), np.full(n_voxels, np.nan, np.float32)
        inside[self.voxels] = self.q <= FDR
        t[self.voxels] = self.t
        described = (
            f"food against other categories in responses to {len(self.nsd_ids)} images that all subjects saw, "
            f"q <= {FDR:g} within the ventral stream"
        )
        return Region(FOOD, "contrast", described, inside, t)

    @property
    def tests(self) -> pl.DataFrame:
        """roi, voxel, t, q: rows of `region_test`, of the voxels that have a t."""
        frame = pl.DataFrame({"roi": FOOD, "voxel": self.voxels.astype(np.int32), "t": self.t, "q": self.q})
        return frame.filter(pl.col("t").is_not_nan())

    @property
    def images(self) -> pl.DataFrame:
        """roi, stimulus_id: rows of `region_image`."""
        return pl.DataFrame({"roi": FOOD, "stimulus_id": [f"nsd/{number}" for number in self.nsd_ids]})


def food_map(
    maps: SubjectMaps,
    blocks: Sequence[Block],
    nsd_ids: NDArray[np.integer],
    labels: Sequence[Path],
    cache: Path,
    responses_sha256: str,
) -> FoodMap:
    """The contrast of food over the voxels of the ventral stream; kept in a file, as it takes a look at their betas.

    Args:
        maps: the subject's maps.
        blocks: the subject's trials.
        nsd_ids: what the images of `blocks` are, (n_images,).
        labels: what images show; see `image_contents`.
        cache: folder of that file.
        responses_sha256: changes when the responses do.

    Raises:
        NotFoundError: there is no map of streams, no image that all subjects saw, or no file of labels.
        BadInputError: labels that are none, or that do not suffice; see `category_contrast`.
    """
    files, root = maps.files, maps.files.root
    if not files.label("streams").exists():
        raise NotFoundError(f"{files.label('streams')}: not there, and FOOD is made within it; download it from NSD.")
    voxels = np.flatnonzero(maps.labels("streams") == _VENTRAL)
    shared = np.intersect1d(shared_images(root, "shared907"), nsd_ids).astype(np.int32)
    if not len(shared):
        raise NotFoundError(
            f"{root}: all subjects saw none of the images together, which FOOD is made by; give --food."
        )
    known, categories, shows = image_contents(labels, shared, root / TABLE)
    given = [responses_sha256, *map(file_sha256, labels), hashlib.sha256(known.tobytes() + shows.tobytes()).hexdigest()]
    path = cache / f"food-{combined_sha256([*given, hashlib.sha256(voxels.tobytes()).hexdigest()])[:16]}.npz"
    if not path.exists():
        row_of = {int(number): row for row, number in enumerate(known)}
        rows = np.array([row_of.get(int(number), LEFT_OUT) for number in nsd_ids], np.intp)
        of_known = [replace(block, images=rows[block.images]) for block in blocks]
        responses = [
            mean_responses(of_known, len(known), voxels[start : start + _VOXELS_AT_ONCE])
            for start in range(0, len(voxels), _VOXELS_AT_ONCE)
        ]
        measured = np.concatenate([np.empty((len(known), 0), np.float32), *responses], axis=1)
        t, q = category_contrast(measured, shows, categories, "food")
        write_atomically(path, partial(np.savez, t=t, q=q))
    with np.load(path) as kept:
        return FoodMap(voxels, kept["t"], kept["q"], known)
