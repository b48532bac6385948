"""From the nouns of captions to the labels of voxels."""

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
