"""Two maps of one subject against each other, voxel by voxel and region by region."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from ...atlas.client import png
from ...atlas.search.contrasts.region_means import intervals
from ...atlas.search.tables.answer_html import answer_html, image_html, table_html
from ...schemas.errors import BadInputError
from .brain_map import BrainMap


@dataclass(frozen=True, eq=False, kw_only=True)
class MapPair:
    """Two maps over the voxels that both show."""

    a: BrainMap = field(repr=False)
    b: BrainMap = field(repr=False)
    frame: pl.DataFrame
    """voxel, a, b, difference (a − b); by voxel."""
    regions: pl.DataFrame
    """roi, n_voxels, a, b, difference, a_share, low, high: means over a region's voxels, and the share with a above b.

    low and high are its 95 % interval over blocks of 1 cm of cortex, as `contrast_regions` has it; NULL where it is not
    known where voxels lie, or they are in fewer than 3 blocks.
    """
    interval: tuple[float | None, float | None]
    """The same of `a_share` over all voxels."""

    @classmethod
    def of(cls, a: BrainMap, b: BrainMap) -> "MapPair":
        """See `voxel_atlas.compare`."""
        if a.subject_id != b.subject_id:
            raise BadInputError(
                f"{a.model_id} and {b.model_id} are of two subjects, whose voxels are not the same; compare their "
                "regions by model.roi_table([…])."
            )
        if a.quantity != b.quantity:
            raise BadInputError(
                f"{a.title} is {a.quantity} and {b.title} is {b.quantity}; compare maps of one quantity."
            )
        frame = _drawn(a, "a").join(_drawn(b, "b"), on="voxel").sort("voxel")
        frame = frame.with_columns(difference=pl.col("a") - pl.col("b"))
        inside = frame.join(a.rois_of(frame["voxel"].to_list()), on="voxel").explode("rois").drop_nulls("rois")
        means = pl.col("a", "b", "difference").mean()
        above = (pl.col("difference") > 0).mean().alias("a_share")
        places = a.desk.millimetres(a.subject_id)
        spans = [(str(roi), *_interval(part, places)) for (roi,), part in inside.group_by("rois")]
        ends = pl.DataFrame(spans, {"roi": pl.String, "low": pl.Float64, "high": pl.Float64}, orient="row")
        regions = inside.group_by(roi="rois").agg(pl.len().alias("n_voxels"), means, above).join(ends, on="roi")
        regions = regions.sort("difference", "roi", descending=[True, False])
        return cls(a=a, b=b, frame=frame, regions=regions, interval=_interval(frame, places))

    @property
    def correlation(self) -> float:
        """Pearson's r of the two maps over the voxels that both show; NaN for fewer than two."""
        return float(self.frame.select(pl.corr("a", "b")).item() if len(self.frame) > 1 else math.nan)

    @property
    def a_share(self) -> float:
        """Share of the voxels whose value in a is above that in b."""
        return self.frame.filter(pl.col("difference") > 0).height / max(len(self.frame), 1)

    @property
    def _span(self) -> str:
        low, high = self.interval
        return "" if low is None or high is None else f" ({low:.0%} to {high:.0%} over blocks of cortex)"

    @cached_property
    def _pictures(self) -> Sequence[bytes]:
        """Both maps in the colours of one scale; empty where the subject has no flat map."""
        limits = max(abs(bound) for each in (self.a, self.b) for bound in each.limits)
        both = [each.at_limits(-limits if each.limits[0] < 0 else 0.0, limits) for each in (self.a, self.b)]
        return [each.picture(width=640) for each in both]

    def _repr_png_(self) -> bytes | None:
        if not all(self._pictures):
            return None
        left, right = (Image.open(io.BytesIO(picture)) for picture in self._pictures)
        beside = Image.new("RGB", (left.width + right.width, max(left.height, right.height)), "white")
        beside.paste(left)
        beside.paste(right, (left.width, 0))
        return png(np.asarray(beside))

    def _repr_html_(self) -> str:
        both = (self.a, self.b)
        drawn = "".join(
            f'<div style="flex:1 1 20em">{image_html(picture, "png", each.title, "100%")}</div>'
            for each, picture in zip(both, self._pictures, strict=True)
            if picture
        )
        shown = self.regions.rename({"a": f"a: {self.a.title}", "b": f"b: {self.b.title}"})
        rows = table_html(shown, 30, where="regions")
        inner = f'<div style="display:flex;flex-wrap:wrap;gap:.5em">{drawn}</div>{rows}'
        facts = [
            " and ".join(dict.fromkeys(each.model_id for each in both)),
            f"Pearson's r {self.correlation:.3f} over {len(self.frame):,} voxels",
            f"{self.a.title} is above {self.b.title} in {self.a_share:.0%} of them{self._span}",
        ]
        simulated = self.a.simulated or self.b.simulated
        warnings = list(dict.fromkeys(self.a.warnings + self.b.warnings))
        title = f"{self.a.title} against {self.b.title}"
        return answer_html(title, facts, simulated=simulated, warnings=warnings, inner=inner)


def _interval(voxels: pl.DataFrame, places: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Of the share of voxels whose difference is above 0; `places` by their number, in mm."""
    above = (voxels["difference"] > 0).cast(float).to_numpy()
    (low,), (high,), _ = intervals(above[:, None], places[voxels["voxel"].to_numpy()])
    return low, high


def _drawn(each: BrainMap, name: str) -> pl.DataFrame:
    """The voxels that a map shows."""
    values = pl.Series(name, each.values, nan_to_null=True)
    return pl.DataFrame({"voxel": each.frame["voxel"].cast(pl.Int32), name: values}).drop_nulls()
