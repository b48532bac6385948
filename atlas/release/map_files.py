"""Maps of a release: NIfTI for volumes, GIFTI and CIFTI for surfaces, with sidecars as BIDS derivatives have them."""

import colorsys
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis, ScalarAxis
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiLabel, GiftiLabelTable, GiftiMetaData
from numpy.typing import NDArray

from ..search.atlas import Volume

_SPACES = {(32492, 32492): "_space-fsLR_den-32k", (163842, 163842): "_space-fsaverage_den-164k"}
"""Vertices of both hemispheres → how BIDS calls the surface; others are the subject's own."""


@dataclass(frozen=True, eq=False)
class ValueMap:
    """One number per voxel."""

    name: str
    """BIDS entities: stat-r2, or desc-cake_stat-similarity."""
    title: str
    voxels: NDArray[np.int32]
    values: NDArray[np.float32]
    """(n,); NaN where there is none."""
    sidecar: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class LabelMap:
    """One word per voxel: `names[value - 1]`; 0 for none."""

    name: str
    title: str
    voxels: NDArray[np.int32]
    values: NDArray[np.int32]
    names: Sequence[str]
    sidecar: Mapping[str, Any]


def entity(text: str) -> str:
    """A text as a BIDS label, which has letters and digits only; what is lost is stood for by a hash."""
    plain = re.sub(r"[^A-Za-z0-9]", "", text)
    return plain if plain == text else f"{plain}{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def subject_entity(subject_id: str) -> str:
    """A subject's BIDS name, for example sub-nsdsubj05."""
    return "sub-" + re.sub(r"[^A-Za-z0-9]", "", subject_id)


