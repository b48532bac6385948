"""First labels of a model's voxels, and their colours: UMAP on images, fitted once, kept under the model's id."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...atlas.backbones.feature_cache import FeatureCache
from ...atlas.search.atlas import Atlas
from ...atlas.search.model import Model
from ...atlas.search.tables.label_table import label_vectors
from ...schemas.errors import BadInputError, NotFoundError
from ...viz.render.label_colours import LabelColours, kept, kept_before, label_colours
from ...viz.render.legend import Names
from ...viz.render.picture import Picture
from .slow_builds import Advance, Run, at_once
from .subject_cortex import SubjectCortex
from .thumbnails import open_stimulus
from .value_maps import SHOWN_TOO, about, left_out

FOLDER = "colours"
"""Folder of the models' colours, relative to the home folder."""
LEGEND = 50
"""Names in a legend (the paper's Fig. 4 has as many)."""
_GROUP, _MOST_GROUPS = 256, 20
"""Images whose features are looked at: all, or so many groups of neighbours, evenly spaced."""


@dataclass(frozen=True, eq=False)
class TopLabels:
    """The first label of every voxel that has one."""

    model: Model
    method: str
    """The scorer."""
    voxels: NDArray[np.int32]
    """(n,) voxel numbers."""
    labels: tuple[str, ...]
    """Different labels, those of most voxels first."""
    label: NDArray[np.int32]
    """(n,) which of them each voxel has."""
    counts: tuple[int, ...]
    """Voxels of each label."""
    generation: int
    semantic: bool
    """Whether voxels are left out that are not semantic."""
    bare: int
    """How many are."""


@dataclass(frozen=True, eq=False)
class ColourMap:
    """Every labelled voxel in the colour of its first label."""

    top: TopLabels
    colours: LabelColours

    @property
    def model(self) -> Model:
        """Whose labels they are."""
        return self.top.model

    @property
    def subject_id(self) -> str:
        """Whose cortex it is drawn on."""
        return self.model.subject_id

    @property
    def voxels(self) -> NDArray[np.int32]:
        """(n,) numbers of the voxels that have a label."""
        return self.top.voxels

    @property
    def canonical(self) -> str:
        """All that the colours of a picture depend on, as text: what its address is the hash of."""
        return json.dumps(["labels", self.model.model_id, self.top.method, self.top.semantic, self.top.generation])

    @cached_property
    def legend(self) -> Names:
        """The commonest first labels in their colours."""
        return self.colours.legend(self.top.labels[:LEGEND])

    @property
    def held_to(self) -> str:
        """As `ValueMap.held_to`."""
        return SHOWN_TOO * (not self.top.semantic)

    def picture(self, cortex: SubjectCortex, focus: Sequence[int] | None = None) -> Picture:
        """The colours on the subject's surface; voxels out of focus are pale."""
        return Picture(
            cortex.on_surface(self.voxels, self.colours.of(self.top.labels)[self.top.label]),
            alpha=cortex.opacity(self.voxels, None, focus),
            title="First labels, coloured by meaning",
            note=f"trustworthiness {self.colours.trustworthiness:.2f}, {about(self.model)}",
            left_out=left_out(self.top.bare),
            held_to=self.held_to,
            legend=self.legend,
        )


def top_labels(atlas: Atlas, model: str | None, method: str | None = None, *, semantic: bool = True) -> TopLabels:
    """The first labels of a model's voxels, or of those that are semantic (see `Model.similar`).

    Raises:
        NotFoundError: there is no such model.
        BadInputError: it was not labelled by that method.
    """
    owner = atlas.model(model)
    generation, method = atlas.store.generation(), owner.method(method)
    sql = "SELECT voxel, label FROM top_label WHERE model_id = ? AND method = ? ORDER BY voxel"
    frame = atlas.store.frame(sql, [owner.model_id, method])
    shown = owner.tables.voxels().are_shown(frame["voxel"].to_numpy(), semantic=semantic)
    bare, frame = int(np.count_nonzero(~shown)), frame.filter(shown)
    common = frame.group_by("label").len().sort(["len", "label"], descending=[True, False])
    places = common.select("label").with_row_index("place")
    label = frame.join(places, on="label", maintain_order="left")["place"].cast(pl.Int32).to_numpy()
    voxels = frame["voxel"].cast(pl.Int32).to_numpy()
    counts = tuple(int(n) for n in common["len"])
    return TopLabels(owner, method, voxels, tuple(common["label"]), label, counts, generation, semantic, bare)


