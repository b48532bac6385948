"""Pictures by content: an address is the hash of what was asked for, so what it names never changes."""

import hashlib
import json
import re
import threading
from dataclasses import astuple, dataclass

from cachetools import LRUCache

from ...schemas.errors import NotFoundError
from ...viz.render.picture import RENDERER_VERSION
from ..http.responses import IMMUTABLE, Content
from .cortex_places import Places
from .drawing import MEDIA_TYPES, Look, draw, height, on_cells
from .picture_files import PictureFiles
from .top_labels import ColourMap
from .value_maps import ValueMap

KEPT_BYTES = 64 * 2**20
"""Rendered pictures and waiting values that are held in memory."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Asked:
    """What an address stands for until it is rendered."""

    shown: ValueMap | ColourMap
    picture: "Picture"
    look: Look

    @property
    def nbytes(self) -> int:
        """Bytes that it holds in memory, about."""
        shown = self.shown
        voxels = shown.voxels if isinstance(shown, ValueMap) else shown.top.voxels
        return 8 * len(voxels) + 32 * len(self.look.focus or ())


@dataclass(frozen=True)
class Picture:
    """A picture that can be fetched."""

    sha256: str
    suffix: str
    width: int
    height: int

    @property
    def url(self) -> str:
        """Path on this server."""
        return f"/flatmaps/{self.sha256}.{self.suffix}"


class Pictures:
    """Remembers what addresses stand for, renders when one is fetched, and keeps the file.

    Values are kept from the moment an address is given out: a picture shows the generation that it was asked for, even
    when batches were committed since.
    """

    def __init__(self, places: Places, files: PictureFiles) -> None:
        self._places, self._files = places, files
        # One that alone is larger than all that may be kept counts as all.
        self._asked: LRUCache[str, Asked] = LRUCache(KEPT_BYTES, lambda asked: min(asked.nbytes, KEPT_BYTES))
        self._rendered: LRUCache[str, Content] = LRUCache(
            KEPT_BYTES, lambda content: min(len(content.body), KEPT_BYTES)
        )
        self._lock = threading.Lock()

    def ask(self, shown: ValueMap | ColourMap, look: Look) -> Picture:
        """Give a map an address.

        Raises:
            NotFoundError: The subject has no flat map, no such view, or no voxel of the number that is to be marked.
        """
        place = self._places.of_model(shown.model.model_id)
        if look.mark is not None:
            place.cell(look.mark)
        tall = height(shown, place, look)
        parts = [shown.canonical, *astuple(look), RENDERER_VERSION]
        sha256 = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        picture = Picture(sha256, look.suffix, look.width, tall)
        with self._lock:
            self._asked[sha256] = Asked(shown, picture, look)
        return picture

    def fetch(self, sha256: str, suffix: str) -> Content:
        """The picture of an address, rendered now if it never was.

        Raises:
            NotFoundError: Nobody asked for it lately.
        """
        name = f"{sha256}.{suffix}"
        with self._lock:
            if (content := self._rendered.get(name)) is not None:
                return content
            asked = self._asked.get(sha256)
        # Only what can be one of our names is looked for on disk.
        body = self._files.get(name) if _SHA256.fullmatch(sha256) and suffix in MEDIA_TYPES else None
        if body is None:
            if asked is None or asked.picture.suffix != suffix:
                raise NotFoundError("There is no such picture here any more; ask `flatmap` for it again.")
            body = self._render(asked)
            self._files.put(name, body)
        content = Content(body, MEDIA_TYPES[suffix], IMMUTABLE, compressible=suffix == "svg").prepare()
        with self._lock:
            self._rendered[name] = content
        return content

    def _render(self, asked: Asked) -> bytes:
        place = self._places.of_model(asked.shown.model.model_id)
        return draw(on_cells(asked.shown, place, asked.look.focus), place.surface, asked.look, place)
