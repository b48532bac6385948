"""Exact nearest neighbours by cosine: FAISS scans 8-bit codes, then what can be in the answer gets its true score.

A code is a rounded vector, so a scanned score is wrong by at most a bound that Cauchy and Schwarz give. Whatever the
bound cannot rule out is scored again in float32: the answer is a plain scan's, at a quarter of its memory traffic.
"""

import functools
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..backbones.cores import n_cores
from .codes import (
    BLOCK,
    Floats,
    Rows,
    Segment,
    allowing,
    digits_of,
    encode,
    multiplies_bytes,
    multiply,
    require_faiss,
    scan,
)

_FEW = 4096
"""Rows up to which scoring each is as fast as scanning codes."""
_SHARED = 65_536
"""Rows above which cores share a scan: of fewer, handing them over takes as long as it saves where many ask at once."""
_MANY_QUERIES = 4
"""Queries from which one matrix product is faster than a scan for each."""
_CANDIDATES = 16_384
"""Candidates from which scoring every row is as fast."""
_GROUP = 32
"""Numbers of which `_at_most_kth` takes the largest."""


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
        self.grown = room is not None
        """Whether rows came after it was built: it answers the same, and a scan visits more segments."""
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
        for start in range(0, n, BLOCK):
            centre += vectors[start : start + BLOCK].sum(axis=0) / n
        # One segment for each core, which are scanned at the same time.
        cuts = np.linspace(0, n, (n_cores() if n > _SHARED else 1) + 1).astype(int)
        segments = [encode(vectors, centre, int(a), int(b)) for a, b in pairwise(cuts) if b > a]
        return cls(vectors, np.arange(n) if keys is None else keys, centre, segments)

    def extended(self, vectors: Floats, keys: Rows) -> "VectorIndex":
        """An index that also has these vectors; this one can go on being searched meanwhile."""
        room = self._room.with_rows(len(self), vectors)
        joined, all_keys = room.array[: len(self) + len(vectors)], np.concatenate([self.keys, keys])
        if not self.segments:
            return VectorIndex.build(joined, all_keys)
        segments, start = list(self.segments), len(self)
        # A small last segment is coded again with what is new, so that a scan visits few; the large ones never are,
        # as that would hold up all searches.
        if len(segments) > 1 and segments[-1].stop - segments[-1].start < BLOCK:
            start = segments.pop().start
        segments.append(encode(joined, self.centre, start, len(joined)))
        return VectorIndex(joined, all_keys, self.centre, segments, room)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return int(self.vectors.shape[1])

    def scores(self, query: Floats) -> Floats:
        """Cosine of every vector with one unit query, (n,); each equal, bit for bit, to the one that `search` gives."""
        out = np.empty(len(self), np.float32)
        blocks = [slice(start, start + BLOCK) for start in range(0, len(self), BLOCK)]
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
            found = list((self._multiply_codes if multiplies_bytes() else self._multiply)(queries, k, mask))
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
        digits, steps, misses = digits_of(query[None])
        step, missed = float(steps[0]), float(misses[0])
        offset = float(self.centre @ query)
        length = float(np.linalg.norm(query))
        slack = 4 * self.dim * 2**-24  # rounding of the float32 sums themselves
        allowed = [allowing(segment, mask) for segment in self.segments]
        wanted = 8 * k + 64
        while wanted <= _CANDIDATES:
            found = self._scan_each(digits, wanted, allowed)
            scores, best = self._best(query, np.concatenate([rows for _, rows in found]), k)
            if all(
                len(rows) < wanted
                or offset + segment.scale * step * float(products[-1])
                < float(scores[-1]) - segment.residual * length - segment.reach * missed - slack
                for (products, rows), segment in zip(found, self.segments, strict=True)
            ):
                return scores, best
            wanted *= 4
        return self._all(query, k, mask)

    def _scan_each(self, digits: NDArray[np.int8], wanted: int, allowed: Sequence[object]) -> list[tuple[Floats, Rows]]:
        if len(self.segments) == 1:
            with _in_one_thread():
                return [scan(self.segments[0], digits, wanted, allowed[0])]
        return list(_pool().map(lambda segment, rows: scan(segment, digits, wanted, rows), self.segments, allowed))

    def _multiply_codes(self, queries: Floats, k: int, mask: NDArray[np.bool_] | None) -> Iterator[tuple[Floats, Rows]]:
        """As `_multiply`, with the codes: processors with instructions for it multiply bytes four times as fast."""
        from ..backbones.threads import in_threads  # loads torch, and a search for one concept needs none

        digits, steps, missed = digits_of(queries)
        products = np.empty((len(queries), len(self)), np.float32)
        in_threads(lambda segment: multiply(segment, digits, products), self.segments)
        lengths = np.linalg.norm(queries, axis=1)
        errors = np.max([segment.residual * lengths + segment.reach * missed for segment in self.segments], axis=0)
        errors += np.float32(4 * self.dim * 2**-24)  # rounding of the float32 sums themselves
        yield from self._candidates(queries, products, k, mask, steps, queries @ self.centre, errors)

    def _multiply(self, queries: Floats, k: int, mask: NDArray[np.bool_] | None) -> Iterator[tuple[Floats, Rows]]:
        products = np.empty((len(queries), len(self)), np.float32)
        for start in range(0, len(self), BLOCK):
            np.matmul(queries, self.vectors[start : start + BLOCK].T, out=products[:, start : start + BLOCK])
        one = np.ones(len(queries), np.float32)
        yield from self._candidates(queries, products, k, mask, one, 0 * one, 4 * self.dim * np.float32(2**-24) * one)

    def _candidates(
        self,
        queries: Floats,
        products: Floats,
        k: int,
        mask: NDArray[np.bool_] | None,
        steps: Floats,
        offsets: Floats,
        errors: Floats,
    ) -> Iterator[tuple[Floats, Rows]]:
        """The k best of each query, where step * product + offset is a score but for the error."""
        if mask is not None:
            np.copyto(products, -np.inf, where=~mask)
        for query, row, step, offset, error in zip(queries, products, steps, offsets, errors, strict=True):
            likely = np.flatnonzero(row >= _at_most_kth(row, k))
            # The k best are at least as good as the k best of any rows.
            least = np.partition(np.vecdot(self.vectors[likely], query), len(likely) - k)[len(likely) - k]
            yield self._best(query, np.flatnonzero(row >= (least - offset - error) / step), k)


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
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        lengths = np.sqrt(np.vecdot(block, block))
        lengths[lengths == 0] = 1
        block /= lengths[:, None]
    return vectors


def _at_most_kth(row: Floats, k: int) -> np.float32:
    """A number that is not above the k-th largest of a row, and hardly below it where the row is long.

    The k-th largest of the maxima of many groups, as k groups have something that is at least so large.
    """
    n_groups = max(len(row) // _GROUP, 1)
    if n_groups < k:
        return np.float32(np.partition(row, len(row) - k)[len(row) - k])
    # Every n_groups-th number is a group, so that the maxima of all are taken side by side.
    maxima = row[: n_groups * (len(row) // n_groups)].reshape(-1, n_groups).max(axis=0)
    return np.float32(np.partition(maxima, n_groups - k)[n_groups - k])


@contextmanager
def _in_one_thread() -> Iterator[None]:
    """FAISS would start a team of its own threads for a single query."""
    faiss = require_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    # The segments are what runs side by side here, each in one thread.
    return ThreadPoolExecutor(n_cores(), "scan", initializer=lambda: require_faiss().omp_set_num_threads(1))