def colour_map(
    atlas: Atlas,
    model: str | None,
    home: Path,
    method: str | None = None,
    *,
    semantic: bool = True,
    run: Run[LabelColours] = at_once,
) -> ColourMap:
    """A model's labels in colours; the first call for a model takes about a minute, later ones read a file.

    Args:
        atlas: the atlas.
        model: as `Atlas.model` takes it.
        home: where the colours are kept.
        method: scorer of the labels; the model's first one by default.
        semantic: as for `top_labels`.
        run: works out what is not kept yet.

    Raises:
        BusyError: `run` is still working it out.
        BadInputError: the model's ingest has not finished, so that its labels are not all known.
        NotFoundError: there is no such model, or its images are not on this machine.
        MissingWeightsError: features are not kept and the network's weights are not on this machine.
    """
    top = top_labels(atlas, model, method, semantic=semantic)
    owner = top.model
    if not owner.finished:
        raise BadInputError(
            f"The ingest of {owner.model_id} has not finished; its labels get their colours when all are known."
        )
    words, vectors = label_vectors(atlas.store, owner.label_backbone, owner.model_id)
    if words.is_empty():
        raise BadInputError(f"{owner.model_id} has no labels, so there is nothing to colour.")
    labels = words["label"].to_list()
    # Models of one name in two atlases of one home have different labels, and so different files.
    state = hashlib.sha256("\n".join(labels).encode()).hexdigest()[:12]
    path = home / FOLDER / f"{quote(owner.model_id, safe='')}-{state}.npz"

    def fitted(advance: Advance) -> LabelColours:
        return kept(path, lambda: label_colours(_images(atlas, owner, home, advance), labels, vectors))

    return ColourMap(top, kept_before(path) or run(path, "The colours of the labels", fitted))


def _images(atlas: Atlas, model: Model, home: Path, advance: Advance) -> NDArray[np.float32]:
    """Embeddings of the model's images, or of 5,120 of them, in the space of its labels."""
    sql, parameter = "SELECT stimulus_id FROM split WHERE model_id = ?", model.model_id
    if (probe := model.settings.get("probe", "")) not in ("", "seen"):
        sql = "SELECT DISTINCT stimulus_id FROM stimulus WHERE dataset = ? ORDER BY ALL"
        parameter = model.subject_id.split("/")[0] if probe == "all" else "probe"
    split = atlas.store.frame(sql, [parameter])
    if split.is_empty():
        raise NotFoundError(
            f"The atlas does not know which images {model.model_id} was fitted to, so nothing to colour by."
        )
    known = atlas.store.frame("SELECT DISTINCT ON (stimulus_id) stimulus_id, uri, sha256 FROM stimulus")
    images = split.join(known, on="stimulus_id", maintain_order="left")
    backbone = atlas.text_towers.backbone(model.label_backbone)
    cache = FeatureCache(home, backbone, batch_images=8)
    starts = np.arange(0, len(images), _GROUP)
    evenly = np.unique(np.linspace(0, len(starts) - 1, min(len(starts), _MOST_GROUPS)).round().astype(int))
    chosen = pl.concat([images[start : start + _GROUP] for start in starts[evenly].tolist()])

    # A split may name what the atlas has no image of.
    images_of = chosen.select(pl.col("uri", "sha256").fill_null(""), "stimulus_id").rows()

    def load(index: int) -> NDArray[np.uint8]:
        return np.asarray(open_stimulus(*images_of[index]), np.uint8)

    return cache.get(chosen["sha256"].to_list(), load, advance)
