"""A program that ingests the tiny subject on a disk that is too small, then makes room, and tells what came of it.

The disk is a file system of its own, of which a ballast file leaves so many bytes; without one, no file may be longer
than that. Each size is too small at another place: the database or its log, features, pictures, the index, the
checkpoint that closes the file, the export. After each failure there is room, and the same command goes on.

    python tiny_full_disk.py FOLDER N_SIZES [own]       (own: FOLDER is a small file system)

Prints one line of JSON: {"failures": [sentences], "unequal": …, "left_over": [files of exports that failed]}.
"""

import json
import os
import resource
import shutil
import sys
from pathlib import Path

from tiny import digest
from tiny_kills import forked, run

from voxel_atlas.atlas.release.export import export
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.ingest.dissection.nouns import NounExtractor
from voxel_atlas.schemas.errors import AtlasError

_EXTRA = 3 << 20
"""More than an undisturbed run leaves: the log of what is not checkpointed yet lies beside the file."""

_SHORTEST = 512
"""Bytes: less than any file has."""


def used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def confined(home: Path, room: int | None) -> str:
    """Ingest and export where only `room` bytes may be written to a file; the sentence that it ends with."""
    if room is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        run(home, None)
        with Atlas.open(str(home / "atlas.duckdb"), home=home) as opened:
            export(opened, home / "release", tables_only=True)
    except AtlasError as error:
        return str(error)
    return ""


def ballast(disk: Path, room: int) -> Path:
    """A file that leaves `room` bytes of a file system."""
    path, free = disk / "ballast", os.statvfs(disk)
    size = max(free.f_bavail * free.f_frsize - room, 1)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    return path


def main() -> None:
    """Try each size and report."""
    disk, n_sizes, own = Path(sys.argv[1]), int(sys.argv[2]), len(sys.argv) > 3
    NounExtractor()  # read here, so that the copies of this process need not
    whole = disk / "whole"
    assert forked(confined, whole, None) == (0, "")
    expected, needed = forked(digest, whole)[1], used(whole) + _EXTRA
    longest = max(path.stat().st_size for path in whole.rglob("*"))
    shutil.rmtree(whole)
    failures, left_over, unequal = list[str](), list[str](), 0
    for number in range(n_sizes):
        home = disk / str(number)
        home.mkdir()
        # Features and pictures are far shorter than the database: limits for a file are so many octaves apart.
        share = (2 * number + 1) / (2 * n_sizes)
        room = int(needed * share if own else _SHORTEST * (longest / _SHORTEST) ** share)
        filler = ballast(disk, room) if own else None
        status, sentence = forked(confined, home, None if own else room)
        assert status == 0, f"with room for {room} bytes it ended otherwise than with a sentence"
        if sentence:
            failures.append(str(sentence))
            left_over += [path.name for path in home.rglob(".release*")]
        if filler:
            filler.unlink()
        shutil.rmtree(home / "release", ignore_errors=True)
        assert forked(confined, home, None) == (0, ""), f"does not go on after {sentence}"
        unequal += forked(digest, home)[1] != expected
        shutil.rmtree(home)
    print(json.dumps({"failures": failures, "unequal": unequal, "left_over": left_over}))


if __name__ == "__main__":
    main()
