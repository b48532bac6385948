"""Where the files of LAION-fMRI are, by the names that they had before 2026-05 and by those that they have now."""

from dataclasses import dataclass
from pathlib import Path

from ....schemas.errors import NotFoundError
from ..interface import subject_number

SUBJECTS = (1, 3, 5, 6, 7)
STIMULI = Path("stimuli/task-images_stimuli.h5")
METADATA = Path("stimuli/task-images_metadata.csv")
_BETAS = (
    "{subject}_{session}_task-images_space-T1w_stat-effect_desc-SingletrialBetas_statmap.nii.gz",
    "{subject}_{session}_task-images_desc-singletrial_stat-effect_statmap.nii.gz",
)
_TRIALS = (
    "{subject}_{session}_task-images_desc-SingletrialBetas_trials.tsv",
    "{subject}_{session}_task-images_desc-GLMsingle_events.tsv",
)
_MASKS = (
    "{subject}_task-images_space-T1w_desc-meanR2gt15mask_mask.nii.gz",
    "{subject}_task-images_space-T1w_stat-rsquare_desc-R2mean_statmap.nii.gz",
)
"""Greater than 0 where a voxel was modelled: the second is the mean R², which later releases have instead of a mask."""
_SHOWN_12, _SHOWN_4 = 881, 5323
"""Images that a subject sees twelve and four times."""
_CEILINGS = {
    "NoiseceilingAllrep": (_SHOWN_12 / 12 + _SHOWN_4 / 4) / (_SHOWN_12 + _SHOWN_4),
    "Noiseceiling12rep": 1 / 12,
    "Noiseceiling4rep": 1 / 4,
}
"""Map over all sessions → mean of 1/repeats over the images that it was told for."""
LOCALISERS = {
    "face": ("4BarScreenfLoc", "floc", "faceVsOthers"),
    "body": ("4BarScreenfLoc", "floc", "bodyVsOthers"),
    "place": ("4BarScreenfLoc", "floc", "placeVsOthers"),
    "character": ("4BarScreenfLoc", "floc", "characterVsOthers"),
    "object": ("31", "oloc", "objectVsScrambled"),
}
"""Category → session, task and contrast of the z map that its regions were drawn by (the data set's manual, ROIs)."""


@dataclass(frozen=True)
class SessionFiles:
    """The files of one session, also where they are missing."""

    name: str
    """ses-01 …"""
    betas: Path
    """(x, y, z, trials)"""
    trials: Path
    """session, run, beta_index, label: a row for each trial."""

    def missing(self) -> list[Path]:
        """Those that are not there."""
        return [path for path in (self.betas, self.trials) if not path.exists()]


@dataclass(frozen=True)
class SubjectFiles:
    """The files of one subject."""

    root: Path
    """Folder of the data set."""
    name: str
    """sub-01 …"""

    @classmethod
    def of(cls, root: Path, subject: str) -> "SubjectFiles":
        """The files of subject 1, 01 or sub-01.

        Raises:
            NotFoundError: the data set has no such subject.
        """
        return cls(root, f"sub-{subject_number(subject, 'sub-', SUBJECTS, 'LAION-fMRI'):02d}")

    @property
    def folder(self) -> Path:
        """Folder of what GLMsingle made."""
        return self.root / "derivatives/glmsingle-tedana" / self.name

    @property
    def mask(self) -> Path:
        """Greater than 0 where voxels are modelled."""
        return self._first(self.folder, _MASKS)

    def sessions(self, skip: tuple[str, ...]) -> list[SessionFiles]:
        """The sessions that have a folder, but for those to skip (4, 04 or ses-04).

        Raises:
            NotFoundError: there is none, or no such session to skip.
        """
        names = sorted(path.name for path in self.folder.glob("ses-*") if path.is_dir())
        skipped = {f"ses-{session.removeprefix('ses-').zfill(2)}" for session in skip}
        if unknown := skipped - set(names):
            raise NotFoundError(
                f"--skip-session {min(unknown)}: {self.name} has the sessions {', '.join(names) or 'none'}."
            )
        kept = [name for name in names if name not in skipped]
        if not kept:
            raise NotFoundError(
                f"{self.folder}: no session is there; pass the folder that has derivatives/ as --root, or get it by "
                f"`laion-fmri download --subject {self.name}`."
            )
        func = {name: self.folder / name / "func" for name in kept}
        return [
            SessionFiles(name, self._first(folder, _BETAS, name), self._first(folder, _TRIALS, name))
            for name, folder in func.items()
        ]

    def ceiling(self) -> tuple[Path, float] | None:
        """Map of the noise ceiling over all sessions, 0 to 100, and the mean of 1/repeats that it was told for."""
        for desc, mean_inverse in _CEILINGS.items():
            path = self.folder / f"{self.name}_task-images_space-T1w_desc-{desc}_statmap.nii.gz"
            if path.exists():
                return path, mean_inverse
        return None

    def regions(self) -> dict[str, Path]:
        """Name of a region, as the file has it → its mask on the grid of the betas."""
        prefix, ending = f"{self.name}_space-T1w_res-1pt8_label-", "_mask.nii.gz"
        newer = sorted((self.root / "derivatives/rois" / self.name).glob(f"*/{prefix}*{ending}"))
        older = sorted((self.root / "derivatives/atlases" / self.name / "rois").glob("*.nii.gz"))
        found = {path.name.removesuffix(".nii.gz"): path for path in older}
        return found | {path.name.removeprefix(prefix).removesuffix(ending): path for path in newer}

    def localisers(self) -> dict[str, Path]:
        """Category of a localiser → its z map on the grid of the betas, whether it is there or not."""
        folder = self.root / "derivatives/localizers" / self.name
        return {
            category: folder / f"ses-{session}/func/{self.name}_ses-{session}_task-{task}_space-T1w_res-1pt8"
            f"_contrast-{contrast}_stat-z_statmap.nii.gz"
            for category, (session, task, contrast) in LOCALISERS.items()
        }

    def _first(self, folder: Path, names: tuple[str, ...], session: str = "") -> Path:
        """The first of these names that is there, else the one that files have now."""
        paths = [folder / name.format(subject=self.name, session=session) for name in names]
        return next((path for path in paths if path.exists()), paths[0])
