"""What a question compares voxels with, and the voxels that are nearest to it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, NotFoundError
from ..backbones.interface import Floats, Image, Readout
from ..backbones.products import unit_rows
from .baseline import Vocabulary
from .concepts import Baseline, TextTowers, parse_concept
from .evidence import Evidence
from .tables.answer_html import WithPicture, answer_html
from .tables.indexed_voxels import IndexedVoxels
from .tables.label_table import LabelMixture
from .tables.model_row import ModelRow
from .tables.model_tables import ModelTables
from .tables.readout_table import ReadoutTable

By = Literal["weights", "labels"]
_EQUAL = np.float32(1e-6)
"""Similarities that differ by less are equal but for rounding: a concept's and that of the same noun."""
Candidates = IndexedVoxels | LabelMixture
"""Voxels that can be searched: their numbers, and similarities to a unit vector."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Provenance:
    """What an answer says of how voxels were compared."""

    model_id: str
    simulated: bool
    """Whether the subject's responses were computed, not measured."""
    by: By
    readout: Readout | None
    """Which vector of a voxel was compared; None by labels."""
    baseline: Baseline | None
    """What the concept is a contrast to; None for a picture or a voxel."""
    method: str | None
    """Which labels were compared; None by weights."""
    warnings: list[str]
    """A sentence for each word that the text tower does not seem to know, and for what else questions an answer."""
    generation: int

    @property
    def how(self) -> str:
        """Readout, or the labels' scorer, and baseline, in a few words."""
        against = {"vocabulary": ", against the vocabulary", "none": ", not centred", None: ""}
        compared = f"by labels, {self.method}" if self.by == "labels" else self.readout
        return f"{compared}{against[self.baseline]}"


@dataclass(frozen=True, eq=False)
class Similarities(WithPicture, Provenance):
    """Similarities of voxels, and how they were computed."""

    frame: pl.DataFrame

    def _repr_html_(self) -> str:
        return self._html(self.frame)

    def _html(self, shown: pl.DataFrame) -> str:
        return answer_html(
            self._title,
            self._facts,
            shown,
            simulated=self.simulated,
            warnings=self.warnings,
            picture=self._repr_png_() or b"",
        )

    @property
    def _title(self) -> str:
        return f"Similarities of {len(self.frame):,} voxels"

    @property
    def _facts(self) -> list[str]:
        return [self.model_id, self.how]


class ConceptMap(Similarities):
    """Every voxel of a model, by voxel: voxel, similarity, z, concept_q, specific."""


