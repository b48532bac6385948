"""A simulated subject: real pictures, a real cortex, and responses that were computed from what is in the pictures.

It says so everywhere it shows (`subject.simulated`). What its voxels were tuned to is in `planting()`, which an ingest
never reads and an evaluation does.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.config import IngestConfig
from ...schemas.errors import NotFoundError
from ...schemas.files import write_atomically
from ..datasets.interface import Item, Subject
from ..datasets.rois import Region, region_frames
from ..datasets.volumes import VolumeVoxels
from ..progress import Progress
from .planting import CONCEPTS, EARLY, PATCHES, PREFERRED, Cortex, choose_voxels, patch_contrast, plant, shown
from .scenes.categories import CATEGORY_OF
from .scenes.scene_set import SavedScene, is_made, read_image, scene_set

N_SCENES = 2000
"""Pictures that a simulated subject sees: 1,500 to fit and 500 to test."""
N_VOXELS = 5400
WORLD = Path("simulated/world.npz")
"""What the simulated subjects of a home folder share; written by the demo, which has a cortex to draw on."""
_VERSION = 3
"""Raised when the same seed would give other responses."""


class Simulated:
    """See ingest.datasets.interface.Dataset."""

    def __init__(
        self,
        home: Path,
        cortex: Cortex,
        *,
        subject: str = "S1",
        seed: int = 0,
        n_scenes: int = N_SCENES,
        n_voxels: int = N_VOXELS,
        scenes: list[SavedScene] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """A subject on the given cortex.

        Args:
            home: the atlas's home folder, where the scenes are kept.
            cortex: where the voxels are.
            subject: the subject's name; together with `seed` it decides tuning and noise.
            seed: another seed is another subject on the same cortex and scenes.
            n_scenes: pictures that the subject sees.
            n_voxels: at least so many voxels, where the mask has them.
            scenes: the pictures, where they are not to be the demo's.
            progress: told how the scenes are coming along.
        """
        self._scenes = scenes or scene_set(home, "B", n_scenes, 0, progress)
        self._chosen = choose_voxels(cortex, n_voxels)
        self._seed = int.from_bytes(hashlib.sha256(f"{subject}/{seed}".encode()).digest()[:8], "big")
        self._planting = plant(self._chosen, np.random.default_rng([self._seed, 0]))
        cells = VolumeVoxels(cortex.shape, self._chosen.cells)
        self.subject = Subject(
            f"simulated/{subject}",
            "simulated",
            True,
            "volume",
            cortex.surface,
            cortex.transform,
            cells.shape,
            f"Simulated: responses computed from what is in pictures, on pycortex's {cortex.surface}.",
        )
        digest = hashlib.sha256(f"{_VERSION} {self._seed} {len(self._chosen.cells)}".encode())
        for scene in self._scenes:
            digest.update(scene.sha256.encode())
        self.fingerprint = digest.hexdigest()
        self.stimuli = pl.DataFrame(
            {
                "stimulus_id": [f"simulated/{scene.sha256[:12]}" for scene in self._scenes],
                "dataset": "simulated",
                "uri": [str(scene.path) for scene in self._scenes],
                "sha256": [scene.sha256 for scene in self._scenes],
            }
        )
        self.n_repeats = np.ones(len(self._scenes), np.int64)
        self.voxels = cells.frame(self._planting.ceiling.astype(np.float32))
        self.rois, self.voxel_rois = region_frames([self._region(roi) for roi in self._chosen.rois])

    @classmethod
    def open(cls, config: IngestConfig, home: Path) -> "Simulated":
        """See `DatasetClass`: a subject of the demo's, on the cortex and the scenes that the demo has left in `home`.

        Raises:
            NotFoundError: it has left none.
        """
        cortex, n_scenes, n_voxels = load_world(home)
        if not is_made(home, "B", n_scenes, 0):
            raise NotFoundError(
                f"The pictures of simulated/{config.subject} are not on this machine; run `voxel-atlas demo` here."
            )
        return cls(home, cortex, subject=config.subject, n_scenes=n_scenes, n_voxels=n_voxels)

    @staticmethod
    def files(config: IngestConfig) -> Iterable[Item]:  # noqa: ARG004 - the demo's files are its own business
        """See `DatasetClass`."""
        return ()

    def image(self, index: int) -> NDArray[np.uint8]:
        """See Dataset."""
        return self._scenes[index].image()

    def responses_of(self, voxels: NDArray[np.intp]) -> NDArray[np.float32]:
        """See Dataset."""
        return self._responses[:, voxels]

    def planting(self) -> pl.DataFrame:
        """Rows of the `planting` table: subject_id, voxel, concept, category, weight."""
        return self._planting.table().select(pl.lit(self.subject.subject_id).alias("subject_id"), pl.all())

    def contents(self) -> pl.DataFrame:
        """What the pictures show that voxels can be tuned to: stimulus_id, category; a row for each that one shows."""
        rows = {
            (stimulus_id, CATEGORY_OF[thing.concept])
            for stimulus_id, scene in zip(self.stimuli["stimulus_id"], self._scenes, strict=True)
            for thing in scene.things
            if shown(thing.concept, thing.area)
        }
        return pl.DataFrame(sorted(rows), {"stimulus_id": pl.String, "category": pl.String}, orient="row")

    @cached_property
    def noise_free(self) -> NDArray[np.float64]:
        """What voxels would answer without noise, z-scored over the pictures, (n_stimuli, n_voxels)."""
        contents = np.zeros((len(self._scenes), len(CONCEPTS)))
        for row, scene in zip(contents, self._scenes, strict=True):
            for thing in scene.things:
                if amount := shown(thing.concept, thing.area):
                    row[CONCEPTS.index(thing.concept)] += amount
        contrast = np.stack([patch_contrast(read_image(scene.path)) for scene in self._scenes])
        return self._planting.noise_free(contents, contrast)

    @cached_property
    def _responses(self) -> NDArray[np.float32]:
        return self._planting.measured(self.noise_free, np.random.default_rng([self._seed, 1]))

    def _region(self, roi: str) -> Region:
        inside = np.zeros(len(self._chosen.cells), np.bool_)
        inside[self._chosen.rois[roi]] = True
        if roi in PATCHES:
            described = f"Simulated patch of cortex beside FFA, tuned to {PREFERRED[roi]}s."
            return Region(roi, "simulated", described, inside)
        tuned = "contrast" if roi in EARLY else f"{PREFERRED[roi]}s"
        return Region(roi, "drawn", f"Drawn on pycortex's S1; its simulated voxels are tuned to {tuned}.", inside)


def save_world(home: Path, cortex: Cortex, n_scenes: int = N_SCENES, n_voxels: int = N_VOXELS) -> None:
    """Keep what all simulated subjects of a home folder share, for `Simulated.open`."""
    about = json.dumps([cortex.surface, cortex.transform, list(cortex.rois), n_scenes, n_voxels])
    volumes = np.stack([cortex.mask, *cortex.rois.values()])
    write_atomically(home / WORLD, partial(np.savez_compressed, about=np.array(about), volumes=volumes))


def load_world(home: Path) -> tuple[Cortex, int, int]:
    """The cortex of a home folder's simulated subjects, how many scenes they see, and how many voxels they have.

    Raises:
        NotFoundError: there are none.
    """
    if not (home / WORLD).exists():
        raise NotFoundError(f"{home / WORLD}: there is no simulated cortex here; run `voxel-atlas demo`.")
    with np.load(home / WORLD) as file:
        surface, transform, names, n_scenes, n_voxels = json.loads(str(file["about"]))
        mask, *rois = file["volumes"]
    return Cortex(mask, dict(zip(names, rois, strict=True)), surface, transform), n_scenes, n_voxels
