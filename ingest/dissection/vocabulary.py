"""From the nouns of captions to the labels of voxels."""

from collections import Counter
from collections.abc import Container, Mapping, Sequence

Labels = dict[int, list[str]]
"""Voxel number → its candidate labels, the most often named first."""
Unscored = dict[int, dict[str, str]]
"""Voxel number → its candidates that are not scored → the reason."""


def by_mention(nouns: Sequence[Sequence[str]]) -> list[str]:
    """The nouns of a voxel's captions, strongest image first: those that more captions name, then those named first."""
    # Counter keeps the order of first sight, and most_common is stable.
    counts = Counter(noun for of_caption in nouns for noun in dict.fromkeys(of_caption))
    return [noun for noun, _ in counts.most_common()]


def shortened(
    named: Mapping[int, Sequence[str]], min_voxels: int, most: int, known: Container[str] | None = None
) -> tuple[Labels, Unscored]:
    """Leave out unknown nouns, those that fewer than `min_voxels` voxels have, and all but the first of each voxel.

    Args:
        named: voxel → its nouns, in their order.
        min_voxels: voxels that must have a noun.
        most: nouns of a voxel; 0 for all.
        known: nouns that may be taken, alone or as the last word of a compound; None for any.

    Returns:
        What is kept, and why the others are not.
    """
    n_voxels = Counter(noun for nouns in named.values() for noun in nouns if known is None or noun.split()[-1] in known)
    kept: Labels = {voxel: [] for voxel in named}
    unscored: Unscored = {voxel: {} for voxel in named}
    for voxel, nouns in named.items():
        for noun in nouns:
            if noun not in n_voxels:
                unscored[voxel][noun] = "not a depictable noun"
            elif n_voxels[noun] < min_voxels:
                unscored[voxel][noun] = f"of fewer than {min_voxels} voxels"
            elif most and len(kept[voxel]) == most:
                unscored[voxel][noun] = f"beyond the first {most} candidates of the voxel"
            else:
                kept[voxel].append(noun)
    return kept, unscored
