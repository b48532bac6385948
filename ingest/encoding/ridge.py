"""Ridge regression of many voxels on the same features, the penalty chosen for each voxel, exactly and all at once.

For one fold let X and Y be centred by its training means, V the right singular vectors of the training rows and e
their squared singular values, z = VᵀXᵀY, h = VᵀX_valᵀY_val, G = VᵀX_valᵀX_val V and D(α) = 1/(e + α). The squared
validation error of a voxel is then

    yy − 2·Σ D_i z_i h_i + Σ_ij D_i z_i G_ij z_j D_j        (yy: squared validation responses)

and partial fractions, D_i·D_j = (D_i − D_j)/(e_j − e_i), turn the double sum into Σ D_i²·(...) + Σ D_i·(...), where
neither bracket depends on α. One product of the size of G and one with all D and D² thus serve every penalty.

Where features outnumber images (the dual problem), they are first rotated into the space of the images: the penalty
does not see rotations, so that what follows is the same code.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...atlas.backbones.device import resolve_device
from ...atlas.backbones.threads import in_threads
from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError
from .cross_validation import Fold, Products
from .memory import SOLUTION_BYTES
from .metrics import Responses
from .spectrum import Triangle, decomposed, principal_rows
from .split import Indices, folds

TIE = 1e-10
"""Scores this close are equal as far as their accuracy goes; of equal ones the largest penalty is taken."""
IMAGES_AT_ONCE = 256
"""Rows of the responses that are gathered and widened to float64 at a time, while they stay in the cache."""
VOXELS_AT_ONCE = 2048
"""Voxels in a chunk at most on a CPU, where more would leave the cache; a GPU takes 32 times as many."""
CHUNK_BYTES = 2**29
"""Memory that all chunks in work may take on a CPU; on a GPU it is a quarter of what is free."""
COMMON = 1 / 16
"""Share of the number of directions that a penalty's voxels in a chunk must be for it to be common. Its solution costs
as much as it saves in the sixteen next chunks like that."""


@dataclass(frozen=True)
class RidgeFit:
    """Fitted voxels. A prediction is (x − feature_mean)·weights + bias."""

    weights: NDArray[np.float32]
    """(n_voxels, n_features), response per unit of a feature."""
    bias: NDArray[np.float32]
    """Mean training response, (n_voxels,)."""
    alpha: NDArray[np.float64]
    """The penalty that was chosen, (n_voxels,)."""
    feature_mean: NDArray[np.float64]
    """Mean of the training features, (n_features,)."""

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Predicted responses to new images, (n_images, n_features) -> (n_images, n_voxels)."""
        centred, weights = torch.from_numpy(features - self.feature_mean), torch.from_numpy(self.weights).double()
        predicted: NDArray[np.float64] = torch.addmm(torch.from_numpy(self.bias).double(), centred, weights.T).numpy()
        return predicted


def alpha_grid(config: IngestConfig, n_features: int) -> NDArray[np.float64]:
    """Penalties that are tried, ascending: the paper's 1e-8 … 1e10, or the released code's 1e-8 … √p·1e8."""
    top = 8 + 0.5 * np.log10(n_features) if config.selection == "released" else config.log10_alpha_max
    return np.logspace(config.log10_alpha_min, top, config.n_alphas)


