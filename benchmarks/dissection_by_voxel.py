"""The usual way to dissect: voxel after voxel, image after image. Slow, and short enough to be seen to be right."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from voxel_atlas.atlas.backbones.interface import Backbone, Box, Floats, Image
from voxel_atlas.ingest.dissection.crops import SIDE, CropRules, cut
from voxel_atlas.ingest.dissection.interface import Captioner, Generator, seed_of
from voxel_atlas.ingest.dissection.nouns import NounExtractor
from voxel_atlas.schemas.config import IngestConfig


@dataclass
class Networks:
    """What is applied to images; all of them are loaded once, which is kinder than the released code."""

    backbone: Backbone
    captioner: Captioner
    generator: Generator
    nouns: NounExtractor
    drawn: dict[str, list[Image] | None] = field(default_factory=dict)
    """Pictures of the labels that were met so far."""
    captions: int = 0


def dissect(
    networks: Networks,
    config: IngestConfig,
    image: Callable[[int], Image],
    features: Floats,
    mean: Floats,
    weights: Floats,
    bias: float,
) -> dict[str, tuple[float, float]]:
    """Labels of one voxel with their score (eq2) and probability, as METHOD §2 says, step by step."""

    def product(feature: Floats) -> np.float32:
        return np.float32(feature.astype(np.float64) @ weights.astype(np.float64))

    def response(feature: Floats) -> float:
        return float(product(feature) + (np.float32(bias) - product(mean)))

    # Step 1: crops of the most driving images.
    backbone = networks.backbone
    top = sorted(range(len(features)), key=lambda i: (-response(features[i]), i))[: config.top_images]
    candidates = [(response(features[i]), image(i), features[i]) for i in top]
    for i in top:
        pixels = image(i)
        height, width = pixels.shape[:2]
        local = backbone.local_features([pixels])[0]
        activation_map = backbone.activation_maps(local, weights[None])[0]
        for box in boxes(activation_map, backbone.seen(width, height), CropRules.of(config)):
            crop = cut(pixels, box)
            feature = backbone.features([crop])[0]
            candidates.append((response(feature), crop, feature))

    # Step 2: nouns of the captions of the best.
    candidates.sort(key=lambda candidate: -candidate[0])
    named: Counter[str] = Counter()
    for _, pixels, feature in candidates[: config.n_captions]:
        networks.captions += 1
        caption = networks.captioner.caption([pixels], feature[None])
        named.update(networks.nouns.nouns(caption)[0])
    labels = [label for label, _ in named.most_common(config.max_candidates or None)]

    # Step 3: ranks of the labels' pictures.
    responses: dict[str, list[float]] = {}
    for label in labels:
        if label not in networks.drawn:
            name = networks.generator.name
            seeds = [seed_of(label, name, ordinal) for ordinal in range(config.images_per_label)]
            networks.drawn[label] = networks.generator.generate([(label, seeds)])[0]
        if pictures := networks.drawn[label]:
            responses[label] = [float(product(backbone.features([picture])[0])) for picture in pictures]
    return eq2(responses, config.best_ranked, config.temperature)


def eq2(responses: dict[str, list[float]], best: int, temperature: float) -> dict[str, tuple[float, float]]:
    """Eq. 2 and the softmax."""
    everything = [value for values in responses.values() for value in values]
    scores = {}
    for label, values in responses.items():
        ranks = sorted(
            sum(other > value for other in everything) + (sum(other == value for other in everything) + 1) / 2
            for value in values
        )[:best]
        scores[label] = -sum(rank**2 for rank in ranks) / len(ranks)
    shares = {label: np.exp(score / len(everything) ** 2 / temperature) for label, score in scores.items()}
    return {label: (score, float(shares[label] / sum(shares.values()))) for label, score in scores.items()}


def boxes(activation_map: Floats, seen: Box, rules: CropRules) -> list[Box]:
    """Crops by OpenCV on a map of 375 × 375 pixels."""
    if activation_map.min() == activation_map.max():
        return []
    grey = cv2.normalize(activation_map, None, 0, 255, cv2.NORM_MINMAX)
    grey = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR).round().astype(np.uint8)
    _, binary = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    rectangles = []
    for x, y, w, h in map(cv2.boundingRect, contours):
        x0, x1 = _snapped(x, x + w, rules.grid)
        y0, y1 = _snapped(y, y + h, rules.grid)
        scale_x, scale_y = (seen[2] - seen[0]) / SIDE, (seen[3] - seen[1]) / SIDE
        left, top = seen[0] + round(x0 * scale_x), seen[1] + round(y0 * scale_y)
        rectangles.append((left, top, seen[0] + round(x1 * scale_x), seen[1] + round(y1 * scale_y)))
    kept: list[Box] = []
    for box in sorted(set(rectangles), key=lambda box: (-_area(box), box)):
        fits = 0 < _area(box) < rules.cover * _area(seen) and all(_iou(box, other) <= rules.iou for other in kept)
        if fits and len(kept) < rules.crops_per_image:
            kept.append(box)
    return kept


def _snapped(low: int, high: int, grid: int) -> tuple[float, float]:
    if not grid:
        return low, high
    first, last = round(low * grid / SIDE), round(high * grid / SIDE)
    if first == last:
        first = min(int((low + high) / 2 * grid / SIDE), grid - 1)
        last = first + 1
    return first * SIDE / grid, last * SIDE / grid


def _area(box: Sequence[int]) -> int:
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def _iou(a: Box, b: Box) -> float:
    shared = _area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    return shared / (_area(a) + _area(b) - shared)
