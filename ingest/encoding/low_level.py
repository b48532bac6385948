"""What contrast, luminance and edges alone explain of a voxel, and what its features predict beyond that.

Early visual cortex answers to where a picture is bright or busy, and a network's features tell that, too: a voxel of V1
can pass every test of prediction without caring what is shown. So the same is asked once more of what low-level
properties leave of features and responses (docs/method.md).

With L the properties and an intercept, X the features and M = I − L·L⁺ of the training images, the features' residuals
are X̃ = M·X. As M is a projection, X̃ᵀM = X̃ᵀ: ridge on residuals takes responses Y as they are, X̃ᵀY, and what L
predicts has to be taken off the test images' responses alone. So a voxel costs one product with the training images.
"""

import hashlib
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ...atlas.backbones.device import resolve_device
from ...atlas.backbones.interface import Floats, Image
from .metrics import Responses
from .split import Indices

SIDE = 128
"""Pictures are looked at in grey, squeezed to so many pixels a side."""
CELLS = 4
"""Luminance and contrast are taken in so many cells a side,"""
GABOR_CELLS = 2
"""and oriented energy in so many."""
WINDOW = 17
"""Contrast is the standard deviation within windows of so many pixels, averaged over a cell."""
ORIENTATIONS = 4
WAVELENGTHS = (4.0, 10.0)
"""Of the Gabor filters, in pixels: 32 and 12.8 cycles a picture."""
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


class LowLevel:
    """How bright, how busy and how oriented the parts of a picture are; made as a network's features are."""

    name = "low-level"
    dim = 2 * CELLS**2 + len(WAVELENGTHS) * ORIENTATIONS * GABOR_CELLS**2

    def __init__(self) -> None:
        self.fingerprint = hashlib.sha256(
            f"low-level 1 {SIDE} {CELLS} {GABOR_CELLS} {WINDOW} {ORIENTATIONS} {WAVELENGTHS}".encode()
        ).hexdigest()
        self._filters = [
            (_gabor(wavelength, angle, 0), _gabor(wavelength, angle, np.pi / 2))
            for wavelength in WAVELENGTHS
            for angle in np.pi * np.arange(ORIENTATIONS) / ORIENTATIONS
        ]

    def features(self, images: Sequence[Image]) -> Floats:
        """Luminance (16), contrast (16) and Gabor energies (32) of pictures of any size, (n_images, 64)."""
        return np.stack([self._of_image(image) for image in images])

    def _of_image(self, image: Image) -> Floats:
        grey = cv2.resize(image.astype(np.float32) @ _GREY / 255, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        variance = cv2.blur(grey * grey, (WINDOW, WINDOW)) - cv2.blur(grey, (WINDOW, WINDOW)) ** 2
        energies = [
            _cell_means(cv2.magnitude(cv2.filter2D(grey, -1, even), cv2.filter2D(grey, -1, odd)), GABOR_CELLS)
            for even, odd in self._filters
        ]
        contrast = np.sqrt(variance.clip(min=0))
        return np.concatenate([_cell_means(grey, CELLS), _cell_means(contrast, CELLS), *energies]).astype(np.float32)


class ControlledRidge:
    """Ridge regression of what low-level properties leave of responses on what they leave of features.

    Features and responses are regressed on the properties over the training images, by least squares with an
    intercept; what that predicts is taken off in both parts. It is prepared once and then takes voxels batch by batch.

    Args:
        features: of all images, (n_images, dim).
        low_level: their low-level properties, (n_images, n_properties).
        train: rows that are fitted on.
        test: rows that are predicted.
        device: as for `Ridge`.
    """

    def __init__(
        self, features: Floats, low_level: Floats, train: Indices, test: Indices, *, device: str = "cpu"
    ) -> None:
        self._device = torch.device(resolve_device(device))
        mean, spread = low_level[train].mean(axis=0), low_level[train].std(axis=0)
        design = np.divide(low_level - mean, spread, out=np.zeros(low_level.shape), where=spread > 0)
        design = np.concatenate([np.ones((len(design), 1)), design], axis=1)
        solution = np.linalg.pinv(design[train])
        left = np.subtract(features, design @ (solution @ features[train]), dtype=np.float64)
        x, x_test = torch.from_numpy(left[train]), torch.from_numpy(left[test])
        # In the smaller of the two spaces, of features or of images: w = V(VᵀX̃ᵀY)/(e + α), or X̃ᵀU(UᵀY)/(e + α).
        wide = x.shape[1] > x.shape[0]
        values, axes = torch.linalg.eigh(x @ x.T if wide else x.T @ x)
        # What is left of directions without extent is rounding error, which the smallest penalties would blow up.
        kept = values > values.max() * torch.finfo(values.dtype).eps * max(x.shape)
        values, axes = values[kept], axes[:, kept]
        self._eigenvalues = values[:, None].to(self._device)
        self._onto = torch.cat([axes.T if wide else (x @ axes).T, torch.from_numpy(solution)]).to(self._device)
        self._predicts = (x_test @ (x.T @ axes if wide else axes)).to(self._device)
        self._design = torch.from_numpy(design[test]).to(self._device)

    def residuals(
        self, train: Responses, test: Responses, alpha: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Measured and predicted residual responses to the test images, (n_test, n_voxels) each.

        Args:
            train: responses to the training images, (n_train, n_voxels), finite.
            test: responses to the test images, (n_test, n_voxels).
            alpha: the voxels' penalties, (n_voxels,).
        """
        onto = self._onto @ torch.from_numpy(np.asarray(train, np.float64)).to(self._device)
        rank = len(self._eigenvalues)
        explained = self._design @ onto[rank:]
        predicted = self._predicts @ (onto[:rank] / (self._eigenvalues + torch.from_numpy(alpha).to(self._device)))
        return test - explained.cpu().numpy(), predicted.cpu().numpy()


def _gabor(wavelength: float, angle: float, phase: float) -> NDArray[np.float32]:
    size = 2 * int(wavelength) + 1
    kernel = cv2.getGaborKernel((size, size), wavelength / 2, angle, wavelength, 1.0, phase, cv2.CV_32F)
    return np.asarray((kernel - kernel.mean()) / np.abs(kernel).sum(), np.float32)


def _cell_means(values: NDArray[np.floating], cells: int) -> NDArray[np.floating]:
    size = SIDE // cells
    return np.asarray(values.reshape(cells, size, cells, size).mean(axis=(1, 3)).ravel())
