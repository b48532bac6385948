"""8-bit codes of vectors, which FAISS scans and processors multiply fast, and what their rounding can have cost."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

from ...schemas.errors import AtlasError

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

BLOCK = 16_384
"""Rows that are worked on at once."""
_CODED = 2048
"""Rows that are coded at once: few enough to stay in a core's cache from one step to the next."""
_ZERO_CODE = 128
_SPREAD = 128
"""Numbers that `_spread` mixes with each other."""


def require_faiss() -> ModuleType:
    """The faiss module.

    Raises:
        AtlasError: neither of its wheels is installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise AtlasError(
            "FAISS is not installed; pip install 'voxel-atlas[cpu]', or 'voxel-atlas[gpu]' on a CUDA machine, not both."
        ) from error
    module: ModuleType = faiss
    return module


@dataclass(frozen=True)
class Segment:
    """The codes of consecutive rows. Never changed once made: FAISS must not add while it searches."""

    codes: Any
    """faiss.IndexScalarQuantizer with n rows of signed 8-bit codes."""
    start: int
    scale: float
    """A code times this is the number that it stands for."""
    residual: float
    """Largest distance of a row to what its code stands for."""
    reach: float
    """Largest norm of what a row's code stands for."""

    @property
    def stop(self) -> int:
        return self.start + int(self.codes.ntotal)


def encode(vectors: Floats, centre: Floats, start: int, stop: int) -> Segment:
    """Codes of rows start … stop-1."""
    faiss = require_faiss()

    def blocks() -> Iterator[Floats]:
        for first in range(start, stop, _CODED):
            yield _spread(vectors[first : min(first + _CODED, stop)] - centre)

    scale = max(float(np.abs(block).max(initial=0)) for block in blocks()) / 127 or 1.0
    width = -(-vectors.shape[1] // _SPREAD) * _SPREAD
    codes = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT)
    residual = reach = 0.0
    for block in blocks():
        code = np.rint(block / scale)
        codes.add(code)
        stands_for = code * np.float32(scale)
        reach = max(reach, float(np.sqrt(np.vecdot(stands_for, stands_for).max())))
        stands_for -= block
        residual = max(residual, float(np.sqrt(np.vecdot(stands_for, stands_for).max())))
    return Segment(codes, start, scale, residual, reach)


def digits_of(queries: Floats) -> tuple[NDArray[np.int8], Floats, Floats]:
    """Queries (n, dim) as 8-bit digits, what a digit stands for in each, and the lengths of what rounding missed."""
    spread = _spread(queries)
    steps = np.abs(spread).max(axis=1, initial=0) / np.float32(127)
    steps[steps == 0] = 1
    digits = np.rint(spread / steps[:, None])
    missed = np.linalg.norm(spread - digits * steps[:, None], axis=1)
    return digits.astype(np.int8), steps, missed


@functools.cache
def multiplies_bytes() -> bool:
    """Whether this processor multiplies matrices of bytes by instructions of its own (AMX)."""
    import torch

    return bool(torch.cpu._is_amx_tile_supported())  # noqa: SLF001 - has no public name


def multiply(segment: Segment, digits: NDArray[np.int8], products: Floats) -> None:
    """Write digits (n_queries, width) times a segment's codes to its columns of products (n_queries, n)."""
    import torch

    queries, codes = torch.from_numpy(digits), torch.from_numpy(_codes_of(segment))
    target = torch.from_numpy(products[:, segment.start : segment.stop])
    # Used again: memory that comes anew for each block costs more than the arithmetic.
    block = torch.empty((BLOCK // 2, digits.shape[1]), dtype=torch.uint8)
    product = torch.empty((len(digits), len(block)), dtype=torch.int32)
    for first in range(0, len(codes), len(block)):
        n = min(len(block), len(codes) - first)
        # A byte that is 128 too large becomes a signed one by turning its first bit over.
        torch.bitwise_xor(codes[first : first + n], _ZERO_CODE, out=block[:n])
        torch._int_mm(queries, block.view(torch.int8).T, out=product)  # noqa: SLF001 - has no public name
        torch.mul(product[:, :n], segment.scale, out=target[:, first : first + n])


def allowing(segment: Segment, mask: NDArray[np.bool_] | None) -> Any:
    """FAISS's parameters for rows of a segment that a mask (n,) over all segments allows; None for all."""
    if mask is None:
        return None
    allowed = np.packbits(mask[segment.start : segment.stop], bitorder="little")
    faiss = require_faiss()
    return faiss.SearchParameters(sel=faiss.IDSelectorBitmap(allowed))


def scan(segment: Segment, digits: NDArray[np.int8], k: int, allowed: Any) -> tuple[Floats, Rows]:
    """Products of a query's digits (1, width) with the k largest codes, best first, and the codes' numbers.

    Args:
        segment: Codes.
        digits: Of `digits_of`.
        k: How many; fewer come back where fewer are allowed.
        allowed: Of `allowing`.
    """
    products, rows = segment.codes.search(digits.astype(np.float32), min(k, segment.codes.ntotal), params=allowed)
    real = rows[0] >= 0
    return products[0][real], rows[0][real] + segment.start


def _codes_of(segment: Segment) -> NDArray[np.uint8]:
    """The codes (n, width) as FAISS keeps them, each `_ZERO_CODE` more than the number; not copied."""
    codes, width = segment.codes, int(segment.codes.code_size)
    flat = require_faiss().rev_swig_ptr(codes.codes.data(), int(codes.ntotal) * width)
    view: NDArray[np.uint8] = flat.reshape(-1, width)
    return view


def _spread(vectors: Floats) -> Floats:
    """An orthonormal map that mixes each number with 127 others: (n, dim) -> (n, dim rounded up to 128).

    Scalar products stay the same; a few large dimensions, which networks' features have, no longer set the scale of
    the codes for all others.
    """
    n, dim = vectors.shape
    if missing := -dim % _SPREAD:
        vectors = np.pad(vectors, ((0, 0), (0, missing)))
    mixed: Floats = np.matmul(vectors.reshape(-1, _SPREAD), _mixing())
    return mixed.reshape(n, dim + missing)


@functools.cache
def _mixing() -> Floats:
    # With signs by chance, a direction that all numbers share is spread too: it would be one row of a Hadamard matrix.
    signs = np.random.default_rng(_SPREAD).choice([-1, 1], _SPREAD)
    mixing: Floats = (signs[:, None] * hadamard(_SPREAD) / np.sqrt(_SPREAD)).astype(np.float32)
    return mixing
