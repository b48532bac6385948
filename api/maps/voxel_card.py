"""A voxel's card: what the atlas knows of it, on one page, as a picture or as HTML."""

import base64
import io
import math

import numpy as np
import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from ...atlas.search.atlas import Atlas
from ...atlas.search.model import Model
from ...schemas.config import FDR, LABELLED_BY
from ...schemas.errors import NotFoundError
from ...viz.render.card import Card, RankedLabel, Ranking, Tile
from .thumbnails import thumbnail

_FIRST_LABELS = 15
LABEL_COLUMNS = ("labels", "probability", "stability", "verified", "n_images", "auc", "label_q")
IMAGE_COLUMNS = ("top_images", "captions")
"""Columns of a row that hold lists, best first."""
UNSCORED_COLUMNS = ("unscored_reason", "unscored")
"""The same of candidates without a score, by reason."""


def voxel_card(atlas: Atlas, model: str | None, voxel: int) -> Card:
    """What is known of a voxel.

    Args:
        atlas: where.
        model: model id, as `Atlas.model` takes it.
        voxel: its number.

    Raises:
        NotFoundError: no such model, or it has not fitted that voxel.
    """
    owner = atlas.model(model)
    about, config = _known(owner, voxel).row(0, named=True), owner.settings
    regions = ", ".join(about["rois"] or []) or "no region"
    return Card(
        title=f"{owner.subject_id} · voxel {voxel} · {regions}",
        simulated=owner.simulated,
        facts=[
            ("model", owner.model_id),
            *((name, _number(about[key])) for name, key in _QUALITY.items()),
            ("", _semantic(owner, about["semantic"], about["semantic_r"], about["semantic_q"])),
            ("", "responses are predicted, in z-scored beta"),
        ],
        tiles=[_tile(atlas, image) for image in owner.top_images([voxel]).iter_rows(named=True)],
        rankings=_rankings(atlas, owner, voxel),
        settings=[(name, _setting(config[name])) for name in LABELLED_BY if name in config],
        unscored=_unscored(atlas, owner, voxel).rows(),
        unlabelled=_unlabelled(about["q"]),
    )


def card_row(atlas: Atlas, model: str | None, voxel: int) -> pl.DataFrame:
    """What is known of a voxel as one row: what `Model.voxels` gives, and lists of `LABEL_COLUMNS` and `IMAGE_COLUMNS`.

    Raises:
        NotFoundError: no such model, or it has not fitted that voxel.
    """
    owner = atlas.model(model)
    known = _known(owner, voxel)
    labels = owner.voxel_labels([voxel], first=_FIRST_LABELS).rename({"label": "labels"})
    images = owner.top_images([voxel]).rename({"stimulus_id": "top_images", "caption": "captions"})
    unscored = _unscored(atlas, owner, voxel)
    unscored.columns = list(UNSCORED_COLUMNS)
    lists = (
        labels.select(LABEL_COLUMNS).get_columns() + images.select(IMAGE_COLUMNS).get_columns() + unscored.get_columns()
    )
    return known.with_columns(column.implode() for column in lists)


def _known(owner: Model, voxel: int) -> pl.DataFrame:
    known = owner.voxels([voxel])
    if known.is_empty():
        raise NotFoundError(
            f"{owner.model_id} has not fitted voxel {voxel}; its table `encoding` lists those that it has."
        )
    return known


_QUALITY = {"R²": "r2", "r": "r", "q of the prediction": "q", "noise ceiling": "noise_ceiling"}


def card_html(card: Card) -> str:
    """The card as a page of its own: nothing is fetched from elsewhere."""
    page = Environment(
        loader=PackageLoader("voxel_atlas.api.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("card.html")
    return page.render(card=card, jpeg=_data_uri)


def _tile(atlas: Atlas, image: dict[str, object]) -> Tile:
    box = ",".join(map(str, image["box"])) if isinstance(image["box"], list) else ""
    picture = None
    try:
        with Image.open(io.BytesIO(thumbnail(atlas, str(image["stimulus_id"]), box))) as opened:
            picture = np.asarray(opened.convert("RGB"))
    except NotFoundError:  # an atlas travels without its images
        pass
    measured = image["measured"]
    return Tile(
        picture,
        int(str(image["rank"])),
        float(str(image["response"])),
        str(image["caption"] or ""),
        is_crop=bool(box),
        seen=bool(image["seen"]),
        measured=measured if isinstance(measured, float) else None,
    )


def _rankings(atlas: Atlas, owner: Model, voxel: int) -> list[Ranking]:
    """The voxel's labels by every method that labelled it, the model's own first."""
    labels = atlas.sql(
        "SELECT method, label, score, probability, stability, n_images, auc, label_q, verified FROM voxel_label "
        "WHERE model_id = ? AND voxel = ? AND rank <= ? ORDER BY method != ?, method, rank",
        [owner.model_id, voxel, _FIRST_LABELS, owner.method()],
    )
    return [
        Ranking(str(method), [RankedLabel(*row) for row in rows.select(pl.exclude("method")).iter_rows()])
        for (method,), rows in labels.group_by("method", maintain_order=True)
    ]


def _unscored(atlas: Atlas, owner: Model, voxel: int) -> pl.DataFrame:
    """Reason and labels, one row for each reason that kept candidates from being scored by the model's own method."""
    return atlas.sql(
        "SELECT reason, string_agg(label, ', ' ORDER BY label) AS labels FROM unscored_label "
        "WHERE model_id = ? AND voxel = ? AND method = ? GROUP BY reason ORDER BY reason",
        [owner.model_id, voxel, owner.method()],
    )


def _unlabelled(q: float | None) -> str:
    """What is said of a voxel that no method labelled."""
    said = "No label is in the atlas for this voxel."
    if q is not None and q > FDR:
        said += f" Its prediction is not significant (q {_number(q)}), and only significant voxels are labelled."
    return said


def _semantic(owner: Model, semantic: bool | None, r: float | None, q: float | None) -> str:
    """What is said of a voxel's responses beyond low-level properties of the images."""
    if semantic is None:
        return owner.semantic_unknown
    measured = f"r {_number(r)}, q {_number(q)}, without what luminance, contrast and edges of the images predict"
    if semantic:
        return f"predicted beyond contrast and edges ({measured})"
    return f"contrast and edges may explain all that is predicted ({measured}), and so its labels"


def _number(value: float | None) -> str:
    return "unknown" if value is None or not math.isfinite(value) else f"{value:.3g}"


def _setting(value: object) -> str:
    if isinstance(value, list):
        return (", ".join(map(str, value)) or "none") if len(value) <= 3 else f"{len(value)} words"
    return str(value) or "none"


def _data_uri(picture: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> str:
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"
