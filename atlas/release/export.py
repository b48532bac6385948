"""Export: an atlas, or some models of it, as a folder of files that other programs open."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, NotFoundError, StoreError
from ...schemas.files import replacing
from ..search.atlas import Atlas, SubjectRow
from ..search.model import Model
from .documents import write_texts
from .map_files import Carry, Placement, VoxelMap, entity, subject_entity, write_maps
from .parquet_files import read_rows, write_tables
from .verify import write_sums

_log = logging.getLogger(__name__)
_ALIGNED = 2
_OF_SURFACES = "the affine goes to the mm of the anatomical surfaces that the subject is shown on"
AffineOf = Callable[[SubjectRow], NDArray[np.float64] | None]
"""A row of `subject` → (4, 4) from its voxel indices (x, y, z) to mm; None where that is not known."""
FsaverageOf = Callable[[SubjectRow], Carry]
"""A row of `subject` that is a volume → what carries its maps to fsaverage."""


def _unknown(_: SubjectRow) -> None:
    return None


def export(
    atlas: Atlas,
    out: Path,
    *,
    models: Sequence[str] = (),
    concepts: Sequence[str] = (),
    readout: str | None = None,
    baseline: str = "vocabulary",
    tables_only: bool = False,
    affine_of: AffineOf = _unknown,
    fsaverage_of: FsaverageOf | None = None,
) -> Path:
    """Write a release: whole, or not at all. Equal rows give equal files.

    Args:
        atlas: what is exported.
        out: the folder to make.
        models: model ids, as `Atlas.model` takes them; none means all that are finished.
        concepts: what maps of similarity are made of.
        readout: which vector of a voxel they compare; as `Model.map` takes it, and `baseline`, too.
        baseline: what the concepts are contrasts to.
        tables_only: make no maps.
        affine_of: where the subjects' volumes lie in space.
        fsaverage_of: what carries maps of volumes to fsaverage, where they are wanted there, too.

    Raises:
        BadInputError: the folder is there and not empty, or a model is not finished.
        NotFoundError: no such model, or a map cannot be made.
        StoreError: the folder cannot be written, or the models changed meanwhile.
    """
    if tables_only and concepts:
        raise BadInputError("Concepts are shown by maps, so they exclude tables only; give one of the two.")
    chosen = _chosen(atlas, models)
    names = [model.model_id for model in chosen]
    owners = sorted({model.subject_id for model in chosen})
    with _new_folder(out) as folder:
        before = read_rows(atlas.store, "ledger", names, owners)
        n_rows = write_tables(atlas.store, names, owners, folder)
        if not tables_only:
            for model in chosen:
                maps = [
                    each
                    for concept in dict.fromkeys(concepts)
                    for each in _similarity(model, concept, readout, baseline)
                ]
                _write_maps(atlas, model, maps, folder, affine_of, fsaverage_of)
        if not read_rows(atlas.store, "ledger", names, owners).equals(before):
            raise StoreError(
                f"{', '.join(names)} changed in {atlas.store.address} while it was exported; export again."
            )
        write_texts(folder, chosen, [atlas.subject(owner) for owner in owners], n_rows, maps=not tables_only)
        write_sums(folder)
    return out


def _chosen(atlas: Atlas, models: Sequence[str]) -> list[Model]:
    if not models:
        finished = atlas.models().filter(pl.col("finished"))["model_id"].sort()
        if finished.is_empty():
            raise NotFoundError(f"{atlas.store.address} holds no finished model to export.")
        return [atlas.model(model_id) for model_id in finished]
    chosen = {model.model_id: model for model in map(atlas.model, models)}
    for model_id, model in chosen.items():
        if not model.finished:
            raise BadInputError(
                f"{model_id} is not finished (its last run: {model.state}); let `voxel-atlas ingest` complete it first."
            )
    return [chosen[model_id] for model_id in sorted(chosen)]


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its name when all is written, and is gone when something fails."""
    # Without its trailing slash or dots: a folder beside it needs its name.
    out = out.expanduser().absolute()
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise BadInputError(f"{out} is there already; give a folder that is not.")
    with replacing(out, "choose another folder") as temporary:
        temporary.mkdir()
        yield temporary


