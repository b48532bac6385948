"""What every fit of a batch of voxels takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....atlas.backbones.interface import Floats
from ...encoding.split import Indices
from ..context import BatchContext


@dataclass(frozen=True)
class Fitting:
    """Images to fit on. Decompositions of them take seconds: they are made where the first batch is."""

    context: BatchContext
    features: Floats
    """Of all images, (n_stimuli, dim)."""

    @property
    def split(self) -> tuple[Indices, Indices]:
        """Training and test images."""
        return self.context.split

    def responses(self, voxels: NDArray[np.int32]) -> Floats:
        """Responses to all images, (n_stimuli, n_voxels)."""
        return self.context.dataset.responses_of(voxels.astype(np.intp))
