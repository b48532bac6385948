"""Maps of one NSD subject: ROI labels, localiser t values and the noise ceiling, at the subject's voxels."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....schemas.errors import BadInputError, NotFoundError
from ..trials import Floats
from ..vertices import SurfaceVertices
from ..volumes import VolumeVoxels, not_all_nan

_SIDES = ("lh.", "rh.")
NAMES: dict[str, tuple[str, ...]] = {
    "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "floc-bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "floc-places": ("OPA", "PPA", "RSC"),
    "floc-words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
    "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
    "streams": ("early", "midventral", "midlateral", "midparietal", "ventral", "lateral", "parietal"),
    "nsdgeneral": ("nsdgeneral",),
}
"""Names of labels 1, 2 … in the manual, for a label file whose .ctab is not there."""

_CTAB_LINE = re.compile(r"\s*(?P<label>\d+)\s+(?P<name>\S.*?)((\s+\d+){3,4})?\s*")
"""A name may have spaces; three or four numbers after it are its colour."""


@dataclass(frozen=True)
class MapFiles:
    """Where a subject's maps are.

    A volume space has ppdata/subj0S/<space>/roi/*.nii.gz, a surface space freesurfer/<owner>/label/{lh,rh}.*.mgz. Names
    of labels are in freesurfer/<owner>/label, or in fsaverage's where the subject has none.
    """

    root: Path
    """Folder of the data set."""
    subject: int
    """1 … 8."""
    space: str
    """One of SPACES."""

    @property
    def is_volume(self) -> bool:
        """Whether the maps are volumes."""
        return self.space.startswith("func")

    @property
    def _owner(self) -> str:
        return "fsaverage" if self.space == "fsaverage" else f"subj{self.subject:02d}"

    def _label_folder(self, owner: str) -> Path:
        return self.root / f"nsddata/freesurfer/{owner}/label"

    @property
    def _maps(self) -> Path:
        volumes = self.root / f"nsddata/ppdata/subj{self.subject:02d}/{self.space}"
        return volumes if self.is_volume else self._label_folder(self._owner)

    @property
    def labels(self) -> Path:
        """Folder of the label maps."""
        return self._maps / "roi" if self.is_volume else self._maps

    def named(self, prefix: str) -> list[str]:
        """Names of label maps that begin so; MTL and thalamus are no cortex, and their labels have no names."""
        suffix = ".nii.gz" if self.is_volume else ".mgz"
        names = sorted(path.name.removesuffix(suffix) for path in self.labels.glob(f"{prefix}*{suffix}"))
        plain = {name: name.removeprefix("lh.").removeprefix("rh.") for name in names}
        return [name for name in names if plain[name] in NAMES or self.ctab(plain[name]).exists()]

    def label_files(self) -> list[str]:
        """Names of the label maps that are there and whose labels have names."""
        if self.is_volume:
            return [name for name in self.named("") if not name.startswith(_SIDES)]
        return [name.removeprefix("lh.") for name in self.named("lh.")]

    def label(self, name: str) -> Path:
        """A label map; on a surface the left hemisphere's."""
        return self.labels / (f"{name}.nii.gz" if self.is_volume else f"lh.{name}.mgz")

    def ctab(self, name: str) -> Path:
        """File with the names of a label map's labels: the subject's own, or fsaverage's where that alone is there."""
        own, average = (self._label_folder(owner) / f"{name}.mgz.ctab" for owner in (self._owner, "fsaverage"))
        return average if average.exists() and not own.exists() else own

    def localiser(self, category: str) -> Path:
        """Localiser t map of a category; on a surface the left hemisphere's."""
        return self._maps / (f"floc_{category}tval.nii.gz" if self.is_volume else f"lh.floc{category}tval.mgz")


class SubjectMaps:
    """A subject's maps at the subject's voxels.

    Args:
        files: where they are.
        betas: folder of the betas.
        shape: (z, y, x), or the numbers of vertices.

    Raises:
        BadInputError: the shape is none of this space.
        NotFoundError: nothing says which voxels of a volume are cortex.
    """

    def __init__(self, files: MapFiles, betas: Path, shape: tuple[int, ...]) -> None:
        self.files = files
        if len(shape) != (3 if files.is_volume else 2):
            kind = "volumes" if files.is_volume else "two surfaces"
            raise BadInputError(f"{betas}: the betas have shape {shape}, and those of {files.space} are {kind}.")
        self._ncsnr = betas / ("ncsnr.nii.gz" if files.is_volume else "lh.ncsnr.mgh")
        self.cells: VolumeVoxels | SurfaceVertices = (
            self._cortex(shape) if files.is_volume else SurfaceVertices.whole((shape[0], shape[1]))
        )

    def label_files(self) -> list[str]:
        """See `LabelMaps`."""
        return self.files.label_files()

    def names(self, name: str, used: set[int]) -> dict[int, str]:
        """See `LabelMaps`: from "number name [colours]" a line, or from the manual."""
        ctab = self.files.ctab(name)
        if ctab.exists():
            encoded = ctab.read_bytes()
            try:
                text = encoded.decode("utf-8-sig")
            except UnicodeDecodeError:
                text = encoded.decode("latin-1")
            rows = (_CTAB_LINE.fullmatch(line) for line in text.splitlines())
            names = {int(row["label"]): row["name"] for row in rows if row}
        else:
            names = dict(enumerate(NAMES.get(name, ()), start=1))
        if unknown := used - set(names):
            raise BadInputError(
                f"{ctab}: label {min(unknown)} of {name} has no name there; download the file from NSD."
            )
        return names

    def labels(self, name: str) -> Floats:
        """Values of a label map, (n_voxels,): > 0 a label, 0 none, -1 (in volumes) not cortex."""
        return self.cells.values(self.files.label(name))

    def localiser(self, category: str) -> Floats | None:
        """Localiser t of a category, (n_voxels,); None where the map is not there.

        Raises:
            BadInputError: it is NaN at every voxel.
        """
        path = self.files.localiser(category)
        return not_all_nan(self.cells.values(path), path) if path.exists() else None

    def ncsnr(self) -> Floats | None:
        """Signal's standard deviation in units of noise's, (n_voxels,); None where the map is not there."""
        return self.cells.values(self._ncsnr) if self._ncsnr.exists() else None

    def _cortex(self, shape: tuple[int, ...]) -> VolumeVoxels:
        """Voxels that any label volume says are cortex (not −1); lh.* and rh.* volumes tell the hemisphere."""
        everything = VolumeVoxels.whole((shape[0], shape[1], shape[2]))

        def cortex(names: list[str]) -> NDArray[np.bool_]:
            inside = np.zeros(len(everything), np.bool_)
            for name in names:
                inside |= everything.values(self.files.label(name)) >= 0
            return inside

        left, right = cortex(self.files.named("lh.")), cortex(self.files.named("rh."))
        linear = np.flatnonzero(cortex(self.files.label_files()) | left | right)
        if len(linear) == 0:
            raise NotFoundError(
                f"{self.files.labels}: no ROI volume says which voxels are cortex; download roi/*.nii.gz from NSD."
            )
        side = np.select([left & ~right, right & ~left], ["left", "right"], "")[linear]
        return VolumeVoxels(everything.shape, linear, side)
