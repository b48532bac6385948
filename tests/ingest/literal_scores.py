"""Scores of labels from METHOD §2, step 3, written as plain loops."""

import math


def literal_scores(
    responses: dict[int, list[float]],
    *,
    best: int,
    temperature: float,
    cosines: dict[int, list[float]] | None = None,
) -> dict[int, tuple[float, int, float]]:
    """Label → (score, rank, probability) of one voxel, from the responses to each label's pictures.

    With cosines as the released code scores, whose strongest picture has rank 0.
    """
    first = 1 if cosines is None else 0
    everything = [value for values in responses.values() for value in values]

    def rank(value: float) -> float:
        stronger = sum(other > value for other in everything)
        equal = sum(other == value for other in everything)
        return first + stronger + (equal - 1) / 2

    v = {}
    for label, values in responses.items():
        ranks = sorted(rank(value) for value in values)[:best]
        v[label] = -sum(r**2 for r in ranks) / len(ranks)
    if cosines is None:
        raw = v
        scaled = {label: value / len(everything) ** 2 for label, value in v.items()}
    else:
        raw = {}
        for label, values in responses.items():
            better, equal = (sum(op(other, v[label]) for other in v.values()) for op in (float.__gt__, float.__eq__))
            position = better + (equal - 1) / 2
            among_best = [cosine for cosine, value in zip(cosines[label], values, strict=True) if rank(value) <= 9]
            w = sum(among_best) / len(among_best) if among_best else -1
            raw[label] = (len(v) - position) * w
        scaled = {label: value / len(v) for label, value in raw.items()}
    total = sum(math.exp((value - max(scaled.values())) / temperature) for value in scaled.values())
    ordered = sorted(raw, key=lambda label: (-raw[label], label))
    return {
        label: (
            raw[label],
            ordered.index(label) + 1,
            math.exp((scaled[label] - max(scaled.values())) / temperature) / total,
        )
        for label in raw
    }
