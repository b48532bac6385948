"""Maps of a release: NIfTI for volumes, GIFTI and CIFTI for surfaces, with sidecars as BIDS derivatives have them."""

import colorsys
import hashlib
import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis, ScalarAxis
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiLabel, GiftiLabelTable, GiftiMetaData
from numpy.typing import NDArray

from ...schemas.spaces import MESHES
from ..search.atlas import Volume

_SPACES: dict[str | tuple[int, int], str] = {
    (32492, 32492): "_space-fsLR_den-32k",
    (163842, 163842): "_space-fsaverage_den-164k",
    "fsaverage5": "_space-fsaverage_den-10k",
    "fsaverage6": "_space-fsaverage_den-41k",
}
"""Vertices of both hemispheres, or the surface's name where others may have as many → how BIDS calls the surface."""


_UNPLACED = "voxel indices; where the volume lies in mm is not known, so the header's sform and qform codes are 0"


@dataclass(frozen=True, eq=False)
class VoxelMap:
    """One number, or one word, per voxel."""

    name: str
    """BIDS entities: stat-r2, or desc-cake_stat-similarity."""
    title: str
    voxels: NDArray[np.int32]
    values: NDArray[np.float32] | NDArray[np.int32]
    """(n,): numbers, NaN where there is none; or which of the words, from 1."""
    sidecar: Mapping[str, object]
    words: Sequence[str] = ()
    """None where the values are numbers."""

    @property
    def full_name(self) -> str:
        """The BIDS entities and what BIDS calls such a map."""
        return f"{self.name}_{'dseg' if self.words else 'statmap'}"


def entity(text: str) -> str:
    """A text as a BIDS label, which has letters and digits only; what is lost is stood for by a hash."""
    plain = re.sub(r"[^A-Za-z0-9]", "", text)
    return plain if plain == text else f"{plain}{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def subject_entity(subject_id: str) -> str:
    """A subject's BIDS name, for example sub-nsdsubj05."""
    return "sub-" + re.sub(r"[^A-Za-z0-9]", "", subject_id)


class Placement(NamedTuple):
    """Where the voxels of a volume lie."""

    affine: NDArray[np.float64]
    """(4, 4), from voxel indices (x, y, z) to mm."""
    code: int
    """NIfTI's code of the space that it leads to."""
    reference: str
    """The space, for people."""


Carry = Callable[[NDArray[Any]], NDArray[Any]]
"""From values of a volume's cells, (n_cells,), to those of fsaverage's vertices, (2, n); none: NaN, or integer 0."""