@dataclass(frozen=True, eq=False)
class NullBand(Similarities):
    """Every voxel of a model, by voxel: voxel, low, high, between which nine in ten nouns of the vocabulary are."""

    n_words: int
    """Nouns of the vocabulary."""

    def contains(self, voxels: NDArray[np.integer], similarity: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether similarities of some of its voxels lie within the band, (n,); NaN does not."""
        rows = np.searchsorted(self.frame["voxel"].to_numpy(), voxels)
        low, high = (self.frame[name].to_numpy()[rows] for name in ("low", "high"))
        return np.asarray((similarity >= low) & (similarity <= high))

    @property
    def _title(self) -> str:
        return f"Where nine in ten of {self.n_words:,} nouns lie in {len(self.frame):,} voxels"


@dataclass(frozen=True, eq=False)
class VoxelHits(Similarities):
    """Voxels, best first: similarity, z, concept_q, specific, percentile, and what `Model.voxels` gives."""

    total: int
    """Voxels that pass the filters, on all pages."""
    hidden: int | None
    """Voxels that would, too, and are left out as not semantic; None where it is not known which are."""

    @property
    def _title(self) -> str:
        return f"The {len(self.frame)} most similar of {self.total:,} voxels"

    def _repr_html_(self) -> str:
        columns = ["voxel", "similarity", "z", "concept_q", "specific", "rois", "r2", "noise_ceiling"]
        return self._html(self.frame.select(columns))


@dataclass(frozen=True, eq=False)
class Compared:
    """What voxels are compared with, one of concept, image and voxel, and how; as `Model.similar` takes them."""

    concept: str | None = None
    image: Image | None = None
    voxel: int | None = None
    by: str = "weights"
    readout: str | None = None
    baseline: str = "vocabulary"

    def check_evidence(self, evidence: Evidence, model_id: str, *, specific: bool) -> None:
        """Check that there is what voxels are to be held to.

        Args:
            evidence: of the similarities.
            model_id: of the model that was asked.
            specific: whether it is not only z and q.

        Raises:
            BadInputError: there is not; it says why.
        """
        if self.by == "labels" or self.voxel is not None:
            how = "by labels" if self.by == "labels" else "for another voxel"
            raise BadInputError(f"{model_id} has no z {how}; leave out limits of z and q, and specific.")
        if len(evidence.z) and np.isnan(evidence.z).all():
            raise BadInputError(
                f"{model_id} has no z: it takes each voxel's residual variance, which an ingest by this version stores "
                "where the network has a text tower, and readouts' lengths, which `voxel-atlas upgrade` works out; "
                "leave out limits of z and q, and specific."
            )
        if specific and evidence.above is None:
            what = "A picture" if self.concept is None else "A sum or difference"
            if self.concept is not None and len(parse_concept(self.concept)) == 1:
                what = f"With baseline {self.baseline} a concept"
            raise BadInputError(
                f"{what} has no percentile among the vocabulary's nouns, so nothing is specific to it; limit z or q."
            )


@dataclass(frozen=True, eq=False)
class Query:
    """A question that was understood: what is compared, with what."""

    provenance: Provenance
    vector: Floats
    """(dim,), unit."""
    candidates: Candidates
    readouts: ReadoutTable | None
    """What evidence comes from; None where there is none, by labels and for a voxel."""
    vocabulary: Vocabulary | None
    """Nouns that the concept can be held against; None for sums and differences, pictures and uncentred concepts."""

    @classmethod
    def of(
        cls,
        model: ModelRow,
        tables: ModelTables,
        towers: TextTowers,
        compared: Compared,
        readout: Readout | None,
        method: str | None,
        baseline: Baseline,
    ) -> "Query":
        """Understand a question to a model.

        Args:
            model: which.
            tables: its tables.
            towers: what words and pictures are embedded by.
            compared: what voxels are compared with.
            readout: which vector of theirs; None by labels.
            method: whose labels; None by weights.
            baseline: what a concept is a contrast to.

        Raises:
            BadInputError: a question that makes no sense for this model.
            NotFoundError: no such voxel.
        """
        concept, image, voxel = compared.concept, compared.image, compared.voxel
        if sum(part is not None for part in (concept, image, voxel)) != 1:
            raise BadInputError("Give exactly one of concept, image and voxel to say what voxels are compared with.")
        if readout is not None and concept is not None and not model.has_text:
            raise BadInputError(
                f"{model.model_id} uses {model.backbone}, which has no text tower; compare a concept by labels instead."
            )
        generation = tables.derived.generation()
        candidates: Candidates
        if readout is None:
            space = model.label_backbone
            mixture, generation = tables.mixture(str(method), generation)
            centred = concept is not None and baseline == "vocabulary"
            candidates = mixture.centred(towers.vocabulary(space)) if centred else mixture
        else:
            space = model.backbone
            candidates, generation = tables.indexed(readout, generation)
        vector: Floats | None
        if concept is not None:
            vector = towers.concept(space, concept, baseline)
        elif image is not None:
            if space != model.backbone:
                raise BadInputError(f"{model.model_id} labels voxels by {space}; compare an image by weights instead.")
            vector = unit_rows(towers.centred(model, image))
        else:
            vector = candidates.vector(cast("int", voxel))
        if vector is None:
            raise NotFoundError(f"{model.model_id} has no voxel {voxel} to compare with.")
        one_concept = concept is not None and len(parse_concept(concept)) == 1 and baseline == "vocabulary"
        provenance = Provenance(
            model_id=model.model_id,
            simulated=model.simulated,
            by="labels" if readout is None else "weights",
            readout=readout,
            baseline=baseline if concept is not None else None,
            method=method,
            warnings=towers.warnings(space, concept) if concept is not None else [],
            generation=generation,
        )
        return cls(
            provenance,
            vector,
            candidates,
            tables.readout(readout) if readout is not None and voxel is None and model.has_text else None,
            towers.vocabulary(space) if readout is not None and one_concept else None,
        )

    @cached_property
    def scores(self) -> Floats:
        """Similarity of every candidate, (n,)."""
        return self.candidates.scores(self.vector)

    def evidence(self) -> Evidence:
        """How sure the similarity of every candidate is."""
        if self.readouts is None:
            return Evidence(np.full(len(self.candidates.voxels), np.nan), None)
        against = self.vocabulary is not None
        return self.readouts.evidence(self.vector, self.candidates.voxels, self.scores, against_vocabulary=against)

    def percentiles(self, rows: NDArray[np.int64], similarity: Floats) -> pl.Series:
        """Share of the vocabulary's nouns that are less similar to some candidates than the concept is, 0 to 1."""
        if self.vocabulary is None or not isinstance(self.candidates, IndexedVoxels):
            return pl.Series([None] * len(rows), dtype=pl.Float64)
        nouns = self.candidates.index.vectors[rows] @ self.vocabulary.contrasts.T
        return pl.Series((nouns < similarity[:, None] - _EQUAL).mean(axis=1))

    def nearest(
        self, mask: NDArray[np.bool_], k: int, after: tuple[float, int] | None
    ) -> tuple[Floats, NDArray[np.int64]]:
        """Similarities and rows of the k best candidates of a mask, equal ones by number.

        Args:
            mask: (n,) candidates that may be in the answer.
            k: how many; fewer come back where fewer are allowed.
            after: (similarity, voxel) of the last voxel of the page before: only those behind it.
        """
        # Where there is evidence, every voxel's similarity was needed for that, and the index saves nothing.
        if isinstance(self.candidates, IndexedVoxels) and self.readouts is None and after is None:
            (best_scores,), (best_rows,) = self.candidates.index.search(self.vector[None], k, mask)
            return best_scores, best_rows
        scores, voxels = self.scores, self.candidates.voxels
        if after is not None:
            last = np.float32(after[0])
            mask = mask & ((scores < last) | ((scores == last) & (voxels > after[1])))
        rows = np.flatnonzero(mask)
        if k < len(rows):
            rows = rows[scores[rows] >= np.partition(scores[rows], len(rows) - k)[len(rows) - k]]
        best = rows[np.lexsort((voxels[rows], -scores[rows]))][:k]
        return scores[best], best
