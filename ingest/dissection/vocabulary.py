"""From the nouns of captions to the labels of voxels, and how a vocabulary grows with the captions."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

Labels = dict[int, list[str]]
"""Voxel number → its candidate labels, the most often named first."""


def by_mention(nouns: Sequence[Sequence[str]]) -> list[str]:
    """The nouns of a voxel's captions, strongest image first: those that more captions name, then those named first."""
    # Counter keeps the order of first sight, and most_common is stable.
    counts = Counter(noun for of_caption in nouns for noun in dict.fromkeys(of_caption))
    return [noun for noun, _ in counts.most_common()]


def shortened(named: Mapping[int, Sequence[str]], min_voxels: int, most: int) -> Labels:
    """Leave out nouns that fewer than `min_voxels` voxels have, and then all but the first `most` of each voxel."""
    n_voxels = Counter(noun for nouns in named.values() for noun in nouns)
    return {voxel: [noun for noun in nouns if n_voxels[noun] >= min_voxels][:most] for voxel, nouns in named.items()}


def grown(n_all: float, half: tuple[float, float], seen: tuple[float, float]) -> float:
    """How many different words `n_all` captions have, by Heaps' law V = K · n**β (Heaps 1978) through two points.

    Args:
        n_all: Captions.
        half: Captions of a part of the sample, and different words in them.
        seen: Captions of the whole sample, and different words in them.
    """
    (n_half, v_half), (n_seen, v_seen) = half, seen
    if not v_seen or n_all <= n_seen:
        return v_seen
    # A word that the part lacks altogether says nothing of how they grow, beyond that they do.
    exponent = math.log(v_seen / max(v_half, 0.5)) / math.log(n_seen / n_half) if 0 < n_half < n_seen else 1.0
    return float(v_seen * (n_all / n_seen) ** min(max(exponent, 0.0), 1.0))
