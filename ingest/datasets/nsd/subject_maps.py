"""Maps of one NSD subject: ROI labels, localiser t values and the noise ceiling, at the subject's voxels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....schemas.errors import BadInputError, NotFoundError
from ..trials import Floats
from ..vertices import SurfaceVertices
from ..volumes import VolumeVoxels

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


class SubjectMaps:
    """Where a subject's maps are, and the voxels that they are read at.

    A volume space has ppdata/subj0S/<space>/roi/*.nii.gz, a surface space freesurfer/<owner>/label/{lh,rh}.*.mgz.

    Args:
        root: folder of the data set.
        subject: 1 … 8.
        space: one of SPACES.
        betas: folder of the betas.
        shape: (z, y, x), or the numbers of vertices.

    Raises:
        BadInputError: the shape is none of this space.
        NotFoundError: nothing says which voxels of a volume are cortex.
    """

    def __init__(self, root: Path, subject: int, space: str, betas: Path, shape: tuple[int, ...]) -> None:
        self._volume = space.startswith("func")
        if len(shape) != (3 if self._volume else 2):
            kind = "volumes" if self._volume else "two surfaces"
            raise BadInputError(f"{betas}: the betas have shape {shape}, and those of {space} are {kind}.")
        owner = "fsaverage" if space == "fsaverage" else f"subj{subject:02d}"
        self._names = root / f"nsddata/freesurfer/{owner}/label"
        maps = root / f"nsddata/ppdata/subj{subject:02d}/{space}" if self._volume else self._names
        self._labels = maps / "roi" if self._volume else maps
        self._localiser = str(maps / ("floc_{}tval.nii.gz" if self._volume else "lh.floc{}tval.mgz"))
        self._ncsnr = betas / ("ncsnr.nii.gz" if self._volume else "lh.ncsnr.mgh")
        self.cells: VolumeVoxels | SurfaceVertices = (
            self._cortex(shape) if self._volume else SurfaceVertices.whole((shape[0], shape[1]))
        )

    def label_files(self) -> list[str]:
        """Names of the label maps that are there and whose labels have names."""
        if self._volume:
            return [name for name in self._named("") if not name.startswith(_SIDES)]
        return [name.removeprefix("lh.") for name in self._named("lh.")]

    def _named(self, prefix: str) -> list[str]:
        """Names of label files that begin so; MTL and thalamus are no cortex, and their labels have no names."""
        suffix = ".nii.gz" if self._volume else ".mgz"
        names = sorted(path.name.removesuffix(suffix) for path in self._labels.glob(f"{prefix}*{suffix}"))
        plain = {name: name.removeprefix("lh.").removeprefix("rh.") for name in names}
        return [name for name in names if plain[name] in NAMES or self.ctab(plain[name]).exists()]

    def labels(self, name: str) -> Floats:
        """Values of a label map, (n_voxels,): > 0 a label, 0 none, -1 (in volumes) not cortex."""
        return self.cells.values(self._labels / (f"{name}.nii.gz" if self._volume else f"lh.{name}.mgz"))

    def ctab(self, name: str) -> Path:
        """File with the names of a label map's labels."""
        return self._names / f"{name}.mgz.ctab"

    def localiser(self, category: str) -> Floats | None:
        """Localiser t of a category, (n_voxels,); None where the map is not there."""
        path = Path(self._localiser.format(category))
        return self.cells.values(path) if path.exists() else None

    def ncsnr(self) -> Floats | None:
        """Signal's standard deviation in units of noise's, (n_voxels,); None where the map is not there."""
        return self.cells.values(self._ncsnr) if self._ncsnr.exists() else None

    def _cortex(self, shape: tuple[int, ...]) -> VolumeVoxels:
        """Voxels that any label volume says are cortex (not −1); lh.* and rh.* volumes tell the hemisphere."""
        everything = VolumeVoxels((shape[0], shape[1], shape[2]), np.arange(int(np.prod(shape))))

        def cortex(names: list[str]) -> NDArray[np.bool_]:
            inside = np.zeros(len(everything), np.bool_)
            for name in names:
                inside |= everything.values(self._labels / f"{name}.nii.gz") >= 0
            return inside

        left, right = cortex(self._named("lh.")), cortex(self._named("rh."))
        linear = np.flatnonzero(cortex(self.label_files()) | left | right)
        if len(linear) == 0:
            raise NotFoundError(
                f"{self._labels}: no ROI volume says which voxels are cortex; download roi/*.nii.gz from NSD."
            )
        side = np.select([left & ~right, right & ~left], ["left", "right"], "")[linear]
        return VolumeVoxels(everything.shape, linear, side)
