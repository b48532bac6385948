"""Exact nearest neighbours by cosine: FAISS scans 8-bit codes, then what can be in the answer gets its true score.

A code is a rounded vector, so a scanned score is wrong by at most a bound that Cauchy and Schwarz give. Whatever the
bound cannot rule out is scored again in float32: the answer is a plain scan's, at a quarter of its memory traffic.
"""

import functools
import json
import logging
import mmap
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import AtlasError
from ...schemas.files import write_atomically
from ..backbones.cores import n_cores
from ..new_threads import started_pool

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

_BLOCK = 16_384
"""Rows that are worked on at once; a part of fewer is coded again when an index grows."""
_CODED = 2048
"""Rows that are coded at once: few enough to stay in a core's cache from one step to the next."""
_FEW = 4096
"""Rows up to which scoring each is as fast as scanning codes."""
_SHARED = 65_536
"""Rows above which cores share a scan: of fewer, handing them over takes as long as it saves where many ask at once."""
_MANY_QUERIES = 4
"""Queries from which one matrix product is faster than a scan for each."""
_TOGETHER = 32
"""Queries in one matrix product; bounds memory."""
_CANDIDATES = 16_384
"""Candidates from which scoring every row is as fast."""

_FILE = "vectors.index"
_FORMAT = 4
_HEADER = 512
"""Bytes of a file's manifest, in JSON. Then come keys (int64), `_Part.head` of each part (float64), vectors (float32)
and codes (a byte a number)."""
_SUMMED = 2**24
"""Bytes of a file that are summed up at once, so that cores share a file."""
_log = logging.getLogger(__name__)


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
class _Part:
    """The codes of consecutive rows. Never changed once made: FAISS must not add while it searches."""

    codes: Any
    """faiss.IndexScalarQuantizer of (row - low) / scale, each number from 0 to 1 in 8 bits."""
    start: int
    low: Floats
    scale: Floats
    error: float
    """Largest distance of a scaled row to what its code stands for."""
    mapped: NDArray[np.uint8] | None = None
    """The codes where they lie in a file, which has to stay mapped; None where FAISS owns them."""

    @classmethod
    def of(cls, vectors: Floats, start: int, stop: int) -> "_Part":
        """Code rows start … stop-1."""
        rows = vectors[start:stop]
        low = rows.min(axis=0)
        scale = rows.max(axis=0) - low
        scale[scale == 0] = 1
        codes, error = _no_codes(rows.shape[1]), 0.0
        with _in_one_thread():
            for first in range(0, len(rows), _CODED):
                scaled = (rows[first : first + _CODED] - low) / scale
                codes.add(scaled)
                scaled -= codes.reconstruct_n(first, len(scaled))
                error = max(error, float(np.vecdot(scaled, scaled).max()) ** 0.5)
        return cls(codes, start, low, scale, error)

    @classmethod
    def of_file(cls, head: NDArray[np.float64], start: int, codes: NDArray[np.uint8]) -> "_Part":
        """A part as a file has it.

        Args:
            head: as `head` gives it.
            start: its first row.
            codes: (n, dim), mapped.
        """
        faiss, (n, dim) = require_faiss(), codes.shape
        quantizer, vector = _no_codes(dim), faiss.MaybeOwnedVectorUInt8
        # The owner of a vector that is made empty is nobody: FAISS is to free nothing.
        quantizer.codes = vector.create_view(faiss.swig_ptr(codes), codes.size, vector().owner)
        quantizer.ntotal = n
        _, error, *ranges = head.tolist()
        low, scale = np.array(ranges, np.float32).reshape(2, dim)
        return cls(quantizer, start, low, scale, error, codes)

    @property
    def head(self) -> NDArray[np.float64]:
        """(2 + 2·dim,): rows, error, low, scale; all but the codes."""
        return np.concatenate([[self.stop - self.start, self.error], self.low, self.scale])

    @property
    def code_bytes(self) -> NDArray[np.uint8]:
        """(n, dim), not to be changed."""
        if self.mapped is not None:
            return self.mapped
        size = (self.stop - self.start, len(self.low))
        bytes_: NDArray[np.uint8] = require_faiss().rev_swig_ptr(self.codes.codes.data(), size[0] * size[1])
        return bytes_.reshape(size)

    @property
    def stop(self) -> int:
        return self.start + int(self.codes.ntotal)

    def __sizeof__(self) -> int:
        """Bytes of memory, where the codes are no file's."""
        return 0 if self.mapped is not None else int(self.codes.ntotal) * len(self.low)

    def scan(self, query: Floats, wanted: int, mask: Mask | None) -> tuple[Rows, float]:
        """Allowed rows with the best codes, about so many, and the most that any other allowed row can score."""
        faiss = require_faiss()
        n_allowed = n = self.stop - self.start
        chosen = None
        if mask is not None:
            mask = mask[self.start : self.stop]
            n_allowed = int(np.count_nonzero(mask))
            if 2 * n_allowed < n:
                bits = np.packbits(mask, bitorder="little")
                chosen = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
            else:
                # Asking of each row whether it is allowed takes longer than throwing out a few afterwards.
                wanted = wanted * n // n_allowed
        scaled = query * self.scale
        with _in_one_thread():
            products, rows = self.codes.search(scaled[None], min(wanted, n), params=chosen)
        products, rows = products[0][rows[0] >= 0], rows[0][rows[0] >= 0]
        others = -np.inf
        if len(rows) == wanted < n:
            # The last term is the rounding of float32 sums, of these and of the true scores.
            length = float(np.linalg.norm(scaled))
            rounding = 2 * len(query) * 2**-24 * (1 + len(query) ** 0.5 * length)
            others = float(products[-1]) + float(query @ self.low) + length * self.error + rounding
        if mask is not None:
            rows = rows[mask[rows]]
        return rows + self.start, others


