"""Exact nearest neighbours by cosine: FAISS scans 8-bit codes, then what can be in the answer gets its true score.

A code is a rounded vector, so a scanned score is wrong by at most a bound that Cauchy and Schwarz give. Whatever the
bound cannot rule out is scored again in float32: the answer is a plain scan's, at a quarter of its memory traffic.
"""

import functools
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

from schemas.errors import AtlasError

if TYPE_CHECKING:
    from collections.abc import Iterator

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

_FEW = 4096
"""Rows up to which scoring each is as fast as scanning codes."""
_MANY_QUERIES = 4
"""Queries from which one matrix product is faster than a scan for each."""
_CANDIDATES = 16_384
"""Candidates from which scoring every row is as fast."""
_BLOCK = 16_384
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


class VectorIndex:
    """Unit vectors (n, dim) that are searched exactly. Immutable: `extended` gives a new one that shares the codes."""

    def __init__(
        self,
        vectors: Floats,
        keys: Rows,
        centre: Floats,
        segments: Sequence[Segment],
        room: "_Room | None" = None,
    ) -> None:
        self._room = room or _Room(vectors)
        self.vectors = vectors
        """(n, dim), unit or zero; may be a memory map."""
        self.keys = keys
        """(n,) number of each row, by which equal scores are ordered."""
        self.centre = centre
        self.segments = tuple(segments)

    @classmethod
    def build(cls, vectors: Floats, keys: Rows | None = None) -> "VectorIndex":
        """Code vectors for searching.

        Args:
            vectors: (n, dim) unit vectors; zero vectors are allowed.
            keys: (n,) numbers that order equal scores; None for the row numbers.
        """
        n = len(vectors)
        centre = np.zeros(vectors.shape[1], np.float32)
        for start in range(0, n, _BLOCK):
            centre += vectors[start : start + _BLOCK].sum(axis=0) / n
        # One segment for each core, which are scanned at the same time.
        cuts = np.linspace(0, n, (_n_threads() if n > _BLOCK else 1) + 1).astype(int)
        segments = [_code(vectors, centre, int(a), int(b)) for a, b in pairwise(cuts) if b > a]
        return cls(vectors, np.arange(n) if keys is None else keys, centre, segments)

    def extended(self, vectors: Floats, keys: Rows) -> "VectorIndex":
        """An index that also has these vectors; this one can go on being searched meanwhile."""
        room = self._room.with_rows(len(self), vectors)
        joined, all_keys = room.array[: len(self) + len(vectors)], np.concatenate([self.keys, keys])
        uncoded = len(joined) - (self.segments[0].stop if self.segments else 0)
        # Codes are made anew now and then, so that a scan never visits many small segments.
        if len(self.segments) >= 8 * _n_threads() or uncoded > len(joined) // 2:
            return VectorIndex.build(joined, all_keys)
        added = _code(joined, self.centre, len(self), len(joined))
        return VectorIndex(joined, all_keys, self.centre, [*self.segments, added], room)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return int(self.vectors.shape[1])

    def scores(self, query: Floats) -> Floats:
        """Cosine of every vector with one unit query, (n,); each equal, bit for bit, to the one that `search` gives."""
        out = np.empty(len(self), np.float32)
        blocks = [slice(start, start + _BLOCK) for start in range(0, len(self), _BLOCK)]
        list(_pool().map(lambda block: np.vecdot(self.vectors[block], query, out=out[block]), blocks))
        return out

    def search(self, queries: Floats, k: int, mask: NDArray[np.bool_] | None = None) -> tuple[list[Floats], list[Rows]]:
        """The k nearest vectors of each query, best first, equal scores by key.

        Args:
            queries: (n_queries, dim) unit vectors.
            k: how many; fewer come back where fewer are allowed.
            mask: (n,) rows that may be in the answer; None for all.

        Returns:
            Cosines and rows, for each query.
        """
        allowed = len(self) if mask is None else int(np.count_nonzero(mask))
        k = min(k, allowed)
        if allowed <= max(_FEW, k):
            rows = np.arange(len(self)) if mask is None else np.flatnonzero(mask)
            found = [self._best(query, rows, k) for query in queries]
        elif len(queries) >= _MANY_QUERIES:
            found = list((self._multiply_codes if _multiplies_bfloat16() else self._multiply)(queries, k, mask))
        else:
            found = [self._scan(query, k, mask) for query in queries]
        return [scores for scores, _ in found], [rows for _, rows in found]

    def _best(self, query: Floats, rows: Rows, k: int) -> tuple[Floats, Rows]:
        """The k best of some rows by their true scores."""
        scores: Floats = np.vecdot(self.vectors[rows], query)
        return self._first(scores, rows, k)

    def _first(self, scores: Floats, rows: Rows, k: int) -> tuple[Floats, Rows]:
        if 0 < k < len(rows):
            near = np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])
            scores, rows = scores[near], rows[near]
        order = np.lexsort((self.keys[rows], -scores))[:k]
        return scores[order], rows[order]

    def _all(self, query: Floats, k: int, mask: NDArray[np.bool_] | None) -> tuple[Floats, Rows]:
        scores = self.scores(query)
        rows = np.arange(len(self)) if mask is None else np.flatnonzero(mask)
        return self._first(scores[rows], rows, k)

    def _scan(self, query: Floats, k: int, mask: NDArray[np.bool_] | None) -> tuple[Floats, Rows]:
        faiss = require_faiss()
        spread = _spread(query[None])[0]
        step = float(np.abs(spread).max()) / 127 or 1.0
        code = np.rint(spread / step)
        missed = float(np.linalg.norm(spread - step * code))
        offset = float(self.centre @ query)
        length = float(np.linalg.norm(query))
        slack = 4 * self.dim * 2**-24  # rounding of the float32 sums themselves
        selectors = [_selector(faiss, segment, mask) for segment in self.segments]
        wanted = 8 * k + 64
        while wanted <= _CANDIDATES:
            parameters = [
                (segment.codes, code[None], wanted, selector)
                for segment, selector in zip(self.segments, selectors, strict=True)
            ]
            found = list(_pool().map(_search_codes, parameters))
            rows = np.concatenate(
                [labels + segment.start for (_, labels), segment in zip(found, self.segments, strict=True)]
            )
            scores, best = self._best(query, rows, k)
            if all(
                len(labels) < wanted
                or offset + segment.scale * step * float(products[-1])
                < float(scores[-1]) - segment.residual * length - segment.reach * missed - slack
                for (products, labels), segment in zip(found, self.segments, strict=True)
            ):
                return scores, best
            wanted *= 4
        return self._all(query, k, mask)

    def _multiply_codes(
        self, queries: Floats, k: int, mask: NDArray[np.bool_] | None
    ) -> "Iterator[tuple[Floats, Rows]]":
        """As `_multiply`, with the codes: bfloat16 holds an 8-bit code exactly, and processors multiply it fast."""
        import torch

        spread = torch.from_numpy(_spread(queries))
        rounded = spread.bfloat16()
        missed = torch.linalg.vector_norm(spread - rounded.float(), dim=1).numpy()
        offsets = queries @ self.centre
        products = np.empty((len(queries), len(self)), np.float32)
        unsure = np.zeros(len(queries), np.float32)
        target = torch.from_numpy(products)
        # Used again: memory that comes anew for each block costs more than the arithmetic.
        block = torch.empty((_BLOCK // 2, spread.shape[1]), dtype=torch.bfloat16)
        product = torch.empty((len(queries), len(block)), dtype=torch.bfloat16)
        for segment in self.segments:
            codes = torch.from_numpy(_codes_of(segment))
            for first in range(0, len(codes), len(block)):
                n = min(len(block), len(codes) - first)
                block[:n].copy_(codes[first : first + n]).sub_(_ZERO_CODE)
                torch.mm(rounded, block.T, out=product)
                start = segment.start + first
                torch.mul(product[:, :n], segment.scale, out=target[:, start : start + n])
            # Rows' codes, the query's digits, the product's own rounding to 8 bits, and that of the sums.
            within = products[:, segment.start : segment.stop]
            largest = np.maximum(within.max(axis=1), -within.min(axis=1))
            error = segment.residual * np.linalg.norm(queries, axis=1) + segment.reach * missed + largest * 2**-8
            unsure = np.maximum(unsure, error + np.float32(4 * self.dim * 2**-24) * (1 + np.abs(offsets)))
        if mask is not None:
            products[:, ~mask] = -np.inf
        for query, row, error in zip(queries, products, unsure, strict=True):
            least = np.partition(row, len(row) - k)[len(row) - k]
            # The k best by codes are at least this good; what is worse by twice the error cannot be among the k best.
            yield self._best(query, np.flatnonzero(row >= least - 2 * error), k)

    def _multiply(self, queries: Floats, k: int, mask: NDArray[np.bool_] | None) -> "Iterator[tuple[Floats, Rows]]":
        products = np.empty((len(queries), len(self)), np.float32)
        for start in range(0, len(self), _BLOCK):
            np.matmul(queries, self.vectors[start : start + _BLOCK].T, out=products[:, start : start + _BLOCK])
        if mask is not None:
            products[:, ~mask] = -np.inf
        slack = np.float32(4 * self.dim * 2**-24)
        for query, row in zip(queries, products, strict=True):
            least = np.partition(row, len(row) - k)[len(row) - k]
            yield self._best(query, np.flatnonzero(row >= least - slack), k)


class _Room:
    """Memory in which vectors grow: an index that is extended leaves the rows of the older one where they are."""

    def __init__(self, array: Floats) -> None:
        self.array, self._used, self._lock = array, len(array), threading.Lock()

    def with_rows(self, n: int, vectors: Floats) -> "_Room":
        """Room whose rows are the first n of this one and then `vectors`; this one where they fit behind its last."""
        with self._lock:
            if n == self._used and n + len(vectors) <= len(self.array):
                self.array[n : n + len(vectors)] = vectors
                self._used += len(vectors)
                return self
        array = np.empty((2 * (n + len(vectors)), vectors.shape[1]), np.float32)
        array[:n], array[n : n + len(vectors)] = self.array[:n], vectors
        room = _Room(array)
        room._used = n + len(vectors)
        return room


def unit(vectors: Floats) -> Floats:
    """Vectors (n, dim) divided by their lengths, in place; a zero vector stays zero."""
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        lengths = np.sqrt(np.vecdot(block, block))
        lengths[lengths == 0] = 1
        block /= lengths[:, None]
    return vectors


def _code(vectors: Floats, centre: Floats, start: int, stop: int) -> Segment:
    """Codes of rows start … stop-1."""
    faiss = require_faiss()

    def blocks() -> "Iterator[Floats]":
        for first in range(start, stop, _BLOCK):
            yield _spread(vectors[first : min(first + _BLOCK, stop)] - centre)

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


def _codes_of(segment: Segment) -> NDArray[np.uint8]:
    """The codes (n, width) as FAISS keeps them, each `_ZERO_CODE` more than the number; not copied."""
    codes, width = segment.codes, int(segment.codes.code_size)
    flat = require_faiss().rev_swig_ptr(codes.codes.data(), int(codes.ntotal) * width)
    view: NDArray[np.uint8] = flat.reshape(-1, width)
    return view


@functools.cache
def _multiplies_bfloat16() -> bool:
    """Whether this processor multiplies matrices of bfloat16 by instructions of its own (AMX)."""
    import torch

    return bool(torch.cpu._is_amx_tile_supported())  # noqa: SLF001 - has no public name


def _spread(vectors: Floats) -> Floats:
    """An orthonormal map that mixes each number with 127 others: (n, dim) -> (n, dim rounded up to 128).

    Scalar products stay the same; a few large dimensions, which networks' features have, no longer set the scale of
    the codes for all others.
    """
    n, dim = vectors.shape
    order, signs, mixing = _mixing(dim)
    padded = np.zeros((n, len(order)), np.float32)
    padded[:, :dim] = vectors
    padded = padded[:, order]
    padded *= signs
    mixed: Floats = np.matmul(padded.reshape(-1, _SPREAD), mixing)
    return mixed.reshape(n, len(order))


@functools.cache
def _mixing(dim: int) -> tuple[Rows, Floats, Floats]:
    width = -(-dim // _SPREAD) * _SPREAD
    random = np.random.default_rng(width)
    signs = random.choice(np.array([-1, 1], np.float32), width)
    return random.permutation(width), signs, (hadamard(_SPREAD) / np.sqrt(_SPREAD)).astype(np.float32)


def _selector(faiss: ModuleType, segment: Segment, mask: NDArray[np.bool_] | None) -> Any:
    if mask is None:
        return None
    return faiss.SearchParameters(
        sel=faiss.IDSelectorBitmap(np.packbits(mask[segment.start : segment.stop], bitorder="little"))
    )


def _search_codes(job: tuple[Any, Floats, int, Any]) -> tuple[Floats, Rows]:
    """Products and rows of the codes nearest to a coded query, best first."""
    codes, query, k, parameters = job
    products, rows = codes.search(query, min(k, codes.ntotal), params=parameters)
    real = rows[0] >= 0
    return products[0][real], rows[0][real]


@functools.cache
def _pool() -> ThreadPoolExecutor:
    # FAISS would start a team of its own threads for a single query; the segments are what runs side by side here.
    return ThreadPoolExecutor(_n_threads(), "scan", initializer=lambda: require_faiss().omp_set_num_threads(1))


def _n_threads() -> int:
    return min(len(os.sched_getaffinity(0)), 16) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
