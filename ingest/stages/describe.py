"""Stage `describe`: a voxel's most driving images and crops, and captions of them (METHOD §2, steps 1 and 2).

Work goes image by image: the feature map of an image is made once for all voxels that want it, and so is each crop.
"""

import hashlib
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atlas.backbones.interface import Backbone, Box, Floats, Image
from ingest.dissection.activation import Group, ImageMaps, by_image, image_maps, top_images
from ingest.dissection.captions import Captioner
from ingest.dissection.crops import CropRules, crop_boxes, cut
from ingest.stages.context import Context, grouped, ranges
from ingest.stages.fitted import FittedVoxels, fitted
from schemas.errors import BadInputError

_WHOLE: tuple[int, ...] = ()
_CAPTIONS_PER_COMMIT = 512
_CAPTIONS_TO_SKIP = 16
"""Captions that are given up together, where what is bad is skipped."""

Region = tuple[int, tuple[int, ...]]
"""(row of the image in the data set's stimuli, box or () for the whole image)."""


@dataclass
class Candidates:
    """Images and crops that some voxel may be described by, and each voxel's response to them."""

    regions: list[Region] = field(default_factory=list)
    features: list[Floats] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)
    """Rows of voxels that an unreadable image keeps from being described."""
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
        starts = np.flatnonzero(np.diff(row[order], prepend=-1) != 0)
        weight = np.array([crops_stand_for if box else 1.0 for _, box in self.regions])[region[order]]
        before = np.cumsum(weight) - weight
        rank = before - np.repeat(before[starts], np.diff(np.r_[starts, len(order)])) + 1
        kept = order[rank <= n]
        return row[kept], region[kept], response[kept], rank[rank <= n].astype(np.int32)


def describe(context: Context, features: Floats, voxels: NDArray[np.int32], captioner: Captioner) -> None:
    """Append `top_image` and `caption` rows of the given voxels, a block of voxels at a time.

    A voxel that wants an image which cannot be read is left out whole where bad input is skipped, and so is one with a
    caption that cannot be made; a later run comes back to them.

    Args:
        context: the ingest.
        features: (n_stimuli, dim).
        voxels: numbers of the voxels to describe, ascending; each has a row in `encoding`.
        captioner: writes the captions.
    """
    done = context.store.committed("describe")
    sql = "SELECT DISTINCT voxel FROM top_image WHERE model_id = ?"
    late = ~np.isin(voxels, context.store.arrow(sql, [context.model_id])["voxel"].to_numpy())
    for start, stop in ranges(len(voxels), context.config.block_voxels):
        if (key := f"{context.model_id}/{start}") not in done:
            _describe_block(context, features, voxels[start:stop], captioner, key)
            late[start:stop] = False
    if late.any():
        key = f"{context.model_id}/late/{hashlib.sha256(voxels[late].tobytes()).hexdigest()[:16]}"
        if key not in done:
            _describe_block(context, features, voxels[late], captioner, key)
    _caption_the_rest(context, captioner)


def _describe_block(
    context: Context, features: Floats, voxels: NDArray[np.int32], captioner: Captioner, key: str
) -> None:
    candidates = find_candidates(context, features, fitted(context, voxels))
    row, region, response, rank = candidates.best(context.config.n_captions)
    if not len(row):
        return
    used = np.unique(region)
    _caption(context, captioner, [candidates.regions[i] for i in used], [candidates.features[i] for i in used])
    stimulus_ids = context.dataset.stimuli["stimulus_id"].to_list()
    top = {
        "model_id": pa.repeat(context.model_id, len(row)),
        "voxel": voxels[row],
        "rank": rank,
        "stimulus_id": [stimulus_ids[candidates.regions[i][0]] for i in region],
        "box": [list(candidates.regions[i][1]) for i in region],
        "response": response,
    }
    context.store.append({"top_image": pa.table(top)}, run_id=context.run_id, stage="describe", key=key)


