"""Stages `nouns` and `generate`: candidate labels of each voxel, pictures of each label (METHOD §2, steps 2, 3)."""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image as PIL_Image

from ....atlas.backbones.feature_cache import FeatureCache
from ....atlas.backbones.interface import Backbone, Floats, Image
from ....atlas.backbones.threads import in_threads
from ....schemas.config import IngestConfig
from ....schemas.errors import AtlasError, BadInputError, LedgerConflictError
from ....schemas.files import write_atomically
from ....schemas.image_files import read_picture
from ....schemas.stage import Stage
from ....schemas.tables import label_id
from ...dissection.interface import Generator, Pictures, seed_of
from ...dissection.nouns import Labels, NounExtractor, Unscored, by_mention, shortened
from ...dissection.word_lists import depictable_nouns
from ..context import BatchContext, Context, grouped

_LABELS_AT_ONCE = 8
"""Labels that a generator draws, and the atlas commits, in one go."""


@dataclass(frozen=True)
class Drawn:
    """The pictures of a vocabulary."""

    pictures: pl.DataFrame
    """lemma, label_id, ordinal, uri, sha256; by label_id and ordinal."""
    missing: set[str]
    """Labels that were skipped: voxels that have one cannot be scored yet."""


def candidate_labels(context: Context, captioner: str) -> tuple[Labels, Unscored]:
    """Distinct nouns of each described voxel's captions, and those of them that the settings leave out.

    Nouns that more captions of the voxel name come first; ties go to the stronger image's noun. A voxel with a caption
    that could not be made is left out.
    """
    config = context.config
    rows = context.store.frame(
        "SELECT t.voxel, t.rank, c.text FROM top_image t "
        "LEFT JOIN caption c ON c.stimulus_id = t.stimulus_id AND c.box = t.box AND c.captioner = ? "
        "WHERE t.model_id = ? ORDER BY t.voxel, t.rank",
        [captioner, context.model_id],
    ).filter(pl.col("text").is_not_null().all().over("voxel"))
    texts = rows["text"].unique(maintain_order=True).to_list()
    with context.progress.stage("nouns", len(texts)) as advance:
        nouns = dict(zip(texts, NounExtractor().nouns(texts), strict=True))
        advance(len(texts))
    labels = {
        int(str(voxel)): by_mention([nouns[text] for text in captions["text"]])
        for (voxel,), captions in rows.group_by("voxel", maintain_order=True)
    }
    if unnamed := sum(not candidates for candidates in labels.values()):
        context.progress.note(f"{unnamed} voxels have no label: {captioner} names no thing in their images.")
    kept, unscored = candidates_of(config, labels)
    reasons = Counter(reason for of_voxel in unscored.values() for reason in of_voxel.values())
    for reason, n in reasons.items():
        context.progress.note(f"{n} candidates of voxels are not scored: {reason}.")
    return kept, unscored


def candidates_of(config: IngestConfig, named: Mapping[int, Sequence[str]]) -> tuple[Labels, Unscored]:
    """Those of voxels' nouns that the settings make candidates, and why the others are none; see `shortened`."""
    known = frozenset(depictable_nouns()) if config.candidates_from == "depictable" else None
    return shortened(named, config.min_voxels_per_label, config.max_candidates, known)


def generate(context: Context, labels: Labels, generator: Generator) -> Drawn:
    """Make pictures of every label that has none of this generator.

    A label is generated once, over all voxels, models and subjects; its seeds depend on nothing but itself.

    Returns:
        The pictures of the labels that the generator can draw.
    """
    wanted = sorted({label for candidates in labels.values() for label in candidates})
    made = context.store.frame(
        "SELECT l.lemma, count(*) AS n FROM synthetic_image s JOIN label l USING (label_id) WHERE s.generator = ? "
        "GROUP BY l.lemma",
        [generator.name],
    )
    n_made = dict(made.iter_rows())
    done = context.store.committed(Stage.GENERATE)
    wishes = [
        wish
        for label in wanted
        if (wish := _Wish(label, generator.name, range(n_made.get(label, 0), context.config.images_per_label))).ordinals
        and wish.key not in done
    ]
    groups = list(grouped(wishes, 1 if context.skip_bad else _LABELS_AT_ONCE))
    drawn = context.workers.map(_drawn, (generator, context.home / "synthetic"), groups)
    skipped: set[str] = set()
    with context.progress.stage("generate", len(wanted)) as advance:
        advance(len(wanted) - len(wishes))
        for group, made_of in zip(groups, drawn, strict=True):
            missing = {wish.label for wish in group}
            with context.skipping(f"the pictures of {', '.join(map(repr, sorted(missing)))}"):
                for wish, files in zip(group, made_of(), strict=True):
                    _append_pictures(context, wish, files)
                    missing.remove(wish.label)
            skipped |= missing
            advance(len(group))
    pictures = context.store.frame(
        "SELECT l.lemma, label_id, s.ordinal, s.uri, s.sha256 FROM synthetic_image s JOIN label l USING (label_id) "
        "WHERE s.generator = ? AND s.ordinal < ? ORDER BY label_id, s.ordinal",
        [generator.name, context.config.images_per_label],
    ).filter(pl.col("lemma").is_in(wanted))
    undrawn = sorted(set(wanted) - set(pictures["lemma"]) - skipped)
    if undrawn:
        named = ", ".join(undrawn[:5]) + (", …" if len(undrawn) > 5 else "")
        context.progress.note(f"{len(undrawn)} labels are not scored: {generator.name} has no picture of {named}.")
    return Drawn(pictures, skipped)


