"""The server's allocator: few arenas, and large blocks that go back when they are freed."""

import json
import os
import platform
import subprocess
import sys

import pytest

from voxel_atlas.api.http.allocator import keep_memory_flat

PROBE = """
import ctypes, json, threading

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.open_memstream.restype = ctypes.c_void_p

def described():
    text, size = ctypes.c_char_p(), ctypes.c_size_t()
    stream = ctypes.c_void_p(libc.open_memstream(ctypes.byref(text), ctypes.byref(size)))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    return text.value

def mapped():
    return int(described().partition(b'<total type="mmap" count="')[2].partition(b'"')[0])

together = threading.Barrier(12)

def work():
    together.wait()
    block = libc.malloc(1000)
    together.wait()
    libc.free(block)

threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.free(libc.malloc(2**21))
before = mapped()
libc.malloc(2**21)
print(json.dumps([described().count(b"<heap nr="), mapped() - before]))
"""


def arenas_and_maps(setting: str) -> list[int]:
    """Of a new process: arenas after twelve threads, and whether a second block of 2 MB is one of the system's own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", setting + PROBE]
    found: list[int] = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    return found


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_threads_share_arenas_and_large_blocks_go_back_to_the_system() -> None:
    arenas, maps = arenas_and_maps("from voxel_atlas.api.http.allocator import keep_memory_flat; keep_memory_flat()")
    assert (arenas, maps) == (2, 1)
    arenas, maps = arenas_and_maps("")
    assert arenas > 2
    assert maps == 0


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", lambda _: pytest.fail("its settings were touched"))
    keep_memory_flat()
