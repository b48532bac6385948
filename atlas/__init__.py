"""The database and the search: what is known of every voxel, and how it is found.

>>> import voxel_atlas as va
>>> with va.open("atlas.duckdb") as opened:
...     opened.model().similar("cake", first=5).frame
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import RemoteAtlas
    from .search.atlas import Atlas

if __name__ != "voxel_atlas.atlas":
    raise ImportError(
        "`atlas` is a part of voxel_atlas: import voxel_atlas.atlas. Where the command voxel-atlas says this, it was "
        "installed before the parts had one name: install it again."
    )


def open(address: str, *, home: Path | None = None, token: str = "") -> "Atlas | RemoteAtlas":  # noqa: A001 - as in va.open(…)
    """Open an atlas for reading. What comes back answers the same questions with the same frames, wherever it is.

    Args:
        address: a file path, ducklake:CATALOG data=FOLDER, or http(s)://HOST:PORT of a server.
        home: folder of weights and indexes; None for the one of the settings. A server over HTTP has its own.
        token: what a served atlas asks for.

    Raises:
        NotFoundError: there is no atlas.
        StoreError: it cannot be opened.
    """
    # Imported here: they take a second, which `import voxel_atlas` need not pay.
    if address.startswith(("http://", "https://")):
        from .client import RemoteAtlas

        return RemoteAtlas(address, token=token)
    from .search.atlas import Atlas

    return Atlas.open(address, home=home, token=token)