class Ridge:
    """Ridge regression that is prepared once from the features and then fits voxels chunk by chunk.

    Args:
        features: training features, (n_images, n_features); centred here, not scaled.
        alphas: penalties to try, (n_alphas,), positive.
        validation: disjoint sets of training rows; each is the validation part of one fold, the others fit it.
        device: where the products run, as torch names it, or auto; decompositions always run on the CPU, so that
            results do not depend on the device.

    Raises:
        BadInputError: features that are not finite or do not vary, penalties that are not positive, bad folds.
    """

    def __init__(
        self,
        features: NDArray[np.floating],
        alphas: NDArray[np.floating],
        validation: Sequence[Indices],
        *,
        device: str = "cpu",
    ) -> None:
        self.alphas = np.sort(np.asarray(alphas, dtype=np.float64))
        _check(features, self.alphas, validation)
        self.device = torch.device(resolve_device(device))
        self.feature_mean: NDArray[np.float64] = features.mean(axis=0, dtype=np.float64)
        rows, rows_mean, lift = features, self.feature_mean, None
        if features.shape[1] > features.shape[0]:
            lift, triangle = torch.linalg.qr(torch.from_numpy(features - rows_mean).T)
            rows, rows_mean = triangle.T.numpy(), np.zeros(len(features))

        rest = np.setdiff1d(np.arange(len(rows)), np.concatenate(validation))
        sorted_parts = [np.sort(np.asarray(part, dtype=np.int64)) for part in (*validation, rest)]
        self._members = [torch.from_numpy(part) for part in sorted_parts if len(part)]
        members = [torch.from_numpy(rows[part] - rows_mean) for part in sorted_parts if len(part)]
        (*training, every), (*spectra, final) = decomposed(members, len(validation))

        # All products are taken in the basis, and from the mean, of the only fold, or else of the final fit.
        if len(spectra) == 1:
            origin = training[0].mean
            validates, fits = (member.sub_(origin) for member in members)
            turn_of_fits = spectra[0].basis
            if isinstance(every, Triangle):
                spectra[0], fits, turn_of_fits = principal_rows(fits)
            basis = spectra[0].basis
            turned = [(validates, basis), (fits, turn_of_fits)]
        else:
            origin, basis = torch.zeros_like(training[0].mean), final.basis
            turned = [(member, basis) for member in members]

        penalties, same = torch.from_numpy(self.alphas).to(self.device), basis.new_empty(0, 0)
        self._parts = [_with_ones(*factors).to(self.device) for factors in turned]
        self._folds = []
        for number, (part, fold) in enumerate(zip(training, spectra, strict=True)):
            turn = same if fold.basis is basis else fold.directions.T @ basis
            mean, values = (part.mean - origin) @ basis, fold.eigenvalues
            mean, values, turn = (tensor.to(self.device) for tensor in (mean, values, turn))
            self._folds.append(Fold.of(number, self._parts[number][:, :-1], part.n, mean, values, turn, penalties))
        # From products to the final fit's directions: centring takes the mean row times the sum of the responses.
        mean = (every.mean - origin) @ basis
        turn = torch.cat([torch.eye(len(basis), dtype=basis.dtype), -mean[:, None]], dim=1)
        turn = turn[: len(final.eigenvalues)] if final.basis is basis else final.directions.T @ (basis @ turn)
        self._turn = turn.to(self.device)
        self._unturn = (final.directions if lift is None else lift @ final.directions).T.contiguous().to(self.device)
        self._shrink = 1.0 / (final.eigenvalues.to(self.device) + penalties[:, None])
        self._solution, self._common = self._solutions(len(final.eigenvalues))

    @classmethod
    def from_config(cls, features: NDArray[np.floating], config: IngestConfig, device: str = "cpu") -> "Ridge":
        """Prepare a fit as the configuration says: its penalties, its folds and its seed."""
        n_images, n_features = features.shape
        return cls(features, alpha_grid(config, n_features), folds(config, n_images), device=device)

    def fit(self, responses: Responses) -> RidgeFit:
        """Choose each voxel's penalty by validation R² and fit all training images with it.

        Args:
            responses: training responses, (n_images, n_voxels), rows as in the features. Any number of voxels:
                memory is bounded by working on some at a time.

        Raises:
            BadInputError: the number of rows is wrong, or a response is NaN or infinite.
        """
        n_voxels = self._checked(responses)
        weights = np.empty((n_voxels, len(self.feature_mean)), dtype=np.float32)
        bias = np.empty(n_voxels, dtype=np.float32)
        alpha = np.empty(n_voxels)

        def choose(chunk: slice, products: Products) -> None:
            scores = self._scores(products)
            choice = len(self.alphas) - 1 - (scores >= scores.amax(dim=0) - TIE).flip(0).to(torch.uint8).argmax(dim=0)
            torch.from_numpy(weights[chunk]).copy_(self._weights(products, choice))
            bias[chunk] = (products.total[-1] / len(responses)).cpu().numpy()
            alpha[chunk] = self.alphas[choice.cpu().numpy()]

        self._by_chunk(responses, choose)
        return RidgeFit(weights, bias, alpha, self.feature_mean)

    def scores(self, responses: Responses) -> NDArray[np.float64]:
        """Validation R² of every penalty and voxel, averaged over folds, (n_alphas, n_voxels)."""
        scores = np.empty((len(self.alphas), self._checked(responses)))

        def keep(chunk: slice, products: Products) -> None:
            scores[:, chunk] = self._scores(products).cpu().numpy()

        self._by_chunk(responses, keep)
        return scores

    def _checked(self, responses: Responses) -> int:
        n_images = sum(len(member) for member in self._members)
        if responses.ndim != 2 or len(responses) != n_images:
            raise BadInputError(
                f"the responses have shape {responses.shape}, but the features have {n_images} training images; "
                "pass one row per training image, in the same order."
            )
        return int(responses.shape[1])

    def _by_chunk(self, responses: Responses, work: Callable[[slice, Products], None]) -> None:
        """Do some work with the products of every chunk of voxels.

        On a CPU each of torch's threads has a chunk to itself. None waits for another at every step, so a core that
        other programs use, too, slows down its own chunks only.
        """
        every = _readable(responses)
        at_once = 1 if self.device.type == "cuda" else torch.get_num_threads()
        chunks = iter(self._chunks(every.shape[1], at_once))

        def run(_: int) -> None:
            for chunk in chunks:  # the next one that no thread has taken
                work(chunk, self._products(every[:, chunk], chunk.start))

        if at_once == 1:
            run(0)
        else:
            in_threads(run, range(at_once))

    @property
    def _voxels_at_once(self) -> int:
        return 32 * VOXELS_AT_ONCE if self.device.type == "cuda" else VOXELS_AT_ONCE

    def _chunks(self, n_voxels: int, at_once: int) -> list[slice]:
        """Chunks of equal size, as many for each thread."""
        per_voxel = 8 * (2 * IMAGES_AT_ONCE + 8 * self._parts[0].shape[1] + 3 * len(self.alphas))
        budget = torch.cuda.mem_get_info(self.device)[0] // 4 if self.device.type == "cuda" else CHUNK_BYTES
        size = max(1, min(self._voxels_at_once, budget // (at_once * per_voxel)))
        n_chunks = min(n_voxels, -(-n_voxels // (at_once * size)) * at_once)
        edges = [n_voxels * number // n_chunks for number in range(n_chunks + 1)] if n_chunks else []
        return [slice(start, stop) for start, stop in pairwise(edges)]

    def _products(self, responses: Tensor, first: int) -> Products:
        """Products of a chunk whose first voxel is `first`."""
        n_voxels = responses.shape[1]
        # One buffer for rows as they come and one for float64, for all blocks: fresh memory is slow memory.
        narrow = torch.empty(IMAGES_AT_ONCE, n_voxels, dtype=responses.dtype)
        wide = torch.empty(IMAGES_AT_ONCE, n_voxels, dtype=torch.float64)
        products, variations = [], []
        for part, (member, rows) in enumerate(zip(self._members, self._parts, strict=True)):
            product, square = rows.new_empty(rows.shape[1], n_voxels), rows.new_zeros(n_voxels)
            origin = responses[member[0]].to(self.device, torch.float64)
            n_blocks = -(-len(member) // IMAGES_AT_ONCE)
            blocks = zip(member.tensor_split(n_blocks), rows.tensor_split(n_blocks), strict=True)
            for number, (few, x) in enumerate(blocks):
                torch.index_select(responses, 0, few, out=narrow[: len(few)])
                y = wide[: len(few)].copy_(narrow[: len(few)]).to(self.device)
                torch.addmm(product, x.T, y, beta=min(number, 1), out=product)
                if part < len(self._folds):
                    square += y.sub_(origin).square_().sum(dim=0)  # near 0, whatever the mean: no digits cancel
            products.append(product)
            variations.append(square - (product[-1] - len(member) * origin).square() / len(member))
        result = Products(products, variations)
        bad = (~torch.isfinite(result.total[-1])).nonzero().flatten()
        if len(bad):
            raise BadInputError(
                f"{len(bad)} voxel(s) have NaN or infinite responses, the first at column {first + int(bad[0])}; "
                "leave them out (drop_reasons names them)."
            )
        return result

    def _scores(self, products: Products) -> Tensor:
        scores = [fold.scores(products) for fold in self._folds]
        return scores[0] if len(scores) == 1 else torch.stack(scores).mean(dim=0)

    def _weights(self, products: Products, choice: Tensor) -> Tensor:
        """Weights of the final fit with each voxel's penalty, (n_voxels, n_features), float32.

        Two products lead to the final fit's directions and back. Voxels of a common penalty take one, with that
        penalty's solution.
        """
        total = products.total
        weights = total.new_empty(len(choice), self._unturn.shape[1], dtype=torch.float32)
        counts = choice.bincount()
        for penalty in (counts >= self._common).nonzero().flatten().tolist():
            voxels = (choice == penalty).nonzero().flatten()
            weights.index_copy_(0, voxels, (total.index_select(1, voxels).T @ self._solution(penalty)).float())
        voxels = (counts < self._common)[choice].nonzero().flatten()
        z = total.index_select(1, voxels).T @ self._turn.T
        z *= self._shrink[choice[voxels]]
        return weights.index_copy_(0, voxels, (z @ self._unturn).float())

    def _solutions(self, rank: int) -> tuple[Callable[[int], Tensor], float]:
        """What leads from products to weights with one penalty, (k + 1, n_features), and how many voxels it takes.

        That depends on the chunk alone, not on what was fitted before: so a run that goes on where it was stopped gives
        the same weights to the last digit.
        """
        turn, shrink, unturn = self._turn, self._shrink, self._unturn
        n_kept = SOLUTION_BYTES // (turn.shape[1] * unturn.shape[1] * turn.itemsize)

        @lru_cache(maxsize=n_kept)
        def solution(penalty: int) -> Tensor:
            return (turn.T * shrink[penalty]) @ unturn

        most_in_a_chunk = min(len(self.alphas), self._voxels_at_once / (COMMON * rank))
        return solution, COMMON * rank if n_kept >= most_in_a_chunk else float("inf")


def _with_ones(left: Tensor, right: Tensor) -> Tensor:
    """A product (n, k), and a column of ones, which sums the responses in the same product as all others."""
    rows = torch.from_numpy(np.empty((len(left), right.shape[1] + 1)))  # NumPy takes huge pages, which come sooner
    torch.mm(left, right, out=rows[:, :-1])
    rows[:, -1] = 1
    return rows


def _readable(responses: Responses) -> Tensor:
    """Responses as a tensor that shares their memory, whatever their layout."""
    if any(stride < 0 for stride in responses.strides):
        responses = responses.copy()
    with warnings.catch_warnings():
        # torch warns that it could write to an array that says it is not to be written to; nothing here does.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
        return torch.from_numpy(responses)


def _check(features: NDArray[np.floating], alphas: NDArray[np.float64], validation: Sequence[Indices]) -> None:
    if features.ndim != 2 or not np.isfinite(features).all():
        raise BadInputError(f"the features, of shape {features.shape}, must be a finite table (images × features).")
    if (features == features[0]).all():
        raise BadInputError(
            f"the features of all {len(features)} images are the same: they do not vary, so nothing fits."
        )
    if len(alphas) == 0 or not (np.isfinite(alphas).all() and alphas[0] > 0):
        raise BadInputError("ridge penalties must be positive numbers.")
    rows = np.concatenate([np.asarray(fold, dtype=np.int64) for fold in validation]) if validation else np.empty(0)
    if min((len(fold) for fold in validation), default=0) < 2 or len(rows) > len(np.unique(rows)):
        raise BadInputError("validation folds must be disjoint sets of at least two training images each.")
    if rows.min() < 0 or rows.max() >= len(features) or any(len(features) - len(fold) < 2 for fold in validation):
        raise BadInputError(
            f"validation folds must name rows below {len(features)}, and leave at least two others to fit."
        )
