"""Everything that scenes are made of: found on the system, or fetched from Debian's packages."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PIL_Image
from skimage import data as skimage_data

from ....schemas.errors import NotFoundError
from ...progress import Progress, Silent
from .cutouts import CutOut, Half
from .debian_packages import package_root
from .drawn_words import lettering_cutouts
from .emoji import emoji_cutouts
from .stamps import stamp_cutouts

_FONT = "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
_NAMES = "usr/share/unicode/emoji/emoji-test.txt"
_STAMPS = "usr/share/tuxpaint/stamps"
_PHOTOGRAPHS = "usr/share/backgrounds/mate/nature"
_PACKAGES = {
    "fonts-noto-color-emoji": (_FONT, (".ttf",)),
    "unicode-data": (_NAMES, ("emoji-test.txt",)),
    "tuxpaint-stamps-default": (_STAMPS, (".png", ".txt")),
    "mate-backgrounds": (_PHOTOGRAPHS, (".jpg",)),
}
_OTHER_FONTS = (
    Path("/usr/share/fonts/google-noto-emoji/NotoColorEmoji.ttf"),
    Path("/usr/share/fonts/noto/NotoColorEmoji.ttf"),
    Path("/usr/share/fonts/google-noto-color-emoji-fonts/NotoColorEmoji.ttf"),
)
"""Where other systems than Debian keep the same font."""
_LONGEST_SIDE = 640


@dataclass(frozen=True)
class PictureLibrary:
    """Cut-outs, and the photographs that they are pasted on."""

    cutouts: tuple[CutOut, ...]
    photographs: tuple[Path, ...]
    note: str
    """Empty, or the sentence that says what is missing and what is used instead."""

    def of_half(self, half: Half) -> tuple[CutOut, ...]:
        """The cut-outs of one half."""
        return tuple(cutout for cutout in self.cutouts if cutout.half == half)


def load_pictures(home: Path, progress: Progress | None = None) -> PictureLibrary:
    """Find or fetch the pictures; nothing is fetched twice, and no root is needed.

    Args:
        home: the atlas's home folder; copies of packages go to home/pictures.
        progress: told what is fetched, and what is missing.

    Raises:
        NotFoundError: there is no colour emoji font, and none could be fetched.
    """
    progress = progress or Silent()
    cache = home / "pictures"
    with progress.stage("find pictures", len(_PACKAGES)) as advance, ThreadPoolExecutor(len(_PACKAGES)) as fetching:
        roots = {}
        wanted = {
            package: fetching.submit(package_root, package, probe, suffixes, cache)
            for package, (probe, suffixes) in _PACKAGES.items()
        }
        for package, found in wanted.items():
            roots[package] = found.result()
            advance(1)
    font = _inside(roots["fonts-noto-color-emoji"], _FONT) or next((f for f in _OTHER_FONTS if f.exists()), None)
    names, stamps = _inside(roots["unicode-data"], _NAMES), _inside(roots["tuxpaint-stamps-default"], _STAMPS)
    nature = _inside(roots["mate-backgrounds"], _PHOTOGRAPHS)
    emoji = emoji_cutouts(font, names) if font else []
    if not emoji:
        raise NotFoundError(
            "No pictures to make scenes of: install a colour emoji font with bitmaps (Debian: fonts-noto-color-emoji), "
            "or connect to a Debian mirror once."
        )
    cutouts = (*emoji, *(stamp_cutouts(stamps) if stamps else ()), *lettering_cutouts())
    photographs = tuple(sorted(nature.glob("*.jpg"))) if nature else _packaged_photographs()
    missing = [package for package, root in roots.items() if root is None]
    note = (
        f"Scenes are made without {', '.join(missing)}, which could not be fetched: {len(cutouts)} cut-outs, "
        f"{len(photographs)} photographs and drawn backgrounds are used."
        if missing
        else ""
    )
    if note:
        progress.note(note)
    return PictureLibrary(cutouts, photographs, note)


def _inside(root: Path | None, path: str) -> Path | None:
    return root / path if root else None


def _packaged_photographs() -> tuple[Path, ...]:
    """Textures that scikit-image ships; its photographs of things are kept for tests."""
    folder = Path(skimage_data.__file__).parent
    return tuple(path for name in ("brick", "grass", "gravel") if (path := folder / f"{name}.png").exists())


@lru_cache(maxsize=64)
def read_photograph(path: Path) -> NDArray[np.uint8]:
    """A photograph in RGB, (height, width, 3), at most 640 pixels wide or high."""
    with PIL_Image.open(path) as photograph:
        photograph.draft("RGB", (_LONGEST_SIDE, _LONGEST_SIDE))
        photograph.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
        return np.asarray(photograph.convert("RGB"))
