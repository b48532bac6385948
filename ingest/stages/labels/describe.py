"""Stage `describe`: a voxel's most driving images and crops, and captions of them (METHOD §2, steps 1 and 2)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ....atlas.backbones.interface import Backbone, Floats
from ....schemas.errors import BadInputError
from ....schemas.stage import Stage
from ...dissection.interface import Captioner
from ..context import BatchContext, Context, grouped, hash_of, ranges
from ..encode import Region, Regions, encode_regions
from ..voxel_batches import fitted
from .candidates import find_candidates

_CAPTIONS_PER_COMMIT = 512
_CAPTIONS_TO_SKIP = 16
"""Captions that are given up together, where what is bad is skipped."""


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
    done = context.store.committed(Stage.DESCRIBE)
    sql = "SELECT DISTINCT voxel FROM top_image WHERE model_id = ?"
    late = ~np.isin(voxels, context.store.arrow(sql, [context.model_id])["voxel"].to_numpy())
    for start, stop in ranges(len(voxels), context.config.block_voxels):
        if (key := f"{context.model_id}/{start}") not in done:
            _describe_block(context, features, voxels[start:stop], captioner, key)
            late[start:stop] = False
    if late.any():
        key = f"{context.model_id}/late/{hash_of(voxels[late].tobytes())}"
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
    stimulus_ids = context.probe.stimuli["stimulus_id"].to_list()
    top_ids = [stimulus_ids[candidates.regions[i][0]] for i in region]
    top = {
        "model_id": pa.repeat(context.model_id, len(row)),
        "voxel": voxels[row],
        "rank": rank,
        "stimulus_id": top_ids,
        "box": [list(candidates.regions[i][1]) for i in region],
        "response": response,
        "measured": pa.array(_measured(context, voxels, voxels[row], top_ids), pa.float32(), from_pandas=True),
    }
    context.append({"top_image": pa.table(top)}, Stage.DESCRIBE, key)


def _measured(
    context: Context, voxels: NDArray[np.int32], voxel: NDArray[np.int32], stimulus_ids: Sequence[str]
) -> Floats:
    """Measured response of each voxel to each image, (n,); NaN where the subject did not see it."""
    place = {name: row for row, name in enumerate(context.dataset.stimuli["stimulus_id"].to_list())}
    image = np.array([place.get(name, -1) for name in stimulus_ids], np.intp)
    found = np.full(len(image), np.nan, np.float32)
    for start, stop in ranges(len(voxels), context.config.batch_voxels):
        batch = voxels[start:stop]
        wanted = np.flatnonzero((image >= 0) & np.isin(voxel, batch))
        responses = context.dataset.responses_of(batch.astype(np.intp))
        found[wanted] = responses[image[wanted], np.searchsorted(batch, voxel[wanted])]
    return found


def _caption(
    context: Context, captioner: Captioner, regions: list[Region], features: list[Floats] | None = None
) -> None:
    """Append captions of the regions that this captioner has not described in any earlier run."""
    stimulus_ids = context.probe.stimuli["stimulus_id"].to_list()
    sql = "SELECT DISTINCT stimulus_id, box FROM caption WHERE captioner = ?"
    known = context.store.arrow(sql, [captioner.name]).to_pylist()
    described = {(row["stimulus_id"], tuple(row["box"])) for row in known}
    new = [i for i, (image, box) in enumerate(regions) if (stimulus_ids[image], box) not in described]
    groups = list(grouped(new, _CAPTIONS_TO_SKIP if context.skip_bad else _CAPTIONS_PER_COMMIT))
    seen = (
        ([regions[i] for i in group], None if features is None else np.stack([features[i] for i in group]))
        for group in groups
    )
    captioned = context.workers.map(_captioned, (context.for_workers, captioner), seen)
    with context.progress.stage("caption", len(new)) as advance:
        for group, texts in zip(groups, captioned, strict=True):
            with context.skipping(f"{len(group)} captions"):
                _append_captions(context, captioner.name, [regions[i] for i in group], texts())
            advance(len(group))


def _captioned(given: tuple[BatchContext, Captioner], seen: tuple[list[Region], Floats | None]) -> list[str]:
    """A caption of each region; its features are given where they are known."""
    (context, captioner), (regions, features) = given, seen
    texts = captioner.caption(Regions(context.probe, regions), features)
    if len(texts) != len(regions):
        raise BadInputError(f"The captioner {captioner.name} gave {len(texts)} captions of {len(regions)} images.")
    return texts


def _append_captions(context: Context, captioner: str, regions: Sequence[Region], texts: Sequence[str]) -> None:
    stimulus_ids = context.probe.stimuli["stimulus_id"].to_list()
    ids, boxes = [stimulus_ids[image] for image, _ in regions], [list(box) for _, box in regions]
    batch = {"stimulus_id": ids, "box": boxes, "captioner": [captioner] * len(ids), "text": list(texts)}
    key = f"{captioner}/{hash_of(repr((ids, boxes)).encode())}"
    context.append({"caption": pa.table(batch)}, Stage.CAPTION, key)


def _caption_the_rest(context: Context, captioner: Captioner) -> None:
    """Caption regions that came without a caption: from another model of the same crops, or from a run that skipped."""
    sql = (
        "SELECT DISTINCT stimulus_id, box FROM top_image WHERE model_id = ? EXCEPT "
        "SELECT stimulus_id, box FROM caption WHERE captioner = ?"
    )
    rest = context.store.arrow(sql, [context.model_id, captioner.name]).to_pylist()
    if rest:
        place = {name: index for index, name in enumerate(context.probe.stimuli["stimulus_id"].to_list())}
        _caption(context, captioner, sorted((place[row["stimulus_id"]], tuple(row["box"])) for row in rest))


def described_by(context: Context, space: Backbone) -> tuple[dict[int, NDArray[np.intp]], Floats]:
    """What the model's voxels are described by, in a space.

    Returns:
        Voxel → its images and crops, strongest first, as rows of the second: their features, (n_regions, dim).
    """
    sql = "SELECT voxel, stimulus_id, box FROM top_image WHERE model_id = ? ORDER BY voxel, rank"
    place = {name: index for index, name in enumerate(context.probe.stimuli["stimulus_id"].to_list())}
    rows: dict[Region, int] = {}
    of_voxel: dict[int, list[int]] = {}
    for voxel, stimulus_id, box in context.store.frame(sql, [context.model_id]).iter_rows():
        of_voxel.setdefault(voxel, []).append(rows.setdefault((place[stimulus_id], tuple(box)), len(rows)))
    features = encode_regions(context, context.probe, list(rows), space)
    return {voxel: np.array(own, np.intp) for voxel, own in of_voxel.items()}, features


def whole_captions(context: Context, captioner: Captioner, images: NDArray[np.intp], features: Floats) -> list[str]:
    """A caption of each of some whole images, made where this captioner has described one in no run yet.

    Args:
        context: the ingest.
        captioner: writes the captions.
        images: their rows, (n_images,).
        features: of all images, (n_stimuli, dim).

    Returns:
        In the order of `images`; an empty one of an image that was skipped.
    """
    context = replace(context, probe=context.dataset)
    _caption(context, captioner, [(int(image), ()) for image in images], list(features[images]))
    sql = "SELECT stimulus_id, text FROM caption WHERE captioner = ? AND len(box) = 0"
    texts: dict[str, str] = dict(context.store.frame(sql, [captioner.name]).iter_rows())
    return [texts.get(name, "") for name in context.probe.stimuli["stimulus_id"].gather(images)]