class VectorIndex:
    """Unit vectors (n, dim) that are searched exactly. Immutable: `extended` gives a new one that shares the codes."""

    def __init__(self, vectors: Floats, keys: Rows, parts: Sequence[_Part], memory: "_Memory | None" = None) -> None:
        self.vectors = vectors
        """(n, dim), unit or zero; may be a memory map."""
        self.keys = keys
        """(n,) number of each row, by which equal scores are ordered."""
        self.parts = tuple(parts)
        self._memory = memory or _Memory(vectors, len(vectors))

    @classmethod
    def build(cls, vectors: Floats, keys: Rows | None = None) -> "VectorIndex":
        """Code vectors for searching.

        Args:
            vectors: (n, dim) unit vectors; zero vectors are allowed.
            keys: (n,) numbers that order equal scores; None for the row numbers.
        """
        n = len(vectors)
        # One part for each core, which are coded and scanned at the same time.
        cuts = np.linspace(0, n, (n_cores() if n > _SHARED else 1) + 1).astype(int)
        parts = _pool().map(lambda cut: _Part.of(vectors, *cut), [(a, b) for a, b in pairwise(cuts.tolist()) if b > a])
        return cls(vectors, np.arange(n) if keys is None else keys, list(parts))

    def extended(self, vectors: Floats, keys: Rows) -> "VectorIndex":
        """An index that also has these vectors; this one can go on being searched meanwhile."""
        memory = self._memory.with_rows(len(self), vectors)
        joined, all_keys = memory.array[: len(self) + len(vectors)], np.concatenate([self.keys, keys])
        parts, start = list(self.parts), len(self)
        # A small last part is coded again with what is new, so that a scan visits few; the large ones never are,
        # as that would hold up all searches.
        if parts and parts[-1].stop - parts[-1].start < _BLOCK:
            start = parts.pop().start
        return VectorIndex(joined, all_keys, [*parts, _Part.of(joined, start, len(joined))], memory)

    def save(self, folder: Path, fingerprint: str) -> None:
        """Write the vectors by ascending key; whoever loads meanwhile finds the ones before or these.

        Args:
            folder: the index's own folder.
            fingerprint: of the rows of the database that the vectors were made from.

        Raises:
            StoreError: the folder cannot be written.
        """
        if not (np.diff(self.keys) > 0).all():
            order = np.argsort(self.keys)
            VectorIndex.build(self.vectors[order], self.keys[order]).save(folder, fingerprint)
            return
        heads, codes = np.array([part.head for part in self.parts]), [part.code_bytes for part in self.parts]
        content = [np.ascontiguousarray(array) for array in (self.keys, heads, self.vectors, *codes)]
        n, dim = self.vectors.shape
        manifest = {
            **_kind(fingerprint), "rows": n, "dim": dim, "parts": len(self.parts), "checksum": _checksum(content)
        }  # fmt: skip
        header = json.dumps(manifest).encode().ljust(_HEADER)
        write_atomically(folder / _FILE, lambda file: file.writelines([header, *(part.data for part in content)]))
        for path in folder.iterdir():
            if path.name != _FILE:  # of the formats before
                path.unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path, fingerprint: str) -> "VectorIndex | None":
        """The saved index of that fingerprint; None where there is none, another one, or a damaged one.

        It is read once, for its checksum, and stays mapped: the system takes its memory back where that is needed.
        """
        try:
            with (folder / _FILE).open("rb") as file:
                whole = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
            manifest, content = json.loads(whole[:_HEADER].tobytes()), whole[_HEADER:]
            if manifest | _kind(fingerprint) != manifest:
                return None
            keys, heads, vectors, *codes = _cut(content, manifest["rows"], manifest["dim"], manifest["parts"])
            if manifest["checksum"] == _checksum([keys, heads, vectors, *codes]):
                starts = accumulate(map(len, codes), initial=0)
                parts = list(map(_Part.of_file, heads, starts, codes))
                return cls(vectors, keys, parts)
            problem = "its checksum is another"
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, ArithmeticError) as error:
            problem = str(error)
        _log.warning("The index in %s cannot be used (%s); it is made again from the database.", folder, problem)
        return None

    def __len__(self) -> int:
        return len(self.vectors)

    def scores(self, query: Floats) -> Floats:
        """Cosine of every vector with one unit query, (n,); each equal, bit for bit, to the one that `search` gives."""
        out = np.empty(len(self), np.float32)
        blocks = [slice(start, start + _BLOCK) for start in range(0, len(self), _BLOCK)]
        list(_pool().map(lambda block: np.vecdot(self.vectors[block], query, out=out[block]), blocks))
        return out

    def search(self, queries: Floats, k: int, mask: Mask | None = None) -> tuple[list[Floats], list[Rows]]:
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
            found = list(self._multiply(queries, k, mask))
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

    def _scan(self, query: Floats, k: int, mask: Mask | None) -> tuple[Floats, Rows]:
        wanted = 4 * k + 64
        while wanted <= _CANDIDATES:
            scan = functools.partial(_Part.scan, query=query, wanted=wanted, mask=mask)
            run = map if len(self.parts) == 1 else _pool().map
            rows, others = zip(*run(scan, self.parts), strict=True)
            scores, best = self._best(query, np.concatenate(rows), k)
            if len(best) == k and max(others) < scores[-1]:
                return scores, best
            wanted *= 4
        every = self.scores(query)
        allowed = np.arange(len(self)) if mask is None else np.flatnonzero(mask)
        return self._first(every[allowed], allowed, k)

    def _multiply(self, queries: Floats, k: int, mask: Mask | None) -> Iterator[tuple[Floats, Rows]]:
        """The k best of each query by one matrix product, whose rounding differs from that of `scores`."""
        rounding = 4 * queries.shape[1] * np.float32(2**-24)
        for start in range(0, len(queries), _TOGETHER):
            some = queries[start : start + _TOGETHER]
            products = some @ self.vectors.T
            if mask is not None:
                np.copyto(products, -np.inf, where=~mask)
            for query, row in zip(some, products, strict=True):
                least = np.partition(row, len(row) - k)[len(row) - k]
                yield self._best(query, np.flatnonzero(row >= least - rounding), k)


