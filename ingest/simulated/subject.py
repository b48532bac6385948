"""A simulated subject: real pictures, a real cortex, and responses that were computed from what is in the pictures.

It says so everywhere it shows (`subject.simulated`). What its voxels were tuned to is in `planting()`, which an ingest
never reads and an evaluation does.
"""

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..datasets.interface import Subject
from ..progress import Progress
from .planting import CONCEPTS, EARLY, PATCHES, PREFERRED, Regions, choose_voxels, patch_contrast, plant, shown
from .scenes.categories import CATEGORY_OF
from .scenes.scene_set import read_image, scene_set

N_SCENES = 2000
"""Pictures that a simulated subject sees: 1,500 to fit and 500 to test."""
N_VOXELS = 5400
_VERSION = 2
"""Raised when the same seed would give other responses."""


class Simulated:
    """See ingest.datasets.interface.Dataset."""

    def __init__(
        self,
        home: Path,
        regions: Regions,
        *,
        subject: str = "S1",
        seed: int = 0,
        n_scenes: int = N_SCENES,
        n_voxels: int = N_VOXELS,
        progress: Progress | None = None,
    ) -> None:
        """A subject on the given cortex.

        Args:
            home: the atlas's home folder, where the scenes are kept.
            regions: mask, ROIs and surface of the cortex.
            subject: the subject's name; together with `seed` it decides tuning and noise.
            seed: another seed is another subject on the same cortex and scenes.
            n_scenes: pictures that the subject sees.
            n_voxels: at least so many voxels, where the mask has them.
            progress: told how the scenes are coming along.
        """
        self._scenes = scene_set(home, "B", n_scenes, 0, progress)
        self._chosen = choose_voxels(regions, n_voxels)
        self._seed = int.from_bytes(hashlib.sha256(f"{subject}/{seed}".encode()).digest()[:8], "big")
        self._planting = plant(self._chosen, np.random.default_rng([self._seed, 0]))
        shape = regions.mask.shape
        self.subject = Subject(
            f"simulated/{subject}",
            "simulated",
            True,
            "volume",
            regions.surface,
            regions.transform,
            (shape[0], shape[1], shape[2]),
            f"Simulated: responses computed from what is in pictures, on pycortex's {regions.surface}.",
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
        self.voxels = self._voxels(shape)
        self.rois, self.voxel_rois = self._rois()

    def image(self, index: int) -> NDArray[np.uint8]:
        """See Dataset."""
        return self._scenes[index].image()

    def responses_of(self, voxels: NDArray[np.intp]) -> NDArray[np.float32]:
        """See Dataset."""
        return self._responses[:, voxels]

    def noise_free_of(self, voxels: NDArray[np.intp]) -> NDArray[np.float64]:
        """What voxels would answer without noise, z-scored over the pictures, (n_stimuli, n_voxels)."""
        return self._noise_free[:, voxels]

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
    def _noise_free(self) -> NDArray[np.float64]:
        contents = np.zeros((len(self._scenes), len(CONCEPTS)))
        for row, scene in zip(contents, self._scenes, strict=True):
            for thing in scene.things:
                if amount := shown(thing.concept, thing.area):
                    row[CONCEPTS.index(thing.concept)] += amount
        contrast = np.stack([patch_contrast(read_image(scene.path)) for scene in self._scenes])
        return self._planting.noise_free(contents, contrast)

    @cached_property
    def _responses(self) -> NDArray[np.float32]:
        return self._planting.measured(self._noise_free, np.random.default_rng([self._seed, 1]))

    def _voxels(self, shape: tuple[int, ...]) -> pl.DataFrame:
        k, j, i = np.unravel_index(self._chosen.cells, shape)
        n = len(self._chosen.cells)
        return pl.DataFrame(
            {
                "voxel": np.arange(n, dtype=np.int32),
                "i": i.astype(np.int32),
                "j": j.astype(np.int32),
                "k": k.astype(np.int32),
                "hemisphere": pl.Series([None] * n, dtype=pl.String),
                "vertex": pl.Series([None] * n, dtype=pl.Int32),
                "noise_ceiling": self._planting.ceiling.astype(np.float32),
            }
        )

    def _rois(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        def about(roi: str) -> tuple[str, str, str]:
            if roi in PATCHES:
                return roi, "simulated", f"Simulated patch of cortex beside FFA, tuned to {PREFERRED[roi]}s."
            tuned = "contrast" if roi in EARLY else f"{PREFERRED[roi]}s"
            return roi, "drawn", f"Drawn on pycortex's S1; its simulated voxels are tuned to {tuned}."

        rois = pl.DataFrame([about(roi) for roi in self._chosen.rois], ["roi", "source", "description"], orient="row")
        voxel_rois = pl.concat(
            pl.DataFrame({"voxel": voxels, "roi": roi, "t": pl.Series([None] * len(voxels), dtype=pl.Float32)})
            for roi, voxels in self._chosen.rois.items()
            if len(voxels)
        )
        return rois, voxel_rois
