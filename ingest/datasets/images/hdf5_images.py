"""Pictures in an array of an HDF5 file: their pixels, or the bytes of image files."""

import hashlib
import io
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.damaged_files import readable
from ....schemas.errors import BadInputError
from ....schemas.files import write_atomically
from ....schemas.image_files import stored_picture
from ..fingerprint import data_sha256


class Hdf5Images:
    """Pictures of one array, whoever saw them; see `Images` and `SlowlyHashed`.

    Args:
        file: the HDF5 file.
        key: the array in it, (n_pictures, …).
        dataset: the data set's name, which stimulus ids begin with.
        names: the names of the pictures in ids.
        rows: their places in the array, (n_images,).
        cache: folder for the list of hashes.
    """

    def __init__(
        self, file: Path, key: str, dataset: str, names: Sequence[object], rows: NDArray[np.integer], cache: Path
    ) -> None:
        self._file, self._key, self._dataset, self._rows, self._cache = file, key, dataset, rows, cache
        self.stimulus_ids = [f"{dataset}/{name}" for name in names]
        self.paths = [Path(f"{file}#{row}") for row in rows]
        self.n_images = len(rows)

    @cached_property
    def stimuli(self) -> pl.DataFrame:
        """See `Images`."""
        return pl.DataFrame(
            {
                "stimulus_id": self.stimulus_ids,
                "dataset": [self._dataset] * self.n_images,
                "uri": [str(path.absolute()) for path in self.paths],
                "sha256": self.sha256s(),
            }
        )

    def image(self, index: int) -> NDArray[np.uint8]:
        """The image of a row, RGB, (height, width, 3)."""
        with readable(self._file), h5py.File(self._file) as file:
            return stored_picture(file[self._key][int(self._rows[index])], str(self.paths[index]))

    def sha256s(self, advance: Callable[[int], None] = lambda _: None) -> list[str]:
        """See `SlowlyHashed`; of what is stored, which are gigabytes to read."""
        path = self._cache / f"{self._dataset}-stimuli-{data_sha256(self._file)[:16]}.parquet"
        known = dict(pl.read_parquet(path).iter_rows()) if path.exists() else {}
        new = [int(row) for row in self._rows if row not in known]
        advance(self.n_images - len(new))
        if new:
            with readable(self._file), h5py.File(self._file) as file:
                stored = file[self._key]
                for row in new:
                    known[row] = hashlib.sha256(bytes(stored[row])).hexdigest()
                    advance(1)
            encoded = io.BytesIO()
            pl.DataFrame({"row": list(known), "sha256": list(known.values())}).write_parquet(encoded)
            write_atomically(path, lambda file: file.write(encoded.getvalue()))
        return [known[int(row)] for row in self._rows]


def n_pictures(file: Path, key: str) -> int:
    """Pictures in an array of an HDF5 file.

    Raises:
        BadInputError: there is no such array, or the file is damaged.
    """
    with readable(file), h5py.File(file) as opened:
        if not isinstance(pictures := opened.get(key), h5py.Dataset):
            raise BadInputError(f"{file}: no array {key}, where the pictures should be; get it again.")
        return int(pictures.shape[0])