def find_candidates(
    context: Context, features: Floats, voxels: FittedVoxels, only: AbstractSet[int] | None = None
) -> Candidates:
    """The most driving images of voxels, and the crops of them.

    Args:
        context: the ingest.
        features: (n_stimuli, dim).
        voxels: the voxels.
        only: rows of the images that are cropped; None for all that some voxel wants.

    Returns:
        The images, in the order of their rows, and then the crops.
    """
    config, backbone = context.config, context.backbone
    top, _ = top_images(features, voxels.weights, voxels.bias, voxels.feature_mean, config.top_images)
    found, pixels = Candidates(), dict[int, Image]()
    for image, rows in by_image(top):
        found.add((image, _WHOLE), features[image], rows, voxels.respond(features[image], rows))
    if not config.crops_per_image:
        return found

    groups = [(image, rows) for image, rows in by_image(top) if only is None or image in only]

    def readable() -> Iterator[Group]:
        for image, rows in groups:
            with context.skipping(f"{len(rows)} voxels that want image {image}"):
                pixels[image] = context.image(image)
            if image in pixels:
                yield image, rows
            else:
                found.lost.update(rows.tolist())

    with context.progress.stage("map and crop", len(groups)) as advance:
        for maps in image_maps(backbone, pixels.pop, readable(), voxels.weights, context.batch_images):
            crops = _crops(maps, backbone, CropRules.of(config))
            for group in grouped(crops, context.batch_images):
                encoded = backbone.features([cut(maps.image, box) for box, _ in group])
                for feature, (box, rows) in zip(encoded, group, strict=True):
                    found.add((maps.index, box), feature, rows, voxels.respond(feature, rows))
            advance(1)
    return found


def _crops(maps: ImageMaps, backbone: Backbone, rules: CropRules) -> Iterator[tuple[Box, NDArray[np.intp]]]:
    """The distinct crops of an image, each with the rows of the voxels that want it."""
    height, width = maps.image.shape[:2]
    seen = backbone.seen(width, height)
    wanted: dict[Box, list[int]] = {}
    for row, activation in zip(maps.rows, maps.maps, strict=True):
        for box in crop_boxes(activation, seen, rules, (width, height)):
            wanted.setdefault(box, []).append(int(row))
    for box, rows in sorted(wanted.items()):
        yield box, np.array(rows)


def _caption(
    context: Context, captioner: Captioner, regions: list[Region], features: list[Floats] | None = None
) -> None:
    """Append captions of the regions that this captioner has not described in any earlier run."""
    stimulus_ids = context.dataset.stimuli["stimulus_id"].to_list()
    sql = "SELECT DISTINCT stimulus_id, box FROM caption WHERE captioner = ?"
    known = context.store.arrow(sql, [captioner.name]).to_pylist()
    described = {(row["stimulus_id"], tuple(row["box"])) for row in known}
    new = [i for i, (image, box) in enumerate(regions) if (stimulus_ids[image], box) not in described]
    with context.progress.stage("caption", len(new)) as advance:
        for group in grouped(new, _CAPTIONS_TO_SKIP if context.skip_bad else _CAPTIONS_PER_COMMIT):
            with context.skipping(f"{len(group)} captions"):
                texts = captioner.caption(
                    LazyCrops(context, [regions[i] for i in group]),
                    None if features is None else np.stack([features[i] for i in group]),
                )
                if len(texts) != len(group):
                    raise BadInputError(
                        f"The captioner {captioner.name} gave {len(texts)} captions of {len(group)} images."
                    )
                _append_captions(context, captioner.name, [regions[i] for i in group], texts)
            advance(len(group))


def _append_captions(context: Context, captioner: str, regions: Sequence[Region], texts: Sequence[str]) -> None:
    stimulus_ids = context.dataset.stimuli["stimulus_id"].to_list()
    ids, boxes = [stimulus_ids[image] for image, _ in regions], [list(box) for _, box in regions]
    batch = {"stimulus_id": ids, "box": boxes, "captioner": [captioner] * len(ids), "text": list(texts)}
    key = f"{captioner}/{hashlib.sha256(repr((ids, boxes)).encode()).hexdigest()[:16]}"
    context.store.append({"caption": pa.table(batch)}, run_id=context.run_id, stage="caption", key=key)


def _caption_the_rest(context: Context, captioner: Captioner) -> None:
    """Caption regions that came without a caption: from another model of the same crops, or from a run that skipped."""
    sql = (
        "SELECT DISTINCT stimulus_id, box FROM top_image WHERE model_id = ? EXCEPT "
        "SELECT stimulus_id, box FROM caption WHERE captioner = ?"
    )
    rest = context.store.arrow(sql, [context.model_id, captioner.name]).to_pylist()
    if rest:
        place = {name: index for index, name in enumerate(context.dataset.stimuli["stimulus_id"].to_list())}
        _caption(context, captioner, sorted((place[row["stimulus_id"]], tuple(row["box"])) for row in rest))


class LazyCrops(Sequence[Image]):
    """Pixels of regions, read when they are looked at: a captioner that works on features reads none."""

    def __init__(self, context: Context, regions: Sequence[Region]) -> None:
        self._context, self._regions = context, regions

    def __len__(self) -> int:
        return len(self._regions)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> "LazyCrops": ...
    def __getitem__(self, index: int | slice) -> "Image | LazyCrops":
        if isinstance(index, slice):
            return LazyCrops(self._context, self._regions[index])
        image, box = self._regions[index]
        picture = self._context.image(image)
        return cut(picture, (box[0], box[1], box[2], box[3])) if box else picture
