"""A picture that shows itself in a notebook, and can be saved."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...schemas.errors import BadInputError, StoreError


@dataclass(frozen=True, eq=False)
class CortexPicture:
    """A picture's file. A notebook shows it, `save` writes it, and `plt.imshow` takes it, being an array."""

    content: bytes = field(repr=False)
    suffix: str = "png"
    """png, svg or pdf."""

    def save(self, path: Path | str) -> Path:
        """Write the picture to a file, whose name must end as it does: map.png.

        Raises:
            BadInputError: it ends otherwise.
            StoreError: the file cannot be written.
        """
        file = Path(path)
        if file.suffix.lower() != f".{self.suffix}":
            raise BadInputError(f"{file} should end in .{self.suffix}; plot(format=…) draws png, svg and pdf.")
        try:
            file.write_bytes(self.content)
        except OSError as error:
            raise StoreError(f"{file} cannot be written: {error.strerror}.") from error
        return file

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.uint8]:
        """Pixels of a PNG, (height, width, 3) uint8."""
        if self.suffix != "png":
            raise BadInputError(f"A {self.suffix} has no pixels; draw a png.")
        with Image.open(io.BytesIO(self.content)) as opened:
            return np.asarray(opened.convert("RGB"), dtype)

    def _repr_png_(self) -> bytes | None:
        return self.content if self.suffix == "png" else None

    def _repr_svg_(self) -> str | None:
        return self.content.decode() if self.suffix == "svg" else None
