"""Pictures by content: an address is the hash of what was asked for, so what it names never changes."""

import hashlib
import json
import re
import threading
from dataclasses import astuple, dataclass

from cachetools import LRUCache

from ...schemas.errors import NotFoundError
from ...viz.render.picture import RENDERER_VERSION
from .group.group_maps import GroupMap
from .picture_files import PictureFiles
from .rendering import MEDIA_TYPES, RenderOptions, height, render
from .subject_cortex import CortexCache
from .top_labels import ColourMap
from .value_maps import ValueMap

WAITING_BYTES = 64 * 2**20
"""Values of maps that wait in memory for their pictures to be fetched."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


Mapped = ValueMap | ColourMap | GroupMap
"""What can be drawn."""


@dataclass(frozen=True)
class PictureRequest:
    """What an address stands for until it is rendered."""

    values: Mapped
    options: RenderOptions

    @property
    def sha256(self) -> str:
        """Hash of all that the picture depends on."""
        parts = [self.values.canonical, *astuple(self.options), RENDERER_VERSION]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def nbytes(self) -> int:
        """Bytes that it holds in memory, about; one that is larger than all that may wait counts as all."""
        of_each = 4 * len(self.values.models) + 64 if isinstance(self.values, GroupMap) else 8
        return min(of_each * len(self.values.voxels) + 32 * len(self.options.focus or ()), WAITING_BYTES)


@dataclass(frozen=True)
class PictureAddress:
    """A picture that can be fetched."""

    sha256: str
    suffix: str
    width: int
    height: int


class PictureCache:
    """Remembers what addresses stand for, renders when one is fetched, and keeps the file.

    Values are kept from the moment an address is given out: a picture shows the generation that it was asked for, even
    when batches were committed since.
    """

    def __init__(self, cortices: CortexCache, files: PictureFiles) -> None:
        self._cortices, self._files = cortices, files
        self._waiting: LRUCache[str, PictureRequest] = LRUCache(WAITING_BYTES, lambda request: request.nbytes)
        self._lock = threading.Lock()

    def address(self, values: Mapped, options: RenderOptions) -> PictureAddress:
        """Give a map an address.

        Raises:
            NotFoundError: the subject has no flat map, no such view, or no voxel of the number that is to be marked.
            BadInputError: the subject has not so many depths.
        """
        cortex = self._cortices.of(values.subject_id)
        if options.mark is not None:
            cortex.cell(options.mark)
        if options.thick != 1:
            cortex.surface.in_volume(options.thick)  # which refuses what it has not
        request = PictureRequest(values, options)
        address = PictureAddress(
            request.sha256, options.suffix, options.width, height(values.picture(cortex), cortex, options)
        )
        with self._lock:
            self._waiting[address.sha256] = request
        return address

    def fetch(self, sha256: str, suffix: str) -> bytes:
        """The picture of an address, rendered now if it never was.

        Raises:
            NotFoundError: nobody asked for it lately.
        """
        with self._lock:
            request = self._waiting.get(sha256)
        # Only what can be one of our names is looked for on disk.
        named = _SHA256.fullmatch(sha256) and suffix in MEDIA_TYPES
        body = self._files.get(f"{sha256}.{suffix}") if named else None
        if body is None:
            if request is None or request.options.suffix != suffix:
                raise NotFoundError("There is no such picture here any more; ask `flatmap` for it again.")
            cortex = self._cortices.of(request.values.subject_id)
            picture = request.values.picture(cortex, request.options.focus)
            body = render(picture, cortex.surface, request.options, cortex)
            self._files.put(f"{sha256}.{suffix}", body)
        return body
