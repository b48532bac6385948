"""Images that subjects saw, made small for the page. Only what the atlas names can be asked for, by its id."""

import hashlib
import io
import os
import re
import stat
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path, PurePath
from typing import IO

import h5py
from PIL import Image, ImageDraw

from ...atlas.new_threads import begin
from ...atlas.search.atlas import Atlas
from ...schemas.errors import BadInputError, BusyError, NotFoundError
from ...schemas.image_files import read_picture, stored_picture
from ...schemas.limits import LIMITS
from ...schemas.stage import Stage

LONGEST_SIDE = 512
"""Pixels of a picture's longer side on the page."""
_LARGEST = 2**28
"""Bytes of an image's file."""
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration, Image.DecompressionBombError)
"""What a file of another kind, or a place that is not in it, ends in."""
_IMPORTED = "EXISTS (FROM ledger WHERE stage = $import AND starts_with(batch_key, model_id || '/'))"
_NAMING = " UNION ALL ".join(
    f"SELECT model_id FROM {name} WHERE stimulus_id = $id"  # noqa: S608 - constants
    for name in ("split", "top_image")
)
_OWN = f"FROM ({_NAMING}) WHERE NOT {_IMPORTED} LIMIT 1"
_ROOTS = f"SELECT DISTINCT json_extract_string(config, '$.root') AS root FROM model WHERE NOT {_IMPORTED}"  # noqa: S608


def thumbnail(atlas: Atlas, stimulus_id: str, box: str = "") -> bytes:
    """A small JPEG of a stimulus.

    Args:
        atlas: where the stimulus is named.
        stimulus_id: the stimulus.
        box: a crop to draw a frame around: "left,top,right,bottom" in pixels of the original; empty for none.

    Raises:
        BadInputError: the box is not four whole numbers.
        NotFoundError: the atlas names no such image, or its file is not on this machine.
    """
    edges = _edges(box) if box else None
    rows = atlas.store.frame("SELECT uri, sha256 FROM stimulus WHERE stimulus_id = ? LIMIT 1", [stimulus_id])
    if rows.is_empty():
        raise NotFoundError(f"The atlas has no stimulus {stimulus_id[:80]!r}.")
    uri, sha256 = rows.row(0)
    if not _is_trusted(atlas, uri, stimulus_id):
        raise NotFoundError(f"The file of stimulus {stimulus_id[:80]!r} is not in a data set of this machine.")
    image = open_stimulus(uri, sha256, stimulus_id)
    scale = max(1.0, max(image.size) / LONGEST_SIDE)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    if edges:
        _frame(image, [edge / scale for edge in edges])
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=85)
    return encoded.getvalue()


def _edges(box: str) -> list[int]:
    parts = box.split(",")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) < 7 for part in parts):
        raise BadInputError("box must be four whole numbers: left,top,right,bottom in pixels.")
    return [int(part) for part in parts]


def _frame(image: Image.Image, edges: list[float]) -> None:
    left, top, right, bottom = edges
    if left < right and top < bottom:
        drawing = ImageDraw.Draw(image)
        # Light on dark is seen on every picture.
        drawing.rectangle((left, top, right - 1, bottom - 1), outline=(20, 20, 20), width=5)
        drawing.rectangle(
            (left + 1, top + 1, max(left + 1, right - 2), max(top + 1, bottom - 2)), outline=(255, 214, 64), width=3
        )


def open_stimulus(uri: str, sha256: str, stimulus_id: str) -> Image.Image:
    """The image at a path, or at path#index inside an HDF5 file.

    Raises:
        NotFoundError: there is none, or what is there is no regular file or not what was ingested.
        BusyError: its disk does not answer.
    """
    return _READS.within_limit(uri, lambda: _opened(uri, sha256, stimulus_id))


class _Reads:
    """Reads in threads of their own: one of a network disk that stalls can be ended by nobody, and holds nobody."""

    def __init__(self) -> None:
        self._late: Counter[str] = Counter()
        """Reads of each disk that nobody waits for any more."""
        self._lock = threading.Lock()

    def within_limit(self, path: str, read: Callable[[], Image.Image]) -> Image.Image:
        """What `read` gives or raises.

        Args:
            path: what it reads.
            read: is left alone where it takes longer than `file_s`.

        Raises:
            BusyError: it did, or as many others of the same disk still do.
        """
        disk, result = _disk(path), Future[Image.Image]()
        if self._late[disk] < LIMITS.late_files:
            begin(_keep, result, read)
            if wait([result], LIMITS.file_s).done:
                return result.result()
            self._count(disk, 1)
            result.add_done_callback(lambda _: self._count(disk, -1))
        raise BusyError(f"The disk at {disk} does not answer; see to it, and ask again.", LIMITS.file_s)

    def _count(self, disk: str, n: int) -> None:
        with self._lock:
            self._late[disk] += n


_READS = _Reads()


def _keep(result: Future[Image.Image], read: Callable[[], Image.Image]) -> None:
    try:
        result.set_result(read())
    except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
        result.set_exception(error)


def _disk(path: str) -> str:
    """Where the disk of a path is mounted, without looking at the disk."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    mounted = [re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), line.split()[4]) for line in lines]
    here = PurePath(os.path.normpath(Path(path).absolute()))
    return max((place for place in mounted if here.is_relative_to(place)), key=len, default="/")


def _opened(uri: str, sha256: str, stimulus_id: str) -> Image.Image:
    path, _, index = uri.rpartition("#")
    if not index.isdigit() or os.path.lexists(uri):  # a # is also a letter of paths
        path, index = uri, ""
    with suppress(*_UNREADABLE), _regular(path) as file:
        if index:
            with h5py.File(file) as bricks:
                stored = next(iter(bricks.values()))[int(index)]
            if hashlib.sha256(bytes(stored)).hexdigest() == sha256:
                return Image.fromarray(stored_picture(stored, uri))
        else:
            content = file.read(_LARGEST)
            if hashlib.sha256(content).hexdigest() == sha256:
                return Image.fromarray(read_picture(io.BytesIO(content), uri))
    raise NotFoundError(f"The file of stimulus {stimulus_id[:80]!r} is not on this machine, or not what was ingested.")


def _regular(path: str) -> IO[bytes]:
    """A file that is open for reading; it is none of those that may never end or never begin.

    Raises:
        OSError: there is none.
    """
    # Looked at when it is open, and opened without waiting: a pipe would hold this thread for ever.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{path} is no regular file")
    return file


def _is_trusted(atlas: Atlas, uri: str, stimulus_id: str) -> bool:
    """Whether an image's place may be looked at: an ingest of this atlas read it, or it lies where one did.

    A release that was imported says of its images what it likes.
    """
    if not atlas.store.frame(_OWN, {"id": stimulus_id, "import": Stage.IMPORT}).is_empty():
        return True
    roots = atlas.store.frame(_ROOTS, {"import": Stage.IMPORT})["root"].to_list()
    # As they are written: links within a data set are its owner's.
    path, *known = (
        PurePath(os.path.normpath(Path(each).absolute())) for each in [uri, atlas.home, *filter(None, roots)]
    )
    return any(path.is_relative_to(root) for root in known)
