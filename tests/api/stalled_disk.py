"""A file system of one file whose reads wait until they are let go, as those of a network disk that stalls do."""

import ctypes
import errno
import os
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "picture.png"
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _INIT, _OPENDIR, _INTERRUPT, _BATCH_FORGET = 1, 2, 3, 14, 15, 26, 27, 36, 42
_ROOT, _FILE = 1, 2
_MNT_DETACH = 2
_VALID_S = 60


def can_mount() -> bool:
    """Whether this user may mount what a program serves."""
    return os.geteuid() == 0 and os.access("/dev/fuse", os.R_OK | os.W_OK)


@contextmanager
def stalled_disk(folder: Path, content: bytes) -> Iterator[threading.Event]:
    """Mount it at a folder until the block ends; reads go on from when the event is set.

    Args:
        folder: an empty one.
        content: of the file `NAME` in it.

    Raises:
        OSError: it cannot be mounted.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    device, going = os.open("/dev/fuse", os.O_RDWR), threading.Event()
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"stalled", os.fsencode(folder), b"fuse", 0, options) != 0:
        os.close(device)
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    thread = threading.Thread(target=_serve, args=(device, content, going))
    thread.start()
    try:
        yield going
    finally:
        going.set()
        libc.umount2(os.fsencode(folder), _MNT_DETACH)
        thread.join()
        os.close(device)


def _serve(device: int, content: bytes, going: threading.Event) -> None:
    while True:
        try:
            request = os.read(device, 2**18)
        except OSError as error:
            if error.errno == errno.ENODEV:  # unmounted
                return
            continue  # a request that was taken back
        _, kind, unique, node, *_ = struct.unpack_from("<IIQQIIII", request)
        if kind in (_FORGET, _BATCH_FORGET, _INTERRUPT):
            continue
        if kind == _READ:
            going.wait()
        failed, answer = _answer(kind, node, request[40:], content)
        try:
            os.write(device, struct.pack("<IiQ", 16 + len(answer), -failed, unique) + answer)
        except OSError:  # nobody waits for it any more
            continue


def _answer(kind: int, node: int, body: bytes, content: bytes) -> tuple[int, bytes]:
    """An error's number or 0, and what is asked for, as linux/fuse.h lays it out."""
    if kind == _INIT:
        return 0, struct.pack("<IIIIHHIIHHI7I", 7, 31, 2**16, 0, 16, 12, 2**16, 1, 32, 0, 0, *[0] * 7)
    if kind == _LOOKUP:
        if body.rstrip(b"\0") != NAME.encode():
            return errno.ENOENT, b""
        return 0, struct.pack("<QQQQII", _FILE, 0, _VALID_S, _VALID_S, 0, 0) + _attributes(_FILE, content)
    if kind == _GETATTR:
        return 0, struct.pack("<QII", _VALID_S, 0, 0) + _attributes(node, content)
    if kind in (_OPEN, _OPENDIR):
        return 0, struct.pack("<QII", 0, 0, 0)
    if kind == _READ:
        _, first, size = struct.unpack_from("<QQI", body)
        return 0, content[first : first + size]
    return errno.ENOSYS, b""


def _attributes(node: int, content: bytes) -> bytes:
    mode = stat.S_IFDIR | 0o755 if node == _ROOT else stat.S_IFREG | 0o644
    return struct.pack("<6Q10I", node, len(content), 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
