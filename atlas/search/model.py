"""An encoding model and all that is asked of it: which voxels are most similar to a concept, what voxels care about."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, meant
from ..backbones import default_readout
from ..backbones.interface import Floats, Image, Readout
from .concepts import Baseline
from .contrasts.preference import Contrast, RegionContrasts, contrast, in_regions
from .contrasts.region_means import Ask, ConceptMatrix, Passing, RoiTable, concept_matrix, named_once, region_means
from .filters import ALL_VOXELS, Filters
from .labelled import LabelledModel, baseline_of, limited, numbers
from .readouts import EXPONENTS
from .similarity import Compared, ConceptMap, NullBand, Query, VoxelHits
from .tables.band_table import BandTable
from .tables.voxel_table import top_images

METRICS = ("r2", "r", "q", "noise_ceiling", "r2_of_ceiling", "food_t", "food_q")


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(LabelledModel):
    """An encoding model of an open atlas. Its methods answer from the present state, in several threads at once.

    >>> with Atlas.open("atlas.duckdb") as atlas:
    ...     atlas.model().similar("cake", first=5).frame
    """

    def similar(
        self,
        concept: str | None = None,
        *,
        image: Image | None = None,
        voxel: int | None = None,
        rois: Sequence[str] = (),
        among: Sequence[int] | None = None,
        significant: bool = True,
        semantic: bool = True,
        min_r2: float | None = None,
        by: str = "weights",
        readout: str | None = None,
        baseline: str = "vocabulary",
        min_z: float | None = None,
        max_q: float | None = None,
        specific: bool = False,
        first: int = 20,
        after: tuple[float, int] | None = None,
    ) -> VoxelHits:
        """Voxels by their similarity to a concept, an image or another voxel; give exactly one of these.

        Args:
            concept: words, which "+" and "-" between spaces add and take away: "cake - kitchen".
            image: RGB, (height, width, 3).
            voxel: a voxel of the same model.
            rois: only voxels in at least one of these regions.
            among: only these voxels; None for all.
            significant: only voxels whose encoding model is significant, with q at most 0.05.
            semantic: leave out voxels whose predicted responses luminance, contrast and edges may explain, with
                semantic_q above 0.05; where it is not known, none is left out.
            min_r2: only voxels with at least this R² on the test images.
            by: weights (cosine with the voxel's readout vector) or labels (mean cosine with its labels, weighted by
                their probabilities).
            readout: weights (the paper's), half or pattern; None for the backbone's own.
            baseline: vocabulary makes a concept a contrast to the mean of many nouns; none is the paper's way.
            min_z: only voxels at least so many standard errors from no association.
            max_q: only voxels with at most this false discovery rate of the association.
            specific: only voxels to which the concept is specific, see `Evidence`.
            first: how many voxels.
            after: (similarity, voxel) of the last voxel of the page before.

        Returns:
            The voxels by descending similarity, equal ones by number. Filters come before the `first` are taken, and
            similarities are exact.

        Raises:
            BadInputError: a question that makes no sense for this model.
            NotFoundError: no such region or voxel.
        """
        filters = Filters(
            rois=rois,
            among=among,
            significant=significant,
            semantic=semantic,
            min_r2=min_r2,
            min_z=min_z,
            max_q=max_q,
            specific=specific,
        )
        return self.search(Compared(concept, image, voxel, by, readout, baseline), filters, first=first, after=after)

    def search(
        self, compared: Compared, filters: Filters, *, first: int, after: tuple[float, int] | None = None
    ) -> VoxelHits:
        """As `similar`, of a question that is held together."""
        query = self._query(compared)
        table = self.tables.voxels()
        (rows, every), (_, mask) = (
            table.among(query.candidates.voxels, some) for some in (replace(filters, semantic=False), filters)
        )
        evidence = query.evidence()
        if filters.of_concept:
            compared.check_evidence(evidence, self.model_id, specific=filters.specific)
            passes = evidence.passes(filters)
            every, mask = every & passes, mask & passes
        scores, best = query.nearest(mask, limited(first), after)
        frame = table.describe(rows[best])
        place = frame.columns.index("voxel") + 1
        columns = evidence.columns(best) | {"percentile": query.percentiles(best, scores)}
        for name, column in reversed(({"similarity": pl.Series(scores, dtype=pl.Float32)} | columns).items()):
            frame.insert_column(place, column.alias(name))
        total = int(np.count_nonzero(mask))
        hidden = int(np.count_nonzero(every)) - total if table.semantic_known else None
        warnings = list(query.provenance.warnings)
        if filters.semantic and not table.semantic_known:
            warnings.append(self.semantic_unknown)
        if not total and not hidden:
            only = filters.significant and not table.mask(replace(ALL_VOXELS, significant=True)).any()
            why = "is significant; --no-significant (significant=False) shows all" if only else "passes the limits"
            warnings.append(f"No voxel of {self.model_id} {why}.")
        about = {**vars(query.provenance), "warnings": warnings}
        return VoxelHits(frame, total=total, hidden=hidden, **about)

    def map(
        self,
        concept: str,
        *,
        by: str = "weights",
        readout: str | None = None,
        baseline: str = "vocabulary",
        method: str | None = None,
    ) -> ConceptMap:
        """The similarity of every voxel to a concept: voxel, similarity, z, concept_q, specific; as in `similar`.

        `method` says whose labels are compared, where it is by labels; None for the model's first method.
        """
        query = self._query(Compared(concept, by=by, readout=readout, baseline=baseline), method)
        columns = {"voxel": query.candidates.voxels.astype(np.int32), "similarity": query.scores}
        frame = pl.DataFrame({**columns, **query.evidence().columns()}).sort("voxel")
        return ConceptMap(frame, **vars(query.provenance))

    def reach(self, *, readout: str | None = None, baseline: str = "vocabulary", z: bool = False) -> float:
        """How far similarities, or their z, of ordinary nouns reach: what one scale for all concepts spans.

        The 99th percentile of their size over all voxels and the vocabulary's nouns; 0 where there is none.

        Args:
            readout: weights, half or pattern; None for the backbone's own.
            baseline: vocabulary or none.
            z: whether it is that of z.
        """
        band, _ = self._band(self.readout(readout), baseline_of(baseline))
        return band.reach_z if z else band.reach

    def roi_table(
        self,
        concepts: Sequence[str],
        *,
        rois: Sequence[str] = (),
        significant: bool = True,
        semantic: bool = True,
        by: str = "weights",
        readout: str | None = None,
        baseline: str = "vocabulary",
    ) -> RoiTable:
        """How similar the voxels of each region are to some concepts, on average.

        Args:
            concepts: 1 to 100, each as `similar` takes it; one that comes again counts once.
            rois: only these regions; none means all that the subject has.
            significant: only voxels count whose encoding model is significant; this and the others as in `similar`.
            semantic: voxels do not count whose predicted responses luminance, contrast and edges may explain.
            by: weights or labels.
            readout: weights (the paper's), half or pattern; None for the backbone's own.
            baseline: vocabulary or none.

        Raises:
            BadInputError: no concept, too many, or one that makes no sense for this model.
            NotFoundError: no such region.
        """
        ask, passing = self._compared(by, readout, baseline, significant=significant, semantic=semantic)
        places = self.tables.located.of(self.subject_id, passing.table)
        return region_means(ask, named_once(concepts), passing, places, list(rois) or list(passing.table.rois))

    def concept_matrix(
        self,
        concepts: Sequence[str],
        *,
        rois: Sequence[str] = (),
        significant: bool = True,
        semantic: bool = True,
        by: str = "weights",
        readout: str | None = None,
        baseline: str = "vocabulary",
    ) -> ConceptMatrix:
        """How alike the maps of some concepts are: Pearson's r of every two over the voxels of all or some regions.

        Arguments and errors as for `roi_table`; without `rois` over all voxels.
        """
        ask, passing = self._compared(by, readout, baseline, significant=significant, semantic=semantic, rois=rois)
        return concept_matrix(ask, named_once(concepts), passing)

    def contrast(
        self,
        a: str,
        b: str,
        *,
        rois: Sequence[str] = (),
        significant: bool = True,
        semantic: bool = True,
        by: str = "weights",
        readout: str | None = None,
        baseline: str = "vocabulary",
    ) -> Contrast:
        """Which of two concepts each voxel prefers, with z and q each way; arguments and errors as for `roi_table`."""
        ask, passing = self._compared(by, readout, baseline, significant=significant, semantic=semantic, rois=rois)
        return contrast(ask, a, b, passing)

    def contrast_regions(
        self,
        a: str,
        b: str,
        *,
        rois: Sequence[str] = (),
        significant: bool = True,
        semantic: bool = True,
        by: str = "weights",
        readout: str | None = None,
        baseline: str = "vocabulary",
    ) -> RegionContrasts:
        """What share of the voxels prefers one of two concepts, in all and in each region, with 95 % intervals.

        Arguments and errors as for `roi_table`.
        """
        found = self.contrast(
            a, b, significant=significant, semantic=semantic, by=by, readout=readout, baseline=baseline
        )
        return in_regions(found, self.tables, rois)

    def null_band(self, *, readout: str | None = None) -> NullBand:
        """Between which similarities nine in ten nouns of the vocabulary lie, in each voxel.

        A word that the voxels say nothing of stays within. The band is for single concepts against the vocabulary.

        Raises:
            BadInputError: there is no such readout, or the model has no text tower.
        """
        chosen = self.readout(readout)
        band, generation = self._band(chosen, "vocabulary")
        frame = pl.DataFrame({"voxel": band.voxels.astype(np.int32), "low": band.low, "high": band.high}).sort("voxel")
        return NullBand(
            frame,
            band.n_words,
            model_id=self.model_id,
            simulated=self.simulated,
            by="weights",
            readout=chosen,
            baseline="vocabulary",
            method=None,
            warnings=[],
            generation=generation,
        )

    def neighbours(self, voxels: Sequence[int], *, first: int = 10) -> pl.DataFrame:
        """The voxels whose vectors point the same way as each of some voxels', which are searched together.

        Args:
            voxels: numbers; those that the model has not fitted are left out.
            first: how many for each, itself not counted.

        Returns:
            of (the voxel asked for), similarity, and what `voxels` gives; by `of`, most similar first.
        """
        index = self.tables.indexed(self.readout())[0].index
        keys, vectors, table = index.keys, index.vectors, self.tables.voxels()
        placed, fitted = table.among(keys)
        own = np.flatnonzero(np.isin(keys, np.asarray(voxels, np.int64)))
        own = own[np.argsort(keys[own])]
        nearest = zip(own, *index.search(vectors[own], limited(first) + 1, fitted), strict=True)
        others = [(row, scores[rows != row][:first], rows[rows != row][:first]) for row, scores, rows in nearest]
        rows = np.concatenate([np.empty(0, np.int64), *(rows for _, _, rows in others)])
        of = np.concatenate([np.empty(0, np.int64), *(np.full(len(rows), keys[row]) for row, _, rows in others)])
        similarity = np.concatenate([np.empty(0, np.float32), *(scores for _, scores, _ in others)])
        frame = table.describe(placed[rows])
        return frame.with_columns(pl.Series("of", of, pl.Int32), pl.Series("similarity", similarity, pl.Float32))

    def unit_vectors(self, readout: str | None = None) -> tuple[NDArray[np.int64], Floats]:
        """What concepts are compared with: voxels (n,) and their unit vectors (n, dim), which are not to be changed.

        Args:
            readout: weights, half or pattern; None for the backbone's own.
        """
        index = self.tables.indexed(self.readout(readout))[0].index
        return index.keys, index.vectors

    def metric_map(self, metric: str) -> pl.DataFrame:
        """A number for every fitted voxel: voxel, value (NULL where there is none); by voxel.

        Args:
            metric: r2, r, q, noise_ceiling, r2_of_ceiling, food_t, food_q, or label_probability:LEMMA.

        Raises:
            BadInputError: no such metric.
            NotFoundError: no voxel has that label.
        """
        frame = self.tables.voxels().frame
        name, _, lemma = metric.partition(":")
        if name in METRICS and not lemma:
            return frame.select("voxel", pl.col(name).alias("value"))
        if name != "label_probability" or not lemma:
            raise BadInputError(
                f"There is no metric {metric!r}; there are {', '.join(METRICS)}, label_probability:WORD."
                f"{meant(metric, METRICS)}"
            )
        labelled = self.label_table(semantic=False).voxels(lemma).select("voxel", pl.col("probability").alias("value"))
        if labelled.is_empty():
            raise self._no_label(lemma)
        return frame.select("voxel").join(labelled, on="voxel", how="left", maintain_order="left")

    def predict(self, image: Image, voxels: Sequence[int] | None = None, *, rois: Sequence[str] = ()) -> pl.DataFrame:
        """What the model predicts for an image: voxel, response (z-scored beta); by voxel.

        Args:
            image: RGB, (height, width, 3).
            voxels: only these.
            rois: only voxels in at least one of these regions.

        Raises:
            BadInputError: the model was fitted with other weights of its network.
            MissingWeightsError: the model's network is not on this machine.
            NotFoundError: no such region.
        """
        table = self.tables.voxels()
        wanted = table.mask(replace(ALL_VOXELS, rois=rois))
        if voxels is not None:
            wanted &= np.isin(table.voxels, [int(voxel) for voxel in voxels])
        centred = self.text_towers.centred(self, image)
        sql = " FROM encoding WHERE model_id = ? AND voxel IN (SELECT unnest(?::INTEGER[])) ORDER BY voxel"
        parameters = [self.model_id, table.voxels[wanted].tolist()]
        weights = self.tables.store.vectors("SELECT weights" + sql, parameters, self.dim)
        frame = self.tables.store.frame("SELECT voxel, bias" + sql, parameters)
        return frame.select("voxel", (pl.Series("response", weights @ centred) + pl.col("bias")).alias("response"))

    def top_images(self, voxels: Sequence[int], *, first: int = 10) -> pl.DataFrame:
        """Images and crops that voxels answer to most: voxel, rank, stimulus_id, uri, box, response, caption.

        Where several captioners described an image, the caption is the one of the model's own. `uri` is a path on the
        machine that ingested.
        """
        return top_images(self.tables.store, self, numbers(voxels), limited(first))

    def readout(self, readout: str | None = None) -> Readout:
        """Which vector of a voxel is meant: the one that the backbone prefers by default.

        Raises:
            BadInputError: there is no such readout, or the model has not what it is worked out from.
        """
        chosen = readout or (default_readout(self.backbone) if self.has_text else "weights")
        if chosen not in EXPONENTS:
            raise BadInputError(f"A voxel is read out by {', '.join(EXPONENTS)}, not by {chosen!r}.")
        if chosen != "weights" and not self.has_text:
            raise BadInputError(f"{self.model_id} has no feature covariance, so it has only weights; use those.")
        return cast("Readout", chosen)

    def _compared(
        self,
        by: str,
        readout: str | None,
        baseline: str,
        *,
        significant: bool,
        semantic: bool,
        rois: Sequence[str] = (),
    ) -> tuple[Ask, Passing]:
        table = self.tables.voxels()
        passes = table.mask(Filters(significant=significant, semantic=semantic, rois=rois))
        ask = partial(Model.map, self, by=by, readout=readout, baseline=baseline)
        return ask, Passing(table, passes)

    def _band(self, readout: Readout, baseline: Baseline) -> tuple[BandTable, int]:
        if not self.has_text:
            raise BadInputError(f"{self.model_id} uses {self.backbone}, which has no text tower, so no word has a map.")
        vocabulary = self.text_towers.vocabulary(self.backbone)
        nouns = vocabulary.contrasts if baseline == "vocabulary" else vocabulary.vectors
        return self.tables.band(readout, baseline, nouns)

    def _query(self, compared: Compared, method: str | None = None) -> Query:
        if compared.by not in ("weights", "labels"):
            raise BadInputError(f"Voxels are compared by weights or by labels, not by {compared.by!r}.")
        if compared.by == "labels" and compared.readout is not None:
            raise BadInputError("By labels no readout is compared; leave it out, or compare by weights.")
        against, by_weights = baseline_of(compared.baseline), compared.by == "weights"
        readout, scorer = (self.readout(compared.readout), None) if by_weights else (None, self.method(method))
        return Query.of(self, self.tables, self.text_towers, compared, readout, scorer, against)
