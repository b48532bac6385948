"""Maps of one NSD subject: ROI labels, localiser t values and the noise ceiling, at the subject's voxels."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ....schemas.errors import BadInputError, NotFoundError
from ..trials import Floats
from ..vertices import Surface, freesurfer_values
from ..volumes import Volume

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


class Maps(Protocol):
    """Where a subject's maps are, and which voxels they are read at."""

    @property
    def cells(self) -> Volume | Surface:
        """The subject's voxels."""
        ...

    def label_files(self) -> list[str]:
        """Names of the label maps that are there and whose labels have names."""
        ...

    def labels(self, name: str) -> Floats:
        """Values of a label map, (n_voxels,): > 0 a label, 0 none, -1 (in volumes) not cortex."""
        ...

    def ctab(self, name: str) -> Path:
        """File with the names of a label map's labels."""
        ...

    def localiser(self, category: str) -> Floats | None:
        """Localiser t of a category, (n_voxels,); None where the map is not there."""
        ...

    def ncsnr(self) -> Floats | None:
        """Signal's standard deviation in units of noise's, (n_voxels,); None where the map is not there."""
        ...


class VolumeMaps:
    """Maps of a volume space: ppdata/subj0s/<space>/roi/*.nii.gz; see `Maps`."""

    def __init__(self, root: Path, subject: int, space: str, betas: Path, shape: tuple[int, ...]) -> None:
        self._betas = betas
        self._folder = root / f"nsddata/ppdata/subj{subject:02d}/{space}"
        self._labels = root / f"nsddata/freesurfer/subj{subject:02d}/label"
        if len(shape) != 3:
            raise BadInputError(f"{self._folder}: the betas have shape {shape}, and those of {space} are volumes.")
        self._roi = self._folder / "roi"
        self.cells = self._cortex((shape[0], shape[1], shape[2]))

    def label_files(self) -> list[str]:
        return [name for name in self._named("") if not name.startswith(_SIDES)]

    def _named(self, prefix: str) -> list[str]:
        """Names of label volumes that begin so; MTL and thalamus are no cortex, and their labels have no names."""
        names = sorted(p.name.removesuffix(".nii.gz") for p in self._roi.glob(f"{prefix}*.nii.gz"))
        plain = {name: name.removeprefix("lh.").removeprefix("rh.") for name in names}
        return [name for name in names if plain[name] in NAMES or self.ctab(plain[name]).exists()]

    def labels(self, name: str) -> Floats:
        return self.cells.values(self._roi / f"{name}.nii.gz")

    def localiser(self, category: str) -> Floats | None:
        path = self._folder / f"floc_{category}tval.nii.gz"
        return self.cells.values(path) if path.exists() else None

    def ctab(self, name: str) -> Path:
        return self._labels / f"{name}.mgz.ctab"

    def ncsnr(self) -> Floats | None:
        path = self._betas / "ncsnr.nii.gz"
        return self.cells.values(path) if path.exists() else None

    def _cortex(self, shape: tuple[int, int, int]) -> Volume:
        """Voxels that any label volume says are cortex (not −1); lh.* and rh.* volumes tell the hemisphere."""
        everything = Volume(shape, np.arange(int(np.prod(shape))))

        def cortex(names: list[str]) -> NDArray[np.bool_]:
            inside = np.zeros(len(everything), np.bool_)
            for name in names:
                inside |= everything.values(self._roi / f"{name}.nii.gz") >= 0
            return inside

        left, right = cortex(self._named("lh.")), cortex(self._named("rh."))
        linear = np.flatnonzero(cortex(self.label_files()) | left | right)
        if len(linear) == 0:
            raise NotFoundError(
                f"{self._roi}: no ROI volume says which voxels are cortex; download roi/*.nii.gz from NSD."
            )
        side = np.select([left & ~right, right & ~left], ["left", "right"], "")[linear]
        return Volume(shape, linear, side)


class SurfaceMaps:
    """Maps of a surface space: freesurfer/<subject or fsaverage>/label/{lh,rh}.*.mgz; see `Maps`."""

    def __init__(self, root: Path, subject: int, space: str, betas: Path, shape: tuple[int, ...]) -> None:
        self._betas = betas
        owner = "fsaverage" if space == "fsaverage" else f"subj{subject:02d}"
        self._folder = root / f"nsddata/freesurfer/{owner}/label"
        if len(shape) != 2:
            raise BadInputError(f"{self._folder}: the betas have shape {shape}, and those of {space} are two surfaces.")
        self.cells = Surface.whole((shape[0], shape[1]))

    def label_files(self) -> list[str]:
        names = sorted(path.name[3:].removesuffix(".mgz") for path in self._folder.glob("lh.*.mgz"))
        return [name for name in names if name in NAMES or self.ctab(name).exists()]

    def labels(self, name: str) -> Floats:
        return freesurfer_values(self.cells, self._folder, f"{name}.mgz")

    def localiser(self, category: str) -> Floats | None:
        name = f"floc{category}tval.mgz"
        return freesurfer_values(self.cells, self._folder, name) if (self._folder / f"lh.{name}").exists() else None

    def ctab(self, name: str) -> Path:
        return self._folder / f"{name}.mgz.ctab"

    def ncsnr(self) -> Floats | None:
        there = (self._betas / "lh.ncsnr.mgh").exists()
        return freesurfer_values(self.cells, self._betas, "ncsnr.mgh") if there else None
