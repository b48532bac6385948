"""The database and the search: what is known of every voxel, and how it is found.

>>> import atlas
>>> with atlas.open("atlas.duckdb") as opened:
...     opened.similar_voxels("cake", first=5).frame
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atlas.search import Atlas


def open(address: str, *, home: Path | None = None, token: str = "") -> "Atlas":  # noqa: A001 - as in atlas.open(…)
    """Open an atlas for reading.

    Args:
        address: a file path, quack:HOST:PORT, or ducklake:CATALOG data=FOLDER.
        home: folder of weights and indexes; None for the one of the settings.
        token: what a served atlas asks for.

    Raises:
        NotFoundError: there is no atlas.
        StoreError: it cannot be opened.
    """
    from atlas.search import Atlas  # takes a second, which `import atlas.labels` need not pay

    return Atlas.open(address, home=home, token=token)
