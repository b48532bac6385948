"""The database and the search: what is known of every voxel, and how it is found.

>>> import atlas
>>> with atlas.open("atlas.duckdb") as opened:
...     opened.similar_voxels("cake", first=5).frame
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atlas.remote import RemoteAtlas
    from atlas.search import Atlas


def open(address: str, *, home: Path | None = None, token: str = "") -> "Atlas | RemoteAtlas":  # noqa: A001 - as in atlas.open(…)
    """Open an atlas for reading. What comes back answers the same questions with the same frames, wherever it is.

    Args:
        address: a file path, quack:HOST:PORT, ducklake:CATALOG data=FOLDER, or http(s)://HOST:PORT of a server.
        home: folder of weights and indexes; None for the one of the settings. A server over HTTP has its own.
        token: what a served atlas asks for.

    Raises:
        NotFoundError: there is no atlas.
        StoreError: it cannot be opened.
    """
    # Imported here: they take a second, which `import atlas.labels` need not pay.
    if address.startswith(("http://", "https://")):
        from atlas.remote import RemoteAtlas

        return RemoteAtlas(address, token=token)
    from atlas.search import Atlas

    return Atlas.open(address, home=home, token=token)