def _write_maps(
    atlas: Atlas,
    model: Model,
    maps: Sequence[VoxelMap],
    folder: Path,
    affine_of: AffineOf,
    fsaverage_of: FsaverageOf | None,
) -> None:
    try:
        volume = atlas.volume(model.subject_id)
    except NotFoundError as error:
        raise NotFoundError(f"{error} To go without maps, pass --tables-only.") from error
    subject = subject_entity(model.subject_id)
    short = entity("".join(model.model_id.removeprefix(model.subject_id).split("/")).replace("-", ""))
    is_volume = volume.subject["space"] == "volume"
    write_maps(
        folder / subject / "func",
        f"{subject}_model-{short}",
        volume,
        [*_metrics(model), *maps, *_first_labels(atlas, model)],
        placement(volume.subject, affine_of) if is_volume else None,
        fsaverage_of(volume.subject) if is_volume and fsaverage_of else None,
    )


def placement(subject: SubjectRow, affine_of: AffineOf) -> Placement | None:
    """As the responses' own file has it; else by the surfaces that the subject is shown on."""
    if own := subject["affine"]:
        code = subject["affine_code"] or _ALIGNED
        return Placement(
            np.array(own, np.float64).reshape(4, 4),
            code,
            f"the responses' own image, space {nib.nifti1.xform_codes.label[code]}",
        )
    affine = affine_of(subject)
    return None if affine is None else Placement(affine, _ALIGNED, _OF_SURFACES)


def _about(model: Model) -> Mapping[str, object]:
    return {"Model": model.model_id, "Subject": model.subject_id, "Simulated": model.simulated}


def _metrics(model: Model) -> Iterator[VoxelMap]:
    for metric, name, title in (
        ("r2", "stat-r2", "R2 on the test images"),
        ("noise_ceiling", "stat-noiseceiling", "noise ceiling, as share of the variance"),
    ):
        frame = model.metric_map(metric)
        if frame["value"].null_count() < frame.height:
            yield _numbers(name, title, frame, {**_about(model), "Units": "1"})


def _similarity(model: Model, concept: str, readout: str | None, baseline: str) -> Iterator[VoxelMap]:
    """Maps of a concept's similarity and, where they are known, of its z and q."""
    # A network without a text tower knows words only by the labels of its voxels.
    by, readout = ("weights", readout) if model.has_text else ("labels", None)
    answer = model.map(concept, by=by, readout=readout, baseline=baseline)
    for warning in answer.warnings:
        _log.warning("%s", warning)
    how = {
        "Concept": concept,
        "ComparedBy": answer.by,
        "Readout": answer.readout,
        "Baseline": answer.baseline,
        "Method": answer.method,
        "Warnings": answer.warnings,
    }
    sidecar = {**_about(model), **{name: value for name, value in how.items() if value}}
    for column, stat, title, unit in _OF_CONCEPT:
        frame = answer.frame.select("voxel", pl.col(column).alias("value"))
        if frame["value"].null_count() < frame.height:
            name = f"desc-{entity(concept.strip())}_stat-{stat}"
            yield _numbers(name, f"{title} {concept.strip()}", frame, {**sidecar, "Units": unit})


_OF_CONCEPT = (
    ("similarity", "similarity", "similarity to", "cosine"),
    ("z", "z", "z of the similarity to", "standard errors"),
    ("concept_q", "q", "false discovery rate of the association with", "1"),
)
"""Column of a concept's map, and what its file is called and says."""


def _numbers(name: str, title: str, frame: pl.DataFrame, sidecar: Mapping[str, object]) -> VoxelMap:
    values = frame["value"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    return VoxelMap(name, title, frame["voxel"].cast(pl.Int32).to_numpy(), values, sidecar)


def _first_labels(atlas: Atlas, model: Model) -> Iterator[VoxelMap]:
    labels = atlas.store.frame(
        "SELECT method, voxel, label FROM top_label WHERE model_id = ? ORDER BY method, voxel", [model.model_id]
    )
    for (method,), rows in labels.group_by("method", maintain_order=True):
        words, indices = np.unique(rows["label"].to_numpy(), return_inverse=True)
        name = f"desc-{re.sub('[^A-Za-z0-9]', '', str(method))}toplabel"
        title, sidecar = f"first label by {method}", {**_about(model), "Method": method}
        values = (indices + 1).astype(np.int32)
        yield VoxelMap(name, title, rows["voxel"].cast(pl.Int32).to_numpy(), values, sidecar, words.tolist())
