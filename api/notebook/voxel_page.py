"""A voxel in a notebook: what drives it and what describes it, as its card."""

from dataclasses import dataclass, field
from html import escape

import polars as pl

from ...atlas.search.tables.answer_html import answer_html, image_html, table_html
from ...schemas.errors import NotFoundError
from .desk import Desk

_TILES = 6


@dataclass(frozen=True, eq=False, kw_only=True)
class VoxelPage:
    """What is known of a voxel; a notebook shows it as a card."""

    model_id: str
    simulated: bool
    voxel: int
    about: pl.DataFrame
    """One row: what `Model.voxels` gives."""
    labels: pl.DataFrame
    """What `Model.voxel_labels` gives: the first labels and how they hold."""
    images: pl.DataFrame
    """What `Model.top_images` gives: the images and crops that drive it most."""
    desk: Desk = field(repr=False)

    @classmethod
    def of(cls, desk: Desk, model_id: str, voxel: int) -> "VoxelPage":
        """Ask for a voxel.

        Raises:
            NotFoundError: the model has not fitted it.
        """
        asked = desk.model(model_id)
        about = asked.voxels([voxel])
        if about.is_empty():
            raise NotFoundError(f"{model_id} has not fitted voxel {voxel}; map(metric='r2').frame lists those it has.")
        return cls(
            model_id=model_id,
            simulated=asked.simulated,
            voxel=voxel,
            about=about,
            labels=asked.voxel_labels([voxel], first=15),
            images=asked.top_images([voxel]),
            desk=desk,
        )

    def _repr_png_(self) -> bytes:
        return self.desk.card(self.model_id, self.voxel)

    def _repr_html_(self) -> str:
        row = self.about.row(0, named=True)
        numbers = {"R²": "r2", "r": "r", "q": "q", "noise ceiling": "noise_ceiling"}
        known = [f"{name} {row[key]:.3g}" for name, key in numbers.items() if row[key] is not None]
        beyond = "contrast and edges may explain its responses" if row["semantic"] is False else ""
        labels = self.labels.select("label", "probability", "stability", "n_images", "auc", "label_q", "verified")
        shown = (
            table_html(labels, 8, where="labels")
            if len(labels)
            else "<div>No label is in the atlas for this voxel.</div>"
        )
        tiles = "".join(self._tile(image) for image in self.images.head(_TILES).iter_rows(named=True))
        inner = f'<div style="display:flex;flex-wrap:wrap;gap:.6em;margin:.5em 0">{tiles}</div>{shown}'
        title = f"{row['subject_id']} · voxel {self.voxel} · {', '.join(row['rois'] or []) or 'no region'}"
        return answer_html(title, [self.model_id, *known, beyond], simulated=self.simulated, inner=inner)

    def _tile(self, image: dict[str, object]) -> str:
        box = ",".join(map(str, image["box"])) if isinstance(image["box"], list) else ""
        picture = self.desk.thumbnail(str(image["stimulus_id"]), box)
        caption = str(image["caption"] or "")
        drawn = image_html(picture, "jpeg", caption, "9em") if picture else "picture not at hand"
        return f'<div style="width:9em">{drawn}<br>{image["response"]:+.2f} z {escape(caption)}</div>'
