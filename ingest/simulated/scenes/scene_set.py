"""Sets of scenes on disk: pictures named by their content, and a manifest of what is in each."""

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PIL_Image

from ....atlas.backbones.interface import Image
from ....schemas.files import write_atomically
from ...encoding.split import split
from ...progress import Progress, Silent
from .compose import Thing, choose, compose
from .cutouts import Half
from .picture_library import load_pictures

_VERSIONS = {"A": 2, "B": 3}
"""Half → version, raised when the same seed would make other scenes."""
TEST_SHARE, SPLIT_SEED = 0.25, 42
"""The split that half B's scenes are made for: those that it tests on show cut-outs that no other shows."""
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class SavedScene:
    """A scene on disk."""

    path: Path
    sha256: str
    """Of the file, in hexadecimal."""
    things: tuple[Thing, ...]

    def image(self) -> Image:
        """The picture, RGB, (256, 256, 3)."""
        return read_image(self.path)


def read_image(path: Path) -> Image:
    """A picture file in RGB, (height, width, 3)."""
    with PIL_Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def scene_set(home: Path, half: Half, n: int, seed: int, progress: Progress | None = None) -> list[SavedScene]:
    """Scenes of one half of the cut-outs; made the first time, read from their manifest after that.

    Args:
        home: the atlas's home folder; pictures go to home/scenes.
        half: which cut-outs. A calibrates networks, B is what subjects see; a quarter of B's cut-outs are in none but
            the scenes that a model with the demo's share and seed is tested on.
        n: how many.
        seed: another seed is another set.
        progress: told how many are made.
    """
    manifest = _manifest(home, half, n, seed)
    folder = manifest.parent
    if not manifest.exists():
        _make(folder, manifest, home, half, n, seed, progress or Silent())
    entries = json.loads(manifest.read_text(encoding="utf-8"))
    return [
        SavedScene(
            folder / entry["file"],
            entry["sha256"],
            tuple(Thing(**{**thing, "box": tuple(thing["box"])}) for thing in entry["things"]),
        )
        for entry in entries
    ]


def is_made(home: Path, half: Half, n: int, seed: int) -> bool:
    """Whether such a set is there."""
    return _manifest(home, half, n, seed).exists()


def _manifest(home: Path, half: Half, n: int, seed: int) -> Path:
    return home / "scenes" / f"{half}-{n}-{seed}-v{_VERSIONS[half]}.json"


def _make(folder: Path, manifest: Path, home: Path, half: Half, n: int, seed: int, progress: Progress) -> None:
    pictures = load_pictures(home, progress)
    cutouts = pictures.of_half(half)
    test = set(split(n, TEST_SHARE, SPLIT_SEED)[1].tolist()) if half == "B" else set()
    parts = [cutouts if half == "A" else [c for c in cutouts if c.held_out == held_out] for held_out in (False, True)]
    entries = []
    with progress.stage(f"make scenes {half}", n) as advance:
        for number in range(n):
            # A generator of its own: scene 7 is the same in a set of ten and in one of a thousand.
            rng = np.random.default_rng([seed, ord(half), number])
            scene = compose(choose(parts[number in test], rng), rng, pictures.photographs)
            file, sha256 = _save(folder, scene.image)
            entries.append({"file": file, "sha256": sha256, "things": [asdict(thing) for thing in scene.things]})
            advance(1)
    # The manifest comes last: a set without one was not finished, and is made again.
    write_atomically(manifest, lambda out: out.write(json.dumps(entries).encode()))


def _save(folder: Path, image: Image) -> tuple[str, str]:
    encoded = io.BytesIO()
    PIL_Image.fromarray(image).save(encoded, "JPEG", quality=_JPEG_QUALITY)
    sha256 = hashlib.sha256(encoded.getvalue()).hexdigest()
    file = f"{sha256[:2]}/{sha256}.jpg"
    if not (folder / file).exists():
        write_atomically(folder / file, lambda out: out.write(encoded.getvalue()))
    return file, sha256
