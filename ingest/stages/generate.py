"""Stages `nouns` and `generate`: candidate labels of each voxel, pictures of each label (METHOD §2, steps 2, 3)."""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image as PIL_Image

from atlas.backbones.interface import Image
from atlas.files import write_atomically
from atlas.labels import label_id
from ingest.dissection.nouns import NounExtractor
from ingest.dissection.scoring import Pictures
from ingest.dissection.synthesis import Generator, seed_of
from ingest.stages.context import Context, grouped
from ingest.stages.encode import FeatureCache

_LABELS_AT_ONCE = 8
"""Labels that a generator draws, and the atlas commits, in one go."""

Labels = dict[int, list[str]]
"""Voxel number → its candidate labels, the most often named first."""


def candidate_labels(context: Context, captioner: str) -> Labels:
    """Distinct nouns of each described voxel's captions, at most `labels_per_voxel` of them.

    Nouns that more captions of the voxel name come first; ties go to the stronger image's noun.
    """
    config = context.config
    rows = context.store.frame(
        "SELECT t.voxel, t.rank, c.text FROM top_image t JOIN caption c USING (stimulus_id, box) "
        "WHERE t.model_id = ? AND c.captioner = ? ORDER BY t.voxel, t.rank",
        [context.model_id, captioner],
    )
    texts = rows["text"].unique(maintain_order=True).to_list()
    with context.progress.stage("nouns", len(texts)) as advance:
        nouns = dict(zip(texts, NounExtractor().nouns(texts), strict=True))
        advance(len(texts))
    labels: Labels = {}
    for (voxel,), captions in rows.group_by("voxel", maintain_order=True):
        # Counter keeps the order of first sight, and most_common is stable: ties go to the stronger image.
        counts = Counter(noun for text in captions["text"] for noun in dict.fromkeys(nouns[text]))
        labels[int(str(voxel))] = [noun for noun, _ in counts.most_common()]
    voxels_of = Counter(noun for candidates in labels.values() for noun in candidates)
    return {
        voxel: [n for n in candidates if voxels_of[n] >= config.min_voxels_per_label][: config.labels_per_voxel]
        for voxel, candidates in labels.items()
    }


def generate(context: Context, labels: Labels, generator: Generator) -> Pictures:
    """Make pictures of every label that has none of this generator, and encode all of them.

    A label is generated once, over all voxels, models and subjects; its seeds depend on nothing but itself.

    Returns:
        The pictures of the labels that the generator can draw, with their features.
    """
    wanted = sorted({label for candidates in labels.values() for label in candidates})
    made = context.store.frame(
        "SELECT l.lemma, count(*) AS n FROM synthetic_image s JOIN label l USING (label_id) WHERE s.generator = ? "
        "GROUP BY l.lemma",
        [generator.name],
    )
    n_made = dict(made.iter_rows())
    done = context.store.committed("generate")
    with context.progress.stage("generate", len(wanted)) as advance:
        for labels_at_once in grouped(wanted, _LABELS_AT_ONCE):
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
            for label, images in zip(missing, generator.generate_batch(list(seeds.items())), strict=True):
                ordinals, key = missing[label]
                _append_pictures(context, label, generator.name, ordinals, seeds[label], images, key)
            advance(len(labels_at_once))
    pictures = context.store.frame(
        "SELECT l.lemma, label_id, s.ordinal, s.uri, s.sha256 FROM synthetic_image s JOIN label l USING (label_id) "
        "WHERE s.generator = ? AND s.ordinal < ? ORDER BY label_id, s.ordinal",
        [generator.name, context.config.images_per_label],
    ).filter(pl.col("lemma").is_in(wanted))
    drawn = set(pictures["lemma"])
    if undrawn := [label for label in wanted if label not in drawn]:
        shown = ", ".join(undrawn[:5]) + (", …" if len(undrawn) > 5 else "")
        context.progress.note(f"{len(undrawn)} labels are not scored: {generator.name} has no picture of {shown}.")
    return _encode(context, pictures)


def _append_pictures(
    context: Context,
    label: str,
    generator: str,
    ordinals: range,
    seeds: Sequence[int],
    images: Sequence[Image] | None,
    key: str,
) -> None:
    batch = {}
    if not context.store.arrow("SELECT 1 FROM label WHERE label_id = ?", [label_id(label)]).num_rows:
        batch["label"] = pa.table({"label_id": [label_id(label)], "lemma": [label]})
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
    context.store.append(batch, run_id=context.run_id, stage="generate", key=key)


def _save(folder: Path, image: Image) -> tuple[Path, str]:
    encoded = io.BytesIO()
    PIL_Image.fromarray(image).save(encoded, "PNG")
    digest = hashlib.sha256(encoded.getvalue()).hexdigest()
    path = folder / digest[:2] / f"{digest}.png"
    if not path.exists():
        write_atomically(path, lambda file: file.write(encoded.getvalue()))
    return path, digest


def _encode(context: Context, pictures: pl.DataFrame) -> Pictures:
    """Features of the pictures; each label's are one file of the cache, whatever other labels there are."""
    by_label = pictures.partition_by("label_id", maintain_order=True)
    cache = FeatureCache(context.home, context.backbone, context.batch_images)
    with context.progress.stage("encode pictures", pictures.height) as advance:
        features = [cache.get(rows["sha256"].to_list(), _reader(rows["uri"].to_list()), advance) for rows in by_label]
    empty = np.empty((0, context.backbone.dim), np.float32)
    return Pictures(label=pictures["label_id"].to_numpy(), features=np.concatenate([empty, *features]))


def _reader(uris: Sequence[str]) -> Callable[[int], Image]:
    def read(index: int) -> NDArray[np.uint8]:
        with PIL_Image.open(uris[index]) as picture:
            return np.asarray(picture.convert("RGB"))

    return read
