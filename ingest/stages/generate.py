"""Stages `nouns` and `generate`: candidate labels of each voxel, pictures of each label (METHOD §2, steps 2, 3)."""

import hashlib
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image as PIL_Image

from atlas.backbones.interface import Backbone, Image
from atlas.files import write_atomically
from atlas.labels import label_id
from ingest.dissection.nouns import NounExtractor
from ingest.dissection.scoring import Pictures
from ingest.dissection.synthesis import Generator, seed_of
from ingest.dissection.vocabulary import Labels, by_mention, shortened
from ingest.stages.context import Context, grouped
from ingest.stages.encode import FeatureCache
from schemas.errors import BadInputError, LedgerConflictError, StoreError

_LABELS_AT_ONCE = 8
"""Labels that a generator draws, and the atlas commits, in one go."""


@dataclass(frozen=True)
class Drawn:
    """The pictures of a vocabulary."""

    pictures: pl.DataFrame
    """lemma, label_id, ordinal, uri, sha256; by label_id and ordinal."""
    missing: set[str]
    """Labels that were skipped: voxels that have one cannot be scored yet."""


def candidate_labels(context: Context, captioner: str) -> Labels:
    """Distinct nouns of each described voxel's captions, at most `labels_per_voxel` of them.

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
    return shortened(labels, config.min_voxels_per_label, config.labels_per_voxel)


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
    done = context.store.committed("generate")
    skipped: set[str] = set()
    with context.progress.stage("generate", len(wanted)) as advance:
        for labels_at_once in grouped(wanted, 1 if context.skip_bad else _LABELS_AT_ONCE):
            missing = {}
            for label in labels_at_once:
                ordinals = range(n_made.get(label, 0), context.config.images_per_label)
                key = f"{generator.name}/{label_id(label)}/{ordinals.start}-{ordinals.stop}"
                if ordinals and key not in done:
                    missing[label] = (ordinals, key)
            seeds = {
                label: [seed_of(label, generator.name, ordinal) for ordinal in ordinals]
                for label, (ordinals, _) in missing.items()
            }
            drawn: list[list[Image] | None] | None = None
            with context.skipping(f"the pictures of {', '.join(map(repr, missing))}"):
                drawn = generator.generate_batch(list(seeds.items()))
            if drawn is None:
                skipped |= missing.keys()
            for label, images in zip(missing, drawn or (), strict=drawn is not None):
                ordinals, key = missing[label]
                _append_pictures(context, label, generator.name, ordinals, seeds[label], images, key)
            advance(len(labels_at_once))
    pictures = context.store.frame(
        "SELECT l.lemma, label_id, s.ordinal, s.uri, s.sha256 FROM synthetic_image s JOIN label l USING (label_id) "
        "WHERE s.generator = ? AND s.ordinal < ? ORDER BY label_id, s.ordinal",
        [generator.name, context.config.images_per_label],
    ).filter(pl.col("lemma").is_in(wanted))
    undrawn = sorted(set(wanted) - set(pictures["lemma"]) - skipped)
    if undrawn:
        shown = ", ".join(undrawn[:5]) + (", …" if len(undrawn) > 5 else "")
        context.progress.note(f"{len(undrawn)} labels are not scored: {generator.name} has no picture of {shown}.")
    return Drawn(pictures, skipped)


def encode_pictures(context: Context, drawn: Drawn, *spaces: Backbone) -> list[Pictures]:
    """Features of the pictures in each of the spaces; a label whose pictures cannot be read joins the missing ones."""
    caches = [FeatureCache(context.home, space, context.batch_images) for space in spaces]
    ids: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    features = [[np.empty((0, space.dim), np.float32)] for space in spaces]
    with context.progress.stage("encode pictures", drawn.pictures.height * len(spaces)) as advance:
        # Each label's features are one file of the cache, whatever other labels there are.
        for rows in drawn.pictures.partition_by("label_id", maintain_order=True):
            label = rows["lemma"][0]
            drawn.missing.add(label)
            with context.skipping(f"the pictures of {label!r}"):
                read, sha256s = _reader(label, rows["uri"].to_list()), rows["sha256"].to_list()
                found = [cache.get(sha256s, read, advance) for cache in caches]
                drawn.missing.remove(label)
                ids.append(rows["label_id"].to_numpy())
                for of_space, more in zip(features, found, strict=True):
                    of_space.append(more)
    label = np.concatenate(ids)
    return [Pictures(label, np.concatenate(of_space)) for of_space in features]


def _append_pictures(
    context: Context,
    label: str,
    generator: str,
    ordinals: range,
    seeds: Sequence[int],
    images: Sequence[Image] | None,
    key: str,
) -> None:
    batch = {"label": pa.table({"label_id": [label_id(label)], "lemma": [label]})}
    if images is not None:
        files = [_save(context.home / "synthetic", image) for image in images]
        batch["synthetic_image"] = pa.table(
            {
                "label_id": [label_id(label)] * len(files),
                "generator": [generator] * len(files),
                "ordinal": list(ordinals),
                "seed": seeds,
                "uri": [str(path) for path, _ in files],
                "sha256": [digest for _, digest in files],
            }
        )
    # Where another machine has drawn the label meanwhile, its pictures are used.
    with suppress(LedgerConflictError):
        context.store.append(batch, run_id=context.run_id, stage="generate", key=key)


def _save(folder: Path, image: Image) -> tuple[Path, str]:
    encoded = io.BytesIO()
    # A tenth larger than at the usual level, in a third of the time, which is longer than a collage takes to draw.
    PIL_Image.fromarray(image).save(encoded, "PNG", compress_level=1)
    digest = hashlib.sha256(encoded.getvalue()).hexdigest()
    path = folder / digest[:2] / f"{digest}.png"
    if not path.exists():
        try:
            write_atomically(path, lambda file: file.write(encoded.getvalue()))
        except OSError as error:
            raise StoreError(
                f"The picture {path} cannot be written: {error.strerror}; make room or give back its rights, "
                "and start again: what is done stays."
            ) from error
    return path, digest


def _reader(label: str, uris: Sequence[str]) -> Callable[[int], Image]:
    def read(index: int) -> NDArray[np.uint8]:
        try:
            with PIL_Image.open(uris[index]) as picture:
                return np.asarray(picture.convert("RGB"))
        except (OSError, SyntaxError) as error:
            raise BadInputError(
                f"{uris[index]}, a picture of {label!r}, cannot be read: {str(error).rstrip('.')}; put it back from a "
                "copy, or dissect with other settings of the generator."
            ) from error

    return read