def encode_pictures(context: Context, drawn: Drawn, *spaces: Backbone) -> list[Pictures]:
    """Features of the pictures in each of the spaces; a label whose pictures cannot be read joins the missing ones."""
    ids: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    features = [[np.empty((0, space.dim), np.float32)] for space in spaces]
    labels = drawn.pictures.partition_by("label_id", maintain_order=True)
    encoded = context.workers.map(_encoded, (context.for_workers, spaces), labels)
    with context.progress.stage("encode pictures", drawn.pictures.height) as advance:
        for rows, found in zip(labels, encoded, strict=True):
            label = rows["lemma"][0]
            drawn.missing.add(label)
            with context.skipping(f"the pictures of {label!r}"):
                of_label = found()
                drawn.missing.remove(label)
                ids.append(rows["label_id"].to_numpy())
                for of_space, more in zip(features, of_label, strict=True):
                    of_space.append(more)
            advance(rows.height)
    label = np.concatenate(ids)
    return [Pictures(label, np.concatenate(of_space)) for of_space in features]


def _encoded(given: tuple[BatchContext, Sequence[Backbone]], rows: pl.DataFrame) -> list[Floats]:
    """Features of the pictures of one label in each space."""
    context, spaces = given
    read, sha256s = _reader(rows["lemma"][0], rows["uri"].to_list()), rows["sha256"].to_list()
    return [FeatureCache(context.home, space, context.batch_images).get(sha256s, read) for space in spaces]


@dataclass(frozen=True)
class _Wish:
    """Pictures of a label that are to be drawn."""

    label: str
    generator: str
    ordinals: range

    @property
    def key(self) -> str:
        """Of their batch."""
        return f"{self.generator}/{label_id(self.label)}/{self.ordinals.start}-{self.ordinals.stop}"

    @property
    def seeds(self) -> list[int]:
        """One a picture."""
        return [seed_of(self.label, self.generator, ordinal) for ordinal in self.ordinals]


_Files = list[tuple[str, str]]
"""(path, SHA-256) of each picture."""


def _drawn(given: tuple[Generator, Path], wishes: Sequence[_Wish]) -> list[_Files | None]:
    """Draw some labels and keep the pictures; None for a label that cannot be drawn."""
    generator, folder = given
    drawn = generator.generate([(wish.label, wish.seeds) for wish in wishes])
    return [None if images is None else in_threads(partial(_save, folder), images) for images in drawn]


def _append_pictures(context: Context, wish: _Wish, files: _Files | None) -> None:
    label = label_id(wish.label)
    batch = {"label": pa.table({"label_id": [label], "lemma": [wish.label]})}
    if files is not None:
        batch["synthetic_image"] = pa.table(
            {
                "label_id": [label] * len(files),
                "generator": [wish.generator] * len(files),
                "ordinal": list(wish.ordinals),
                "seed": wish.seeds,
                "uri": [uri for uri, _ in files],
                "sha256": [digest for _, digest in files],
            }
        )
    # Where another machine has drawn the label meanwhile, its pictures are used.
    with suppress(LedgerConflictError):
        context.append(batch, Stage.GENERATE, wish.key)


def _save(folder: Path, image: Image) -> tuple[str, str]:
    encoded = io.BytesIO()
    # A tenth larger than at the usual level, in a third of the time, which is longer than a collage takes to draw.
    PIL_Image.fromarray(image).save(encoded, "PNG", compress_level=1)
    digest = hashlib.sha256(encoded.getvalue()).hexdigest()
    path = folder / digest[:2] / f"{digest}.png"
    if not path.exists():
        write_atomically(path, lambda file: file.write(encoded.getvalue()))
    return str(path), digest


def _reader(label: str, uris: Sequence[str]) -> Callable[[int], Image]:
    def read(index: int) -> NDArray[np.uint8]:
        try:
            return read_picture(Path(uris[index]))
        except AtlasError as error:
            raise BadInputError(
                f"A picture of {label!r} cannot be read: {str(error).rstrip('.')}, or dissect with other settings of "
                "the generator."
            ) from error

    return read
