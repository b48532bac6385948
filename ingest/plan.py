"""What a dissection will cost: how much of everything there will be, and how long it takes, from a sample of images.

Which images voxels want follows from the fit. How many crops, captions and words there are is counted on some of these
images and scaled up; with all of them the numbers are those of the dissection.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..atlas.backbones.feature_cache import FeatureCache
from ..atlas.backbones.interface import Floats
from ..schemas.config import IngestConfig
from .dissection.activation import top_images
from .dissection.interface import Captioner, Generator, seed_of
from .dissection.nouns import NounExtractor, by_mention
from .stages.append_images import hash_images
from .stages.context import Context, ranges, read_image
from .stages.encode import Region, Regions
from .stages.labels.candidates import find_candidates
from .stages.labels.generate import candidates_of
from .stages.voxel_batches import fitted, voxels_to_label

LIMITS = (1, 2, 5, 10, 20, 50)
"""Values of min_voxels_per_label whose effect is shown."""
_IMAGES_TO_TIME, _LABELS_TO_TIME = 16, 8
_HALVES = 4
"""Random halves of the sample that show how the vocabulary grows."""
_PATIENCE_S = 10.0
"""After a first picture that takes longer, no more are drawn to time them."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Job:
    """How much there is of one thing, how much of it is done already, and how fast the rest goes."""

    what: str
    number: int
    done: int = 0
    per_second: float = float("inf")

    @property
    def seconds(self) -> float:
        """Time for the rest."""
        rest = self.number - self.done
        return rest / self.per_second if rest else 0.0  # where there is nothing, nothing was timed


@dataclass(frozen=True)
class Plan:
    """What a dissection will cost."""

    n_voxels: int
    n_images: int
    """Different images that some voxel wants."""
    n_looked_at: int
    """How many of them this plan was made from."""
    jobs: tuple[Job, ...]
    labels: Mapping[int, int]
    """Value of min_voxels_per_label → how many labels remain."""

    @property
    def seconds(self) -> float:
        """Time for everything."""
        return sum(job.seconds for job in self.jobs)


@dataclass
class _Sampled:
    """What voxels are captioned by: whole images, and the crops of the images that were looked at."""

    regions: list[Region]
    features: list[Floats]
    voxel: NDArray[np.int32]
    """Which voxel wants …"""
    region: NDArray[np.intp]
    """… which region (its place in `regions`), each voxel's strongest first."""
    n_crops: int
    """Different crops of the images that were looked at, wanted or not."""


def plan(context: Context, features: Floats, captioner: Captioner, generator: Generator, n_sample: int = 100) -> Plan:
    """Count and time what `label_voxels` would do; nothing is stored.

    Args:
        context: a fitted model with the settings of the dissection.
        features: (n_stimuli, dim).
        captioner: captions what it sees in the sample.
        generator: draws a few labels.
        n_sample: images to look at; 0 for all that some voxel wants.
    """
    config, voxels = context.config, voxels_to_label(context)
    blocks = [voxels[start:stop] for start, stop in ranges(len(voxels), config.block_voxels)]
    choosing_s, wanted = timed(lambda: [_wanted(context, features, block) for block in blocks])
    images = np.unique(np.concatenate([np.empty(0, np.int32), *wanted]))
    looked_at = np.random.default_rng(0).permutation(images)[: n_sample or len(images)]
    scale = len(images) / max(1, len(looked_at))
    cropping_s, sampled = timed(lambda: _sample(context, features, blocks, set(looked_at.tolist()), scale))
    maps = Job(
        "images mapped and cropped",
        sum(map(len, wanted)),
        per_second=sum(int(np.isin(of_block, looked_at).sum()) for of_block in wanted)
        / max(cropping_s - choosing_s, 1e-3),
    )
    crops = Job("different crops", round(sampled.n_crops * scale))

    described = _described(context, captioner)
    stands_for = {region: scale if region[1] else 1.0 for region in sampled.regions}
    total, n_done = sum(stands_for.values()), sum(stands_for[region] for region in described & stands_for.keys())
    chosen = set(looked_at.tolist())
    sample = [place for place, (image, _) in enumerate(sampled.regions) if image in chosen]
    captioning_s, texts = timed(lambda: _captions(context, captioner, sampled, sample))
    captions = Job("captions", round(total), round(n_done), len(sample) / max(captioning_s, 1e-9))
    nouns = dict(zip(sample, NounExtractor().nouns(texts), strict=True))

    limits = sorted({*LIMITS, config.min_voxels_per_label})
    labels = _vocabulary(config, sampled, nouns, limits, captions.number)
    n_pictures = labels[config.min_voxels_per_label] * config.images_per_label
    named = by_mention(list(nouns.values()))
    jobs = (
        maps,
        crops,
        captions,
        Job("different labels", labels[config.min_voxels_per_label]),
        Job(
            "generated pictures",
            n_pictures,
            round(n_pictures * _share_drawn(context, generator, named)),
            _pictures_per_second(context, generator, named),
        ),
        Job("pictures encoded", n_pictures, 0, _encoded_per_second(context, looked_at)),
    )
    return Plan(len(voxels), len(images), len(looked_at), jobs, labels)


