"""Cut-outs from Tux Paint's stamps: photographs and drawings of things, each with an English description."""

import re
from pathlib import Path

from .categories import stamp_concept
from .cutouts import CutOut

_PLAIN = re.compile(r"(?:(?:An?|The|Two|Some) )?([\w’'“” -]{2,40})\.?$")


def stamp_cutouts(root: Path) -> list[CutOut]:
    """The stamps under a folder that show one thing beyond doubt; drawings in SVG are left out.

    Args:
        root: Tux Paint's folder `stamps`.
    """
    cutouts = []
    for path in sorted(root.rglob("*.png")):
        concept = stamp_concept(path.parent.relative_to(root).as_posix())
        if concept is not None and not path.stem.endswith("_mirror"):
            name = path.relative_to(root).with_suffix("").as_posix()
            cutouts.append(CutOut(f"stamp/{name}", _description(path, concept), concept, (path,)))
    return cutouts


def _description(path: Path, concept: str) -> str:
    """The stamp's own description where that is a mere name, else its file's name: many address a child."""
    if concept in {"hand", "letter", "number"}:
        return {"hand": "hand sign", "letter": "letter", "number": "number"}[concept]
    text = path.with_suffix(".txt")
    first = text.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip() if text.exists() else ""
    match = _PLAIN.match(first)
    return match[1].lower() if match else re.sub(r"[\d_]+", " ", path.stem).strip().lower()
