"""The images and crops that voxels may be described by (METHOD §2, step 1).

Work goes image by image: the feature map of an image is made once for all voxels that want it, and so is each crop.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ....atlas.backbones.interface import Backbone, Box, Floats
from ....schemas.errors import BadInputError, NotFoundError
from ...dissection.activation import FittedVoxels, Group, ImageMaps, by_image, diverse_images, image_maps, top_images
from ...dissection.crops import CropRules, crop_boxes, cut
from ..context import BatchContext, Context, grouped, read_image
from ..encode import Region

_WHOLE: tuple[int, ...] = ()
_DIVERSE_AMONG = 100
"""Strongest images that diverse ones are chosen from."""

_Crop = tuple[Region, Floats, NDArray[np.intp], Floats]
"""A region, its features (dim,), the rows of the voxels that want it, and their responses to it."""


@dataclass
class Candidates:
    """Images and crops that some voxel may be described by, and each voxel's response to them."""

    regions: list[Region] = field(default_factory=list)
    features: list[Floats] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)
    """Rows of voxels that an unreadable image keeps from being described."""
    by_turns: bool = False
    """Whether the first region of every image comes before the second of any, so that diverse images stay diverse."""
    _rows: list[NDArray[np.intp]] = field(default_factory=list)
    _responses: list[Floats] = field(default_factory=list)

    def add(self, region: Region, feature: Floats, rows: NDArray[np.intp], responses: Floats) -> None:
        """A region, its features (dim,), the rows of the voxels that want it, and their responses to it."""
        self.regions.append(region)
        self.features.append(feature)
        self._rows.append(rows)
        self._responses.append(responses)

    def best(
        self, n: int, crops_stand_for: float = 1.0
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats, NDArray[np.int32]]:
        """The `n` strongest regions of every voxel that is not lost: its row, the region, the response, the rank.

        Args:
            n: how many.
            crops_stand_for: crops that each one stands for, where only some of the images were cropped.
        """
        region = np.repeat(np.arange(len(self._rows)), [len(rows) for rows in self._rows])
        row, response = np.concatenate(self._rows), np.concatenate(self._responses)
        whole = ~np.isin(row, list(self.lost))
        region, row, response = region[whole], row[whole], response[whole]
        # Ties fall to the region that was met first, whatever the sort does elsewhere.
        order = np.lexsort((region, -response, row))
        if self.by_turns:
            image = np.array([image for image, _ in self.regions])[region]
            of_image = np.lexsort((region, -response, image, row))
            new = np.diff(row[of_image], prepend=-1).astype(bool) | np.diff(image[of_image], prepend=-1).astype(bool)
            begins = np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))
            turn = np.empty(len(row), np.intp)
            turn[of_image] = np.arange(len(row)) - begins
            order = np.lexsort((region, -response, turn, row))
        starts = np.flatnonzero(np.diff(row[order], prepend=-1) != 0)
        weight = np.array([crops_stand_for if box else 1.0 for _, box in self.regions])[region[order]]
        before = np.cumsum(weight) - weight
        rank = before - np.repeat(before[starts], np.diff(np.r_[starts, len(order)])) + 1
        kept = order[rank <= n]
        return row[kept], region[kept], response[kept], rank[rank <= n].astype(np.int32)


def find_candidates(
    context: Context, features: Floats, voxels: FittedVoxels, only: AbstractSet[int] | None = None
) -> Candidates:
    """The most driving images of voxels, and the crops of them.

    Args:
        context: the ingest.
        features: of the probe images, (n_images, dim).
        voxels: the voxels.
        only: rows of the images that are cropped; None for all that some voxel wants.

    Returns:
        The images, in the order of their rows, and then the crops.
    """
    config = context.config
    diverse = config.candidate_images == "diverse"
    among = max(_DIVERSE_AMONG, config.top_images) if diverse else config.top_images
    top, responses = top_images(features, voxels, among)
    if diverse:
        top = diverse_images(features - voxels.feature_mean, top, responses, config.top_images)
    candidates = Candidates(by_turns=diverse)
    for image, rows in by_image(top):
        candidates.add((image, _WHOLE), features[image], rows, voxels.respond(features[[image]], rows)[:, 0])
    if not config.crops_per_image:
        return candidates

    groups = [(image, rows) for image, rows in by_image(top) if only is None or image in only]
    batches = list(grouped(groups, context.batch_images))
    with context.progress.stage("map and crop", len(groups)) as advance:
        cropped = context.workers.map(_cropped, (context.for_workers, voxels), batches)
        for batch, of_batch in zip(batches, cropped, strict=True):
            for (image, rows), crops in zip(batch, of_batch(), strict=True):
                if isinstance(crops, BadInputError | NotFoundError):
                    candidates.lost.update(rows.tolist())
                    with context.skipping(f"{len(rows)} voxels that want image {image}"):
                        raise crops
                else:
                    for crop in crops:
                        candidates.add(*crop)
            advance(len(batch))
    return candidates


def _cropped(
    given: tuple[BatchContext, FittedVoxels], groups: Sequence[Group]
) -> list[list[_Crop] | BadInputError | NotFoundError]:
    """The crops of some images; for one that cannot be read, why."""
    context, voxels = given
    images, errors = {}, {}
    for image, _ in groups:
        try:
            images[image] = read_image(context.probe, image)
        except (BadInputError, NotFoundError) as error:
            errors[image] = error
    readable = [(image, rows) for image, rows in groups if image in images]
    crops: dict[int, list[_Crop]] = {image: [] for image, _ in readable}
    wanted = (
        (maps.index, maps.image, box, rows)
        for maps in image_maps(context.backbone, images.pop, readable, voxels.weights, context.batch_images)
        for box, rows in _boxes(maps, context.backbone, CropRules.of(context.config))
    )
    for group in grouped(wanted, context.batch_images):
        encoded = context.backbone.features([cut(pixels, box) for _, pixels, box, _ in group])
        for feature, (image, _, box, rows) in zip(encoded, group, strict=True):
            crops[image].append(((image, box), feature, rows, voxels.respond(feature[None], rows)[:, 0]))
    return [errors[image] if image in errors else crops[image] for image, _ in groups]


def _boxes(maps: ImageMaps, backbone: Backbone, rules: CropRules) -> Iterator[tuple[Box, NDArray[np.intp]]]:
    """The distinct crops of an image, each with the rows of the voxels that want it."""
    height, width = maps.image.shape[:2]
    seen = backbone.seen(width, height)
    wanted: dict[Box, list[int]] = {}
    for row, activation in zip(maps.rows, maps.maps, strict=True):
        for box in crop_boxes(activation, seen, rules, (width, height)):
            wanted.setdefault(box, []).append(int(row))
    for box, rows in sorted(wanted.items()):
        yield box, np.array(rows)