def probe_job(context: Context) -> Job:
    """The images that voxels are described by: each goes through the network once, whichever subject it is for."""
    hash_images(context, context.probe)
    sha256s = context.probe.stimuli["sha256"].to_list()
    left = FeatureCache(context.home, context.backbone, context.batch_images).unknown(sha256s)
    rows = np.random.default_rng(0).permutation(len(sha256s)).astype(np.int32)
    gigabytes = 4 * len(left) * context.backbone.dim / 2**30
    what = f"probe images encoded ({gigabytes:.2f} GiB)" if left else "probe images encoded"
    rate = _encoded_per_second(context, rows) if left else float("inf")
    return Job(what, len(sha256s), len(sha256s) - sum(sha256 in left for sha256 in sha256s), rate)


def _wanted(context: Context, features: Floats, voxels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Rows of the different images that some of the voxels want."""
    return np.unique(top_images(features, fitted(context, voxels), context.config.top_images)[0])


def _sample(
    context: Context, features: Floats, blocks: Sequence[NDArray[np.int32]], images: set[int], scale: float
) -> _Sampled:
    """What the dissection finds, with the crops of some images standing for those of all."""
    places: dict[Region, int] = {}
    kept: list[Floats] = []
    voxel, region, crops = [np.empty(0, np.int32)], [np.empty(0, np.intp)], set[Region]()
    for block in blocks:
        candidates = find_candidates(context, features, fitted(context, block), images)
        crops.update(found for found in candidates.regions if found[1])
        rows, local, _, _ = candidates.best(context.config.n_captions, scale)
        for place in np.unique(local):
            if places.setdefault(candidates.regions[place], len(places)) == len(kept):
                kept.append(candidates.features[place])
        voxel.append(block[rows])
        region.append(np.array([places[candidates.regions[place]] for place in local], np.intp))
    return _Sampled(list(places), kept, np.concatenate(voxel), np.concatenate(region), len(crops))


def _described(context: Context, captioner: Captioner) -> set[Region]:
    """Regions that the captioner has described in an earlier run."""
    place = {name: row for row, name in enumerate(context.probe.stimuli["stimulus_id"].to_list())}
    rows = context.store.arrow("SELECT stimulus_id, box FROM caption WHERE captioner = ?", [captioner.name]).to_pylist()
    return {(place[row["stimulus_id"]], tuple(row["box"])) for row in rows if row["stimulus_id"] in place}


def _captions(context: Context, captioner: Captioner, sampled: _Sampled, places: Sequence[int]) -> list[str]:
    if not places:
        return []
    regions = [sampled.regions[place] for place in places]
    return captioner.caption(Regions(context.probe, regions), np.stack([sampled.features[place] for place in places]))


def _vocabulary(
    config: IngestConfig, sampled: _Sampled, nouns: Mapping[int, Sequence[str]], limits: Sequence[int], n_captions: int
) -> dict[int, int]:
    """How many labels will remain for each limit of voxels per label, see `candidate_labels`.

    Vocabularies grow with the captions: how fast is seen from halves of the sample's images.
    """
    rng, images = np.random.default_rng(0), sorted({sampled.regions[place][0] for place in nouns})
    halves = [set(rng.permutation(images)[: len(images) // 2].tolist()) for _ in range(_HALVES)]
    parts = [{place: own for place, own in nouns.items() if sampled.regions[place][0] in half} for half in halves]
    counted = np.mean([_n_labels(config, sampled, part, limits) for part in parts], axis=0)
    n_half = float(np.mean([len(part) for part in parts]))
    fewest, remaining = float("inf"), dict[int, int]()
    for limit, half, seen in zip(limits, counted, _n_labels(config, sampled, nouns, limits), strict=True):
        fewest = min(fewest, grown(n_captions, (n_half, half), (len(nouns), seen)))
        remaining[limit] = round(fewest)
    return remaining


def grown(n_all: float, half: tuple[float, float], seen: tuple[float, float]) -> float:
    """How many different words `n_all` captions have, by Heaps' law V = K · n**β (Heaps 1978) through two points.

    Args:
        n_all: captions.
        half: captions of a part of the sample, and different words in them.
        seen: captions of the whole sample, and different words in them.
    """
    (n_half, v_half), (n_seen, v_seen) = half, seen
    if not v_seen or n_all <= n_seen:
        return v_seen
    # A word that the part lacks altogether says nothing of how they grow, beyond that they do.
    exponent = math.log(v_seen / max(v_half, 0.5)) / math.log(n_seen / n_half) if 0 < n_half < n_seen else 1.0
    return float(v_seen * (n_all / n_seen) ** min(max(exponent, 0.0), 1.0))


def _n_labels(
    config: IngestConfig, sampled: _Sampled, nouns: Mapping[int, Sequence[str]], limits: Sequence[int]
) -> list[int]:
    """How many different labels voxels have by these captions, for each limit."""
    mentions = defaultdict[int, list[Sequence[str]]](list)
    for voxel, region in zip(sampled.voxel.tolist(), sampled.region.tolist(), strict=True):
        if region in nouns:
            mentions[voxel].append(nouns[region])
    named = {voxel: by_mention(of_voxel) for voxel, of_voxel in mentions.items()}
    limited = (config.model_copy(update={"min_voxels_per_label": limit}) for limit in limits)
    kept = (candidates_of(settings, named)[0].values() for settings in limited)
    return [len({noun for of_voxel in labels for noun in of_voxel}) for labels in kept]


def _share_drawn(context: Context, generator: Generator, labels: Sequence[str]) -> float:
    """Share of the labels that an earlier run drew."""
    sql = "SELECT DISTINCT l.lemma FROM synthetic_image s JOIN label l USING (label_id) WHERE s.generator = ?"
    drawn = set(context.store.arrow(sql, [generator.name])["lemma"].to_pylist())
    return len(drawn.intersection(labels)) / max(1, len(labels))


def _pictures_per_second(context: Context, generator: Generator, labels: Sequence[str]) -> float:
    for label in labels:
        seconds, (first,) = timed(partial(generator.generate, [(label, [seed_of(label, generator.name, 0)])]))
        if first is not None:
            break
    else:
        return float("inf")  # it draws none of them
    if seconds > _PATIENCE_S:
        return 1 / seconds
    ordinals = range(context.config.images_per_label)
    requests = [(name, [seed_of(name, generator.name, i) for i in ordinals]) for name in labels[:_LABELS_TO_TIME]]
    seconds, drawn = timed(lambda: generator.generate(requests))
    return max(1, sum(len(pictures or ()) for pictures in drawn)) / seconds


def _encoded_per_second(context: Context, images: NDArray[np.int32]) -> float:
    pixels = [read_image(context.probe, int(image)) for image in images[:_IMAGES_TO_TIME]]
    if not pixels:
        return float("inf")
    seconds, _ = timed(lambda: context.backbone.features(pixels))
    return len(pixels) / seconds


def timed(run: Callable[[], _T]) -> tuple[float, _T]:
    """Seconds that something takes, and what it gives."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result
