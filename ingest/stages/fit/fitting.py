"""What every fit of a batch of voxels takes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ....atlas.backbones.interface import Floats
from ...encoding.split import Indices, split_by
from ..context import BatchContext


@dataclass(frozen=True)
class Fitting:
    """Images to fit on. Decompositions of them take seconds: they are made where the first batch is."""

    context: BatchContext
    features: Floats
    """Of all images, (n_stimuli, dim)."""

    @cached_property
    def split(self) -> tuple[Indices, Indices]:
        """Training and test images."""
        return split_by(self.context.config, len(self.features))

    def responses(self, voxels: NDArray[np.int32]) -> Floats:
        """Responses to all images, (n_stimuli, n_voxels)."""
        return self.context.dataset.responses_of(voxels.astype(np.intp))
