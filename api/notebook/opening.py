"""`voxel_atlas.open`: an atlas by its address, or the one of the home folder."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .brain_map import BrainMap
    from .map_pair import MapPair
    from .shown_atlas import NotebookAtlas, ServedAtlas


def open(address: str = "", *, home: Path | None = None, token: str = "") -> "NotebookAtlas | ServedAtlas":  # noqa: A001 - as in va.open(…)
    """Open an atlas for reading. What comes back answers the same questions with the same frames, wherever it is.

    >>> import voxel_atlas as va
    >>> atlas = va.open()
    >>> atlas.model().map("face").plot()

    Args:
        address: a file path, ducklake:CATALOG data=FOLDER, or http(s)://HOST:PORT of a server; empty for the atlas of
            the settings: that of VOXEL_ATLAS_ATLAS, or atlas.duckdb in the home folder.
        home: folder of weights and indexes; None for the one of the settings. A server over HTTP has its own.
        token: what a served atlas asks for; empty for the one of the settings.

    Raises:
        NotFoundError: there is no atlas.
        StoreError: it cannot be opened.
    """
    # Imported here: they take a second, which `import voxel_atlas` need not pay.
    from ...schemas.config import Settings

    settings = Settings() if home is None else Settings(home=home)
    address, token = str(address) or settings.address, token or settings.token.get_secret_value()
    from .shown_atlas import NotebookAtlas, ServedAtlas

    if address.startswith(("http://", "https://")):
        return ServedAtlas(address, settings, token=token)
    return NotebookAtlas.at(address, settings, token=token)


def demo(home: Path | None = None) -> "NotebookAtlas":
    """A small atlas of a simulated subject, made in about a minute the first time and opened at once after that.

    It is made of what is installed, without a download: pictures of cards that bear words, a network that reads them, a
    thousand voxels on pycortex's cortex S1 whose responses are computed, and every stage of a real ingest. It shows how
    things work, and nothing about a brain.

    >>> import voxel_atlas as va
    >>> va.demo().model().map("face").plot()

    Args:
        home: its folder; None for cards-demo in the home folder of the settings.

    Raises:
        StoreError: the folder cannot be written, or another process makes it now.
    """
    from .demo_atlas import demo as made

    return made(home)


def compare(a: "BrainMap", b: "BrainMap") -> "MapPair":
    """Two maps of one subject against each other, voxel by voxel and region by region.

    >>> va.compare(model.map("face"), model.map("house"))

    Args:
        a: one map.
        b: the other; of the same subject and quantity: of two concepts, two models or two readouts, say.

    Raises:
        BadInputError: they are of two subjects, or of two quantities.
    """
    from .map_pair import MapPair

    return MapPair.of(a, b)