def write_maps(
    folder: Path,
    prefix: str,
    volume: Volume,
    values: Sequence[ValueMap],
    labels: Sequence[LabelMap],
    affine: NDArray[np.float64] | None,
) -> None:
    """Write the maps of one model.

    Args:
        folder: where they go.
        prefix: what all file names begin with, for example sub-nsdsubj05_model-cliprn503f2a91.
        volume: where the subject's voxels are.
        values: maps of numbers.
        labels: maps of words.
        affine: (4, 4), from voxel indices (x, y, z) to mm; None where it is not known. Surfaces have none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    maps: list[ValueMap | LabelMap] = [*values, *labels]
    if volume.subject["space"] == "volume":
        for each in maps:
            suffix = "dseg" if isinstance(each, LabelMap) else "statmap"
            stem = folder / f"{prefix}_{each.name}_{suffix}"
            _write_nifti(Path(f"{stem}.nii.gz"), volume, each, affine)
            _write_sidecars(stem, each, {"SpatialReference": _reference(affine)})
        return
    n_left, n_right = volume.subject["shape"]
    prefix += _SPACES.get((n_left, n_right), "_space-individual")
    for each in maps:
        suffix = "dseg" if isinstance(each, LabelMap) else "statmap"
        cells = _spread(volume, each)
        for side, part in (("L", cells[:n_left]), ("R", cells[n_left:])):
            # An entity of BIDS's order: hemi stands before space.
            name = prefix.replace("_space-", f"_hemi-{side}_space-", 1)
            _write_gifti(folder / f"{name}_{each.name}_{suffix}", side, part, each)
        _write_sidecars(folder / f"{prefix}_{each.name}_{suffix}", each, {"SpatialReference": "vertices"})
    _write_cifti(folder / prefix, volume, values, labels)


def _reference(affine: NDArray[np.float64] | None) -> str:
    if affine is None:
        return "voxel indices; where the volume lies in mm is not known, so the header's sform and qform codes are 0"
    return "the affine goes to the mm of the anatomical surfaces that the subject is shown on"


def _spread(volume: Volume, each: ValueMap | LabelMap) -> NDArray[Any]:
    """Values at all cells of the volume or surface; NaN, or 0 for labels, where the map has none."""
    empty = 0 if isinstance(each, LabelMap) else np.nan
    cells = np.full(volume.n_cells, empty, np.int32 if isinstance(each, LabelMap) else np.float32)
    cells[volume.cells[np.searchsorted(volume.voxels, each.voxels)]] = each.values
    return cells


def _write_nifti(path: Path, volume: Volume, each: ValueMap | LabelMap, affine: NDArray[np.float64] | None) -> None:
    # The atlas's volumes are (z, y, x), as pycortex orders them; NIfTI's are (x, y, z).
    image = nib.Nifti1Image(_spread(volume, each).reshape(volume.subject["shape"]).T, affine)
    if affine is not None:
        image.set_sform(affine, code="aligned")
        image.set_qform(None, code="unknown")
    image.header["descrip"] = each.title.encode("ascii", "replace")[:79]
    nib.save(image, path)


def _write_sidecars(stem: Path, each: ValueMap | LabelMap, more: Mapping[str, Any]) -> None:
    text = json.dumps({"Description": each.title, **each.sidecar, **more}, indent=2, ensure_ascii=False)
    Path(f"{stem}.json").write_text(text + "\n", encoding="utf-8")
    if isinstance(each, LabelMap):
        rows = "".join(f"{index}\t{name}\n" for index, name in enumerate(each.names, 1))
        Path(f"{stem}.tsv").write_text("index\tname\n" + rows, encoding="utf-8")


def _write_gifti(stem: Path, side: str, cells: NDArray[Any], each: ValueMap | LabelMap) -> None:
    meta = GiftiMetaData({"AnatomicalStructurePrimary": {"L": "CortexLeft", "R": "CortexRight"}[side]})
    if isinstance(each, LabelMap):
        table = GiftiLabelTable()
        for key, (name, colour) in _label_table(each.names).items():
            label = GiftiLabel(key, *colour)
            label.label = name
            table.labels.append(label)
        array = GiftiDataArray(cells, "NIFTI_INTENT_LABEL", "NIFTI_TYPE_INT32", meta={"Name": each.title})
        image, kind = GiftiImage(darrays=[array], labeltable=table, meta=meta), "label"
    else:
        array = GiftiDataArray(cells, "NIFTI_INTENT_SHAPE", "NIFTI_TYPE_FLOAT32", meta={"Name": each.title})
        image, kind = GiftiImage(darrays=[array], meta=meta), "shape"
    nib.save(image, f"{stem}.{kind}.gii")


def _write_cifti(stem: Path, volume: Volume, values: Sequence[ValueMap], labels: Sequence[LabelMap]) -> None:
    n_left, n_right = volume.subject["shape"]
    cells = np.sort(volume.cells)
    sides = [("left", cells[cells < n_left], n_left), ("right", cells[cells >= n_left] - n_left, n_right)]
    places = None
    for side, vertices, n_vertices in sides:
        axis = BrainModelAxis.from_surface(vertices, n_vertices, name=f"CIFTI_STRUCTURE_CORTEX_{side.upper()}")
        if len(vertices):
            places = axis if places is None else places + axis

    def write(path: str, kind: str, axis: Any, maps: Sequence[ValueMap | LabelMap]) -> None:
        rows = np.stack([_spread(volume, each)[cells] for each in maps])
        image = Cifti2Image(rows, header=(axis, places), dtype=rows.dtype)
        image.nifti_header.set_intent(kind)
        nib.save(image, path)

    if values:
        names = ScalarAxis([each.title for each in values])
        write(f"{stem}_statmap.dscalar.nii", "NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS", names, values)
    if labels:
        tables = LabelAxis([each.title for each in labels], [_label_table(each.names) for each in labels])
        write(f"{stem}_dseg.dlabel.nii", "NIFTI_INTENT_CONNECTIVITY_DENSE_LABELS", tables, labels)


def _label_table(names: Sequence[str]) -> dict[int, tuple[str, tuple[float, float, float, float]]]:
    """Index → name and colour; turns of the golden angle keep neighbours apart."""
    table = {0: ("???", (0.0, 0.0, 0.0, 0.0))}
    for index, name in enumerate(names, 1):
        table[index] = (name, (*colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.65, 0.9), 1.0))
    return table
