"""Pictures by content: an address is the hash of what was asked for, so what it names never changes."""

import hashlib
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Generic, TypeVar

from api.answers import IMMUTABLE, Content
from api.colours import ColourMap
from api.drawing import MEDIA_TYPES, Look, draw, height, on_cells
from api.maps import ValueMap
from api.places import Places
from schemas.errors import BadInputError, NotFoundError
from viz import flatmap
from viz.cache import replacing

MIN_WIDTH, MAX_WIDTH = 64, 4096
KEPT_BYTES = 64 * 2**20
"""Rendered pictures and waiting values that are held in memory."""

_log = logging.getLogger(__name__)

Kept = TypeVar("Kept")


class Recent(Generic[Kept]):
    """The most recently used things, up to a number of bytes."""

    def __init__(self, size: Callable[[Kept], int], limit: int = KEPT_BYTES) -> None:
        self._size, self._limit = size, limit
        self._things: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> Kept | None:
        """The thing of this key, which now is the most recent one; None when it is not kept."""
        with self._lock:
            if key in self._things:
                self._things.move_to_end(key)
            return self._things.get(key)

    def put(self, key: str, thing: Kept) -> None:
        """Keep a thing, and drop the oldest ones that there is no room for."""
        with self._lock:
            if key in self._things:
                self._bytes -= self._size(self._things.pop(key))
            self._things[key] = thing
            self._bytes += self._size(thing)
            while self._bytes > self._limit and len(self._things) > 1:
                self._bytes -= self._size(self._things.popitem(last=False)[1])


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
        return 8 * len(shown.voxels if isinstance(shown, ValueMap) else shown.top.voxels)


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

    def __init__(self, places: Places, folder: Path) -> None:
        self._places = places
        self._folder = folder
        self._asked: Recent[Asked] = Recent(lambda asked: asked.nbytes)
        self._rendered: Recent[Content] = Recent(lambda content: len(content.body))

    def ask(self, shown: ValueMap | ColourMap, look: Look) -> Picture:
        """Give a map an address.

        Raises:
            BadInputError: The width is out of range.
            NotFoundError: The subject has no flat map, or no such view.
        """
        if not MIN_WIDTH <= look.width <= MAX_WIDTH:
            raise BadInputError(f"width is {look.width}; take {MIN_WIDTH} to {MAX_WIDTH} pixels.")
        tall = height(shown, self._places.of_model(shown.model["model_id"]), look)
        parts = [shown.canonical, *astuple(look), flatmap.RENDERER_VERSION]
        sha256 = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        picture = Picture(sha256, look.suffix, look.width, tall)
        self._asked.put(sha256, Asked(shown, picture, look))
        return picture

    def fetch(self, sha256: str, suffix: str) -> Content:
        """The picture of an address, rendered now if it never was.

        Raises:
            NotFoundError: Nobody asked for it lately.
        """
        name = f"{sha256}.{suffix}"
        content = self._rendered.get(name)
        if content is not None:
            return content
        path, asked = self._folder / name, self._asked.get(sha256)
        if path.is_file():
            body = path.read_bytes()
        elif asked is not None and asked.picture.suffix == suffix:
            body = self._render(asked)
            self._keep(path, body)
        else:
            raise NotFoundError("There is no such picture here any more; ask `flatmap` for it again.")
        content = Content(body, MEDIA_TYPES[suffix], IMMUTABLE, compressible=suffix == "svg").prepare()
        self._rendered.put(name, content)
        return content

    def _keep(self, path: Path, body: bytes) -> None:
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(body)
        except OSError as error:  # a read-only home or a full disk: the picture itself is there
            _log.warning("%s is not kept: %s", path, error.strerror)

    def _render(self, asked: Asked) -> bytes:
        place = self._places.of_model(asked.shown.model["model_id"])
        return draw(on_cells(asked.shown, place), place.surface, asked.look, place)
