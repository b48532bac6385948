"""The pictures of README and manual, from the atlas of VOXEL_ATLAS_HOME, which `voxel-atlas demo --no-serve` fills.

    python benchmarks/manual_pictures.py [FOLDER]

They are written into docs/pictures, or FOLDER. That of a group is of six simulated subjects, which benchmarks/group.py
makes.
"""

import io
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import browser
import group
from PIL import Image

import voxel_atlas as va
from voxel_atlas.schemas.config import Settings

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
DRAWN = {"cake": 'concept: "cake", width: 1024', "sides": 'concept: "face", views: [], width: 800'}
"""Arguments of GraphQL's flatmap."""
CONCEPTS = ["face", "cheek", "leg", "cake", "fruit", "house", "kitchen", "street", "letter", "sign", "dog", "car"]


class Shot(NamedTuple):
    """A state of the page."""

    address: str
    shown: str
    """Selector of what is waited for, beside the map."""
    height: int = 800
    width: int = 1280


SHOTS = {
    "explorer": Shot("/?concept=cake&voxel={best}", "#card:not([hidden]) .bars"),
    "brush": Shot("/?concept=house&brush=583_429_14+592_432_14", "#region .bars li"),
    "cortex-3d": Shot("/?concept=face&view=3d&side=below", "#solid-names text"),
    "compare": Shot("/?concept=cake&with=concept:house", ".said .share", 1130, 1440),
    "label-colours": Shot("/?show=labels", "#names li", 960),
}
GROUP = Shot("/?concept=face&model=all&over=t&smooth=8&voxel=4485", "#card:not([hidden]) .bars", 1000, 1440)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    folder.mkdir(exist_ok=True)
    with browser.served(Settings().home) as url, browser.chromium() as chromium:
        best = _best(url)
        for name, shot in SHOTS.items():
            _save(folder / f"{name}.png", _shoot(chromium, url, shot._replace(address=shot.address.format(best=best))))
        _save(folder / "card.png", urlopen(f"{url}/card.png?voxel={best}").read())
        for name, asked in DRAWN.items():
            picture = browser.ask(url, f"{{ flatmap({asked}) {{ url }} }}")["flatmap"]["url"]
            _save(folder / f"{name}.png", urlopen(url + picture).read())
        with va.open(url) as opened:
            model = opened.model()
            answers = {"preference": model.contrast_regions("cake", "face"), "regions": model.roi_table(CONCEPTS)}
            for name, answer in answers.items():
                drawn = answer._repr_png_()
                assert drawn, f"{name} has no picture"
                _save(folder / f"{name}.png", drawn)
    with tempfile.TemporaryDirectory() as home:
        group.make_world(Path(home), 6)
        with browser.served(Path(home)) as url, browser.chromium() as chromium:
            _save(folder / "group.png", _shoot(chromium, url, GROUP))


def _best(url: str) -> int:
    """The voxel that is most similar to "cake"."""
    found = browser.ask(url, '{ similarVoxels(concept: "cake", first: 1) { edges { node { voxel } } } }')
    return int(found["similarVoxels"]["edges"][0]["node"]["voxel"])


def _shoot(chromium: Any, url: str, shot: Shot) -> bytes:
    page = chromium.new_page(viewport={"width": shot.width, "height": shot.height})
    page.goto(url + shot.address)
    page.wait_for_selector("#legend:not([hidden])", timeout=240_000)
    page.wait_for_selector(shot.shown, state="attached", timeout=240_000)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1000)  # what fades in has done so
    content: bytes = page.screenshot()
    page.close()
    return content


def _save(path: Path, content: bytes) -> None:
    Image.open(io.BytesIO(content)).convert("RGB").save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