class _Memory:
    """Memory in which vectors grow: an index that is extended leaves the rows of the older one where they are."""

    def __init__(self, array: Floats, n_used: int) -> None:
        self.array, self._n_used = array, n_used

    def with_rows(self, n: int, vectors: Floats) -> "_Memory":
        """Memory whose rows are the first n of this and then `vectors`; this one where they fit behind its last."""
        stop = n + len(vectors)
        if n == self._n_used and stop <= len(self.array):
            self.array[n:stop] = vectors
            self._n_used = stop
            return self
        array = np.empty((2 * stop, vectors.shape[1]), np.float32)
        array[:n], array[n:stop] = self.array[:n], vectors
        return _Memory(array, stop)


def _no_codes(dim: int) -> Any:
    """A faiss.IndexScalarQuantizer without rows."""
    faiss = require_faiss()
    # One range for all dimensions, which FAISS scans twice as fast as a range for each: those are in `_Part.scale`.
    codes = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit_uniform, faiss.METRIC_INNER_PRODUCT)
    codes.train(np.array([[0] * dim, [1] * dim], np.float32))
    return codes


def _kind(fingerprint: str) -> dict[str, object]:
    """What a file has to say of itself to be read: of its rows, and of who can read it."""
    return {"format": _FORMAT, "fingerprint": fingerprint, "faiss": require_faiss().__version__}


def _cut(content: NDArray[np.uint8], n: int, dim: int, n_parts: int) -> list[NDArray[Any]]:
    """A file's keys (n,), heads (n_parts, 2 + 2·dim), vectors (n, dim), and codes (rows, dim) of each part."""
    head = 2 + 2 * dim
    keys, heads, vectors, codes = np.split(content, np.cumsum([8 * n, 8 * n_parts * head, 4 * n * dim]))
    numbers = heads.view(np.float64).reshape(n_parts, head)
    parts = np.split(codes.reshape(n, dim), np.cumsum(numbers[:-1, 0].astype(np.int64)))[:n_parts]
    return [keys.view(np.int64), numbers, vectors.view(np.float32).reshape(n, dim), *parts]


def _checksum(arrays: Sequence[NDArray[Any]]) -> int:
    """CRC-32 of the CRC-32s of blocks of some arrays.

    Against disks, not against people: it takes a third of SHA-256's time.
    """
    whole = [array.reshape(-1).view(np.uint8) for array in arrays]
    blocks = [part[start : start + _SUMMED] for part in whole for start in range(0, len(part), _SUMMED)]
    return zlib.crc32(np.array(list(_pool().map(zlib.crc32, blocks)), np.uint32).tobytes())


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
    return started_pool(n_cores(), "scan")
