"""The main question: which voxels are most similar to a concept, a picture or another voxel."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import quote

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, NotFoundError
from ..backbones.interface import Floats, Image
from .fresh import Fresh
from .label_mixture import LabelMixture
from .label_queries import Words, limited
from .readouts import IndexedVoxels, Readout

By = Literal["weights", "labels"]
METRICS = ("r2", "r", "q", "noise_ceiling", "r2_of_ceiling")

_PATTERN_BACKBONES = frozenset({"lite"})
"""Backbones whose fitted weights are ill conditioned enough that patterns find more (see METHOD in docs/)."""


@dataclass(frozen=True, eq=False)
class VoxelHits:
    """Voxels, best first, and how they were found."""

    frame: pl.DataFrame
    """similarity, and what `Atlas.voxels` gives: model_id, subject_id, simulated, voxel, rois, r2, r, q …"""
    model_id: str
    by: By
    readout: Readout | None
    """Which vector of a voxel was compared; None by labels."""
    method: str | None
    """Which labels were compared; None by weights."""
    generation: int
    total: int
    """Voxels that pass the filters, on all pages."""


@dataclass(frozen=True, eq=False)
class ConceptMap:
    """The similarity of every voxel of a model, and how it was computed."""

    frame: pl.DataFrame
    """voxel, similarity; by voxel."""
    model_id: str
    by: By
    readout: Readout | None
    method: str | None
    generation: int


@dataclass(frozen=True, eq=False)
class _Asked:
    """A question that was understood: what is compared, with what."""

    model: dict[str, Any]
    by: By
    readout: Readout | None
    method: str | None
    query: Floats
    candidates: IndexedVoxels | LabelMixture
    generation: int


class Atlas(Words):
    """An open atlas. Its methods answer with Polars frames, and may be called from several threads at once.

    >>> with Atlas.open("atlas.duckdb") as atlas:
    ...     atlas.similar_voxels("cake", first=5).frame
    """

    def similar_voxels(
        self,
        concept: str | None = None,
        *,
        image: Image | None = None,
        voxel: int | None = None,
        model: str | None = None,
        rois: Sequence[str] = (),
        significant: bool = True,
        min_r2: float | None = None,
        by: str = "weights",
        readout: str | None = None,
        first: int = 20,
        after: tuple[float, int] | None = None,
    ) -> VoxelHits:
        """Voxels by their similarity to a concept, an image or another voxel; give exactly one of these.

        Args:
            concept: words, which "+" and "-" between spaces add and take away: "cake - kitchen".
            image: RGB, (height, width, 3).
            voxel: a voxel of the same model.
            model: model id, as `model` takes it.
            rois: only voxels in at least one of these regions.
            significant: only voxels with q at most 0.05.
            min_r2: only voxels with at least this R² on the test images.
            by: weights (cosine with the voxel's readout vector) or labels (mean cosine with its labels, weighted by
                their probabilities).
            readout: weights or pattern; None for the backbone's own.
            first: how many voxels.
            after: (similarity, voxel) of the last voxel of the page before.

        Returns:
            The voxels by descending similarity, equal ones by number. Filters come before the `first` are taken, and
            similarities are exact.

        Raises:
            BadInputError: a question that makes no sense for this model.
            NotFoundError: no such model, region or voxel.
        """
        asked = self._understand(concept, image, voxel, model, by, readout)
        table = self._table(asked.model["model_id"])
        rows, mask = table.among(_voxels_of(asked.candidates), rois, significant=significant, min_r2=min_r2)
        scores, best = _nearest(asked, mask, limited(first), after)
        frame = table.describe(rows[best])
        frame.insert_column(frame.columns.index("voxel") + 1, pl.Series("similarity", scores, pl.Float32))
        total = int(np.count_nonzero(mask))
        return VoxelHits(frame, asked.model["model_id"], asked.by, asked.readout, asked.method, asked.generation, total)

    def neighbours(self, voxels: Sequence[int], model: str | None = None, *, first: int = 10) -> pl.DataFrame:
        """The voxels whose vectors point the same way as each of some voxels', which are searched together.

        Args:
            voxels: numbers; those that the model has not fitted are left out.
            model: model id, as `model` takes it.
            first: how many for each, itself not counted.

        Returns:
            of (the voxel asked for), similarity, and what `voxels` gives; by `of`, most similar first.
        """
        row = self.model(model)
        index = self._indexed(row["model_id"], self._readout(row, None)).get(self.generation())[0].index
        keys, vectors = index.keys, index.vectors
        table = self._table(row["model_id"])
        placed, fitted = table.among(keys, significant=False)
        own = np.flatnonzero(np.isin(keys, np.asarray(voxels, np.int64)))
        own = own[np.argsort(keys[own])]
        found = zip(own, *index.search(vectors[own], limited(first) + 1, fitted), strict=True)
        near = [(place, scores[rows != place][:first], rows[rows != place][:first]) for place, scores, rows in found]
        rows = np.concatenate([np.empty(0, np.int64), *(rows for _, _, rows in near)])
        frame = table.describe(placed[rows])
        of = np.concatenate([np.empty(0, np.int64), *(np.full(len(rows), keys[place]) for place, _, rows in near)])
        similarity = np.concatenate([np.empty(0, np.float32), *(scores for _, scores, _ in near)])
        return frame.with_columns(pl.Series("of", of, pl.Int32), pl.Series("similarity", similarity, pl.Float32))

    def concept_map(
        self,
        concept: str,
        *,
        model: str | None = None,
        by: str = "weights",
        readout: str | None = None,
        method: str | None = None,
    ) -> ConceptMap:
        """The similarity of every voxel to a concept: voxel, similarity; arguments as in `similar_voxels`.

        `method` says whose labels are compared, where it is by labels; None for the model's first method.
        """
        asked = self._understand(concept, None, None, model, by, readout, method)
        voxels = _voxels_of(asked.candidates)
        frame = pl.DataFrame({"voxel": voxels.astype(np.int32), "similarity": _all_scores(asked)}).sort("voxel")
        return ConceptMap(frame, asked.model["model_id"], asked.by, asked.readout, asked.method, asked.generation)

    def unit_vectors(self, model: str | None = None, readout: str | None = None) -> tuple[NDArray[np.int64], Floats]:
        """What concepts are compared with: voxels (n,) and their unit vectors (n, dim), which are not to be changed.

        Args:
            model: model id, as `model` takes it.
            readout: weights or pattern; None for the backbone's own.
        """
        row = self.model(model)
        indexed, _ = self._indexed(row["model_id"], self._readout(row, readout)).get(self.generation())
        return indexed.index.keys, indexed.index.vectors

    def metric_map(self, metric: str, model: str | None = None) -> pl.DataFrame:
        """A number for every fitted voxel: voxel, value (NULL where there is none); by voxel.

        Args:
            metric: r2, r, q, noise_ceiling, r2_of_ceiling, or label_probability:LEMMA.
            model: model id, as `model` takes it.

        Raises:
            BadInputError: no such metric.
            NotFoundError: no voxel has that label.
        """
        row = self.model(model)
        frame = self._table(row["model_id"]).frame
        name, _, lemma = metric.partition(":")
        if name in METRICS and not lemma:
            return frame.select("voxel", pl.col(name).alias("value"))
        if name != "label_probability" or not lemma:
            raise BadInputError(
                f"There is no metric {metric!r}; there are {', '.join(METRICS)}, label_probability:WORD."
            )
        found = self.store.frame(
            "SELECT s.voxel, s.probability AS value FROM label_score s JOIN label l USING (label_id) "
            "WHERE s.model_id = ? AND s.method = ? AND l.lemma = ?",
            [row["model_id"], self.method(row), lemma],
        )
        if found.is_empty():
            raise self._no_label(lemma, row["model_id"])
        return frame.select("voxel").join(found, on="voxel", how="left", maintain_order="left")

    def predict(
        self, image: Image, model: str | None = None, voxels: Sequence[int] | None = None, *, rois: Sequence[str] = ()
    ) -> pl.DataFrame:
        """What a model predicts for an image: voxel, response (z-scored beta); by voxel.

        Args:
            image: RGB, (height, width, 3).
            model: model id, as `model` takes it.
            voxels: only these.
            rois: only voxels in at least one of these regions.

        Raises:
            BadInputError: the model was fitted with other weights of its network.
            MissingWeightsError: the model's network is not on this machine.
            NotFoundError: no such model or region.
        """
        row = self.model(model)
        table = self._table(row["model_id"])
        wanted = table.mask(rois, significant=False, min_r2=None)
        if voxels is not None:
            wanted &= np.isin(table.voxels, [int(voxel) for voxel in voxels])
        centred = self._centred(row, image)
        sql = " FROM encoding WHERE model_id = ? AND voxel IN (SELECT unnest(?::INTEGER[])) ORDER BY voxel"
        parameters = [row["model_id"], table.voxels[wanted].tolist()]
        weights = self.store.vectors("SELECT weights" + sql, parameters, row["dim"])
        described = self.store.frame("SELECT voxel, bias" + sql, parameters)
        return described.select("voxel", (pl.Series("response", weights @ centred) + pl.col("bias")).alias("response"))

    def _understand(
        self,
        concept: str | None,
        image: Image | None,
        voxel: int | None,
        model: str | None,
        by: str,
        readout: str | None,
        method: str | None = None,
    ) -> _Asked:
        if sum(part is not None for part in (concept, image, voxel)) != 1:
            raise BadInputError("Give exactly one of concept, image and voxel to say what voxels are compared with.")
        generation = self.generation()
        row = self.model(model)
        model_id = row["model_id"]
        if by == "labels":
            method = self.method(row, method)
            mixture, generation = self._mixture(model_id, method).get(generation)
            of_voxel = mixture.vector(voxel) if voxel is not None else None
            query = self._query(row, row["label_backbone"], concept, image, voxel, of_voxel)
            return _Asked(row, "labels", None, method, query, mixture, generation)
        if by != "weights":
            raise BadInputError(f"Voxels are compared by weights or by labels, not by {by!r}.")
        if concept is not None and not row["has_text"]:
            raise BadInputError(
                f"{model_id} uses {row['backbone']}, which has no text tower; compare a concept by labels instead."
            )
        chosen = self._readout(row, readout)
        indexed, generation = self._indexed(model_id, chosen).get(generation)
        of_voxel = indexed.vector(voxel) if voxel is not None else None
        query = self._query(row, row["backbone"], concept, image, voxel, of_voxel)
        return _Asked(row, "weights", chosen, None, query, indexed, generation)

    def _query(
        self,
        row: dict[str, Any],
        space: str,
        concept: str | None,
        image: Image | None,
        voxel: int | None,
        of_voxel: Floats | None,
    ) -> Floats:
        """The unit vector that voxels are compared with, in the space of a backbone."""
        if concept is not None:
            return self.towers.concept(space, concept)
        if image is not None:
            if space != row["backbone"]:
                raise BadInputError(f"{row['model_id']} labels voxels by {space}; compare an image by weights instead.")
            centred = self._centred(row, image)
            return centred / np.float32(np.linalg.norm(centred) or 1)
        if of_voxel is None:
            raise NotFoundError(f"{row['model_id']} has no voxel {voxel} to compare with.")
        return of_voxel

    def _centred(self, row: dict[str, Any], image: Image) -> Floats:
        backbone = self.towers.backbone(row["backbone"])
        fitted_with = json.loads(row["config"]).get("backbone_sha256")
        if fitted_with and fitted_with != backbone.fingerprint:
            raise BadInputError(
                f"{row['model_id']} was fitted with other weights of {row['backbone']} than these; pass the --weights "
                "of then, or ingest it again."
            )
        sql = "SELECT feature_mean FROM model WHERE model_id = ?"
        mean = self.store.vectors(sql, [row["model_id"]], row["dim"])[0]
        centred: Floats = backbone.features([image])[0] - mean
        return centred

    def _readout(self, row: dict[str, Any], readout: str | None) -> Readout:
        default = "pattern" if row["backbone"] in _PATTERN_BACKBONES and row["has_text"] else "weights"
        chosen = readout or default
        if chosen not in ("weights", "pattern"):
            raise BadInputError(f"A voxel is read out by weights or by its pattern, not by {chosen!r}.")
        if chosen == "pattern" and not row["has_text"]:
            raise BadInputError(f"{row['model_id']} has no feature covariance, so it has no patterns; use weights.")
        return cast("Readout", chosen)

    def _indexed(self, model_id: str, readout: Readout) -> Fresh[IndexedVoxels]:
        def make(old: IndexedVoxels | None) -> IndexedVoxels:
            return IndexedVoxels.load(self.store, self.model(model_id), readout, self._folder(model_id, readout), old)

        return self.derived(("index", model_id, readout), make)

    def _mixture(self, model_id: str, method: str) -> Fresh[LabelMixture]:
        def make(old: LabelMixture | None) -> LabelMixture:
            return LabelMixture.load(self.store, self.model(model_id), method, old)

        return self.derived(("mixture", model_id, method), make)

    def _folder(self, model_id: str, readout: Readout) -> Path:
        # Two atlases of one home may hold models of one name.
        atlas = hashlib.sha256(self.store.address.encode()).hexdigest()[:12]
        return self.home / "indexes" / atlas / quote(model_id, safe="") / readout


def _voxels_of(candidates: IndexedVoxels | LabelMixture) -> NDArray[np.int64]:
    return candidates.index.keys if isinstance(candidates, IndexedVoxels) else candidates.voxels


def _all_scores(asked: _Asked) -> Floats:
    if isinstance(asked.candidates, LabelMixture):
        return asked.candidates.scores(asked.query)
    return asked.candidates.index.scores(asked.query)


def _nearest(
    asked: _Asked, mask: NDArray[np.bool_], k: int, after: tuple[float, int] | None
) -> tuple[Floats, NDArray[np.int64]]:
    """Similarities and rows of the k best candidates of the mask; those behind `after` where it is given."""
    if isinstance(asked.candidates, IndexedVoxels) and after is None:
        (scores,), (rows,) = asked.candidates.index.search(asked.query[None], k, mask)
        return scores, rows
    every, voxels = _all_scores(asked), _voxels_of(asked.candidates)
    if after is not None:
        last = np.float32(after[0])
        mask = mask & ((every < last) | ((every == last) & (voxels > after[1])))
    rows = np.flatnonzero(mask)
    if k < len(rows):
        rows = rows[every[rows] >= np.partition(every[rows], len(rows) - k)[len(rows) - k]]
    best = rows[np.lexsort((voxels[rows], -every[rows]))][:k]
    return every[best], best
