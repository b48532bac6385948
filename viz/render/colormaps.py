"""Colours of scalars: which colormap a quantity gets, what range it spans, and its table of colours."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, NotFoundError

_BLUE_AND_RED = {"RdBu", "RdYlBu", "bwr", "coolwarm", "seismic", "berlin", "managua", "vanimo"}
_OTHERS = {"BrBG", "PRGn", "PiYG", "PuOr"}
DIVERGING = frozenset(name + reverse for name in _BLUE_AND_RED | _OTHERS for reverse in ("", "_r"))
"""Colormaps with a neutral middle: their range is centred on 0 unless it is given."""

COLOUR_BLIND_SAFE = ("RdBu_r", "PuOr_r", "viridis", "cividis", "magma", "inferno", "plasma")
"""Colormaps that people with any common colour deficiency can read; the ones that we suggest."""

SUGGESTED = {
    "similarity": "RdBu_r",
    "contrast": "PuOr_r",
    "r": "RdBu_r",
    "r2": "viridis",
    "r2_of_ceiling": "viridis",
    "noise_ceiling": "cividis",
    "q": "magma",
    "food_t": "PuOr_r",
    "food_q": "magma",
    "label_probability": "magma",
}
"""Quantity → the colormap that suits it; others get RdBu_r when they have both signs, else viridis."""

FROM_ZERO = ("r2", "r2_of_ceiling")
"""Quantities whose first colour is 0: below it nothing is predicted, and with few test images it reaches far below."""

LOGARITHMIC = ("q", "food_q")
"""Quantities whose colours go by powers of ten: .01 and .001 differ as .1 and .01 do."""
_LEAST = 1e-6
"""First colour of a logarithmic range that begins nowhere else: smaller rates say no more."""


@dataclass(frozen=True)
class Scale:
    """A colormap and the range that it spans."""

    colormap: str
    vmin: float
    vmax: float
    logarithmic: bool = False
    """Whether equal steps of colour are equal ratios."""

    @property
    def middle(self) -> float:
        """Value of the middle colour."""
        return float(np.sqrt(self.vmin * self.vmax)) if self.logarithmic else (self.vmin + self.vmax) / 2

    def positions(self, values: NDArray[np.float32], n: int) -> NDArray[np.uint8]:
        """Place of each value among `n` ≤ 256 colours; values beyond the range, also infinite ones, at its ends.

        NaN has no place and gets 0.
        """
        low, high = self.vmin, self.vmax
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            if self.logarithmic:
                values, low, high = np.log10(values), float(np.log10(low)), float(np.log10(high))
            scaled = (values - np.float32(low)) * np.float32(n / (high - low))
            places = np.nan_to_num(np.clip(scaled, 0, n - 1), copy=False)
        codes: NDArray[np.uint8] = places.astype(np.uint8)
        return codes


def logarithmic_scale(colormap: str, vmin: float | None = None, vmax: float | None = None) -> Scale:
    """Colours of rates by powers of ten, up to 1 where nothing else is given.

    Raises:
        BadInputError: the range does not run upwards from above 0.
        NotFoundError: no such colormap.
    """
    high = 1.0 if vmax is None else vmax
    low = min(_LEAST, high / 10) if vmin is None else vmin
    if not (np.isfinite((low, high)).all() and 0 < low < high):
        raise BadInputError(f"The range of colours runs from {low:g} to {high:g}; on a log scale it begins above 0.")
    colours(colormap)
    return Scale(colormap, float(low), float(high), logarithmic=True)


def fit_scale(
    values: NDArray[np.float32], colormap: str = "auto", vmin: float | None = None, vmax: float | None = None
) -> Scale:
    """Choose what is not given: the colormap by the signs of the values, the range by their 1st and 99th percentile.

    Args:
        values: (n,) float32; NaN and infinite ones count for nothing.
        colormap: a name that matplotlib knows, or "auto".
        vmin: value of the first colour; None to choose.
        vmax: value of the last colour; None to choose.

    Raises:
        BadInputError: vmin is not below vmax, or one is not finite.
        NotFoundError: no such colormap.
    """
    for name, bound in (("vmin", vmin), ("vmax", vmax)):
        if bound is not None and not np.isfinite(bound):
            raise BadInputError(f"The range of colours has {name} = {bound}; give a finite number.")
    if vmin is not None and vmax is not None and vmin >= vmax:
        raise BadInputError(f"The range of colours runs from {vmin:g} to {vmax:g}; vmin must be below vmax.")
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite.astype(float), (0.01, 0.99)).tolist() if len(finite) else (0.0, 1.0)
    if colormap == "auto":
        colormap = "RdBu_r" if low < 0 < high else "viridis"
    colours(colormap)
    if colormap in DIVERGING:
        given = [abs(bound) for bound in (vmin, vmax) if bound is not None]
        reach = max(given or [abs(low), abs(high)])
        low, high = -reach, reach
    low, high = low if vmin is None else vmin, high if vmax is None else vmax
    if low >= high:  # all values are equal, or lie beyond the one end that was given
        reach = max(abs(low), abs(high), 1e-5) * 0.1
        if vmin is None:
            low = high - reach
        if vmax is None:
            high = low + 2 * reach
    return Scale(colormap, float(low), float(high))


@lru_cache(maxsize=64)
def colours(colormap: str, n: int = 256) -> NDArray[np.uint8]:
    """The colormap as (n, 3) uint8.

    Raises:
        NotFoundError: matplotlib has no such colormap; the message names those that we suggest.
    """
    import matplotlib as mpl

    if colormap not in mpl.colormaps:
        raise NotFoundError(f"There is no colormap {colormap!r}; suggested are {', '.join(COLOUR_BLIND_SAFE)}.")
    table: NDArray[np.uint8] = mpl.colormaps[colormap](np.linspace(0, 1, n), bytes=True)[:, :3]
    table.setflags(write=False)
    return table