def write_maps(
    folder: Path,
    prefix: str,
    volume: Volume,
    maps: Sequence[VoxelMap],
    placement: Placement | None,
    to_fsaverage: Carry | None = None,
) -> None:
    """Write the maps of one model.

    Args:
        folder: where they go.
        prefix: what all file names begin with, for example sub-nsdsubj05_model-cliprn503f2a91.
        volume: where the subject's voxels are.
        maps: maps of numbers and of words.
        placement: where the volume lies; None where it is not known. Surfaces have none.
        to_fsaverage: carries maps of a volume there, to be written as well; None where that is not asked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if volume.subject["space"] == "volume":
        for each in maps:
            stem = f"{prefix}_{each.full_name}"
            nib.save(nifti_image(volume, each, placement), folder / f"{stem}.nii.gz")
            _write_sidecars(folder / stem, each, placement.reference if placement else _UNPLACED)
            if to_fsaverage:
                halves = to_fsaverage(spread(volume, each))
                coarse = halves.shape[1] == MESHES["fsaverage5"]
                space = _SPACES.get("fsaverage5" if coarse else (halves.shape[1],) * 2, "_space-fsaverage")
                _write_pair(folder, prefix + space, each, halves, "vertices of fsaverage")
        return
    n_left, n_right = volume.shape
    prefix += _SPACES.get(volume.subject["surface"] or "", _SPACES.get((n_left, n_right), "_space-individual"))
    for each in maps:
        _write_pair(folder, prefix, each, np.split(spread(volume, each), [n_left]), "vertices")
    for words in (False, True):
        if of_kind := [each for each in maps if bool(each.words) == words]:
            _write_cifti(folder / prefix, volume, of_kind)


def spread(volume: Volume, each: VoxelMap) -> NDArray[Any]:
    """Values at all cells of the volume or surface; NaN, or 0 for words, where the map has none."""
    cells = np.full(volume.n_cells, 0 if each.words else np.nan, each.values.dtype)
    cells[volume.cells[np.searchsorted(volume.voxels, each.voxels)]] = each.values
    return cells


def _write_pair(folder: Path, prefix: str, each: VoxelMap, halves: Iterable[NDArray[Any]], reference: str) -> None:
    for side, cells in zip("LR", halves, strict=True):
        # An entity of BIDS's order: hemi stands before space.
        name = prefix.replace("_space-", f"_hemi-{side}_space-", 1)
        _write_gifti(folder / f"{name}_{each.full_name}", side, cells, each)
    _write_sidecars(folder / f"{prefix}_{each.full_name}", each, reference)


def nifti_image(volume: Volume, each: VoxelMap, placement: Placement | None) -> nib.Nifti1Image:
    """A map of a volume as NIfTI, (x, y, z); without a placement its sform and qform codes are 0."""
    # The atlas's volumes are (z, y, x), as pycortex orders them; NIfTI's are (x, y, z).
    values = spread(volume, each).reshape(volume.shape).T
    image = nib.Nifti1Image(values, placement.affine if placement else None)
    if placement:
        image.set_sform(placement.affine, code=placement.code)
        image.set_qform(None, code="unknown")
    image.header["descrip"] = each.title.encode("ascii", "replace")[:79]
    return image


def _write_sidecars(stem: Path, each: VoxelMap, reference: str) -> None:
    about = {"Description": each.title, **each.sidecar, "SpatialReference": reference}
    Path(f"{stem}.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if each.words:
        rows = "".join(f"{index}\t{name}\n" for index, name in enumerate(each.words, 1))
        Path(f"{stem}.tsv").write_text("index\tname\n" + rows, encoding="utf-8")


def _write_gifti(stem: Path, side: str, cells: NDArray[Any], each: VoxelMap) -> None:
    nib.save(gifti_image(side, cells, each), f"{stem}.{'label' if each.words else 'shape'}.gii")


def gifti_image(side: str, cells: NDArray[Any], each: VoxelMap) -> GiftiImage:
    """A map of one hemisphere as GIFTI.

    Args:
        side: L or R.
        cells: a value for each vertex.
        each: what they are.
    """
    kind, code = ("label", "INT32") if each.words else ("shape", "FLOAT32")
    array = GiftiDataArray(cells, f"NIFTI_INTENT_{kind.upper()}", f"NIFTI_TYPE_{code}", meta={"Name": each.title})
    table = GiftiLabelTable()
    for key, (name, colour) in _label_table(each.words).items() if each.words else ():
        label = GiftiLabel(key, *colour)
        label.label = name
        table.labels.append(label)
    meta = GiftiMetaData({"AnatomicalStructurePrimary": {"L": "CortexLeft", "R": "CortexRight"}[side]})
    return GiftiImage(darrays=[array], labeltable=table, meta=meta)


def _write_cifti(stem: Path, volume: Volume, maps: Sequence[VoxelMap]) -> None:
    """One file for all maps of numbers, or for all of words."""
    n_left, n_right = volume.shape
    cells = np.sort(volume.cells)
    sides = [("LEFT", cells[cells < n_left], n_left), ("RIGHT", cells[cells >= n_left] - n_left, n_right)]
    places = reduce(
        operator.add,
        (
            BrainModelAxis.from_surface(vertices, n_vertices, name=f"CIFTI_STRUCTURE_CORTEX_{side}")
            for side, vertices, n_vertices in sides
            if len(vertices)
        ),
    )
    titles = [each.title for each in maps]
    if maps[0].words:
        axis = LabelAxis(titles, [_label_table(each.words) for each in maps])
        ending, intent = "dseg.dlabel", "NIFTI_INTENT_CONNECTIVITY_DENSE_LABELS"
    else:
        axis = ScalarAxis(titles)
        ending, intent = "statmap.dscalar", "NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS"
    rows = np.stack([spread(volume, each)[cells] for each in maps])
    image = Cifti2Image(rows, header=(axis, places), dtype=rows.dtype)
    image.nifti_header.set_intent(intent)
    nib.save(image, f"{stem}_{ending}.nii")


def _label_table(words: Sequence[str]) -> dict[int, tuple[str, tuple[float, float, float, float]]]:
    """Index → name and colour; turns of the golden angle keep neighbours apart."""
    table = {0: ("???", (0.0, 0.0, 0.0, 0.0))}
    for index, name in enumerate(words, 1):
        table[index] = (name, (*colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.65, 0.9), 1.0))
    return table
