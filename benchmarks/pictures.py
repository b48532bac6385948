"""Pictures of pycortex's S1 against pycortex's own figure of the same data, in one run.

    python benchmarks/pictures.py [--json FILE] [--cache FOLDER] [--quick]

The first run works out S1's pixel maps (a minute on two cores); with --cache the next one finds them. The page is
measured in headless Chromium, on the atlas of VOXEL_ATLAS_HOME, which `voxel-atlas demo --no-serve` fills; without one,
and with --quick, it is left out.
"""

import argparse
import gzip
import io
import subprocess
import sys
import tempfile
import textwrap
import warnings
from itertools import combinations
from pathlib import Path
from typing import Any

import browser
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

import figures
from voxel_atlas.api.maps import page_geometry
from voxel_atlas.api.maps.subject_cortex import SubjectCortex
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.config import Settings
from voxel_atlas.viz.render import png, vector
from voxel_atlas.viz.render.colormaps import Scale, fit_scale
from voxel_atlas.viz.render.lettering import font
from voxel_atlas.viz.render.overlay import region_names
from voxel_atlas.viz.render.picture import Picture
from voxel_atlas.viz.surfaces import filestore
from voxel_atlas.viz.surfaces.pixel_map import Outlines
from voxel_atlas.viz.surfaces.surface import Surface, load_surface, regions

WIDTH = 1024


def main() -> None:
    arguments = figures.arguments(__doc__, _options)
    with tempfile.TemporaryDirectory() as temporary:
        cache = arguments.cache or Path(temporary)
        surface = load_surface("S1", "fullhead", cache)
        built_s, pixels = figures.timed(lambda: surface.pixel_map(WIDTH))
        outlines = surface.roi_outlines()
        volume = gaussian_filter(np.random.default_rng(0).normal(size=surface.shape), 1.5).astype(np.float32)
        values = volume.ravel() / volume.std()
        visual = _visual_cortex(surface, cache)
        some = np.where(visual, values, np.float32(np.nan))

        def scaled(values: NDArray[np.float32], **options: Any) -> Picture:
            return Picture(values, fit_scale(values[pixels.cells]), **options)

        text = {"title": "Similarity to cake", "unit": "similarity to cake (cosine)", "note": "simulated subject"}
        png.render(scaled(some, outlines=outlines), pixels)
        bare_s, _ = figures.timed(lambda: png.render(scaled(some), pixels), 100)
        lined_s, drawn = figures.timed(lambda: png.render(scaled(some, outlines=outlines), pixels), 100)
        whole_s, _ = figures.timed(lambda: png.render(scaled(values, outlines=outlines), pixels), 100)
        all_s, _ = figures.timed(lambda: png.render(scaled(some, outlines=outlines, **text), pixels), 100)
        clear = scaled(some, outlines=outlines, alpha=np.abs(values))
        alpha_s, _ = figures.timed(lambda: png.render(clear, pixels), 5)
        full = scaled(some, outlines=outlines, **text)
        svg_s, svg = figures.timed(lambda: vector.render(full, pixels, "svg"), 3)
        view = surface.view(WIDTH)
        inflated_s, _ = figures.timed(lambda: png.render(scaled(some, **text), view), 5)
        page_bytes = len(
            gzip.compress(page_geometry.pixel_map(SubjectCortex("S1", surface, np.flatnonzero(visual), {}), WIDTH), 6)
        )
        pycortex_s, agreement = _against_pycortex(surface, cache, values)

        results = {
            "flatmap_ms": 1e3 * lined_s,
            "pycortex_ms": 1e3 * pycortex_s,
            "ratio_pycortex": pycortex_s / lined_s,
            "flatmap_whole_ms": 1e3 * whole_s,
            "ratio_pycortex_whole": pycortex_s / whole_s,
            "cold_cached_ms": 1e3 * _cold(cache),
            "pixel_agreement": agreement,
            "names_overlapping": float(_overlapping(outlines, pixels.shape)),
        }
        if not arguments.quick:
            results["umap_trustworthiness"] = _umap()
            home = Settings().home
            if (home / "atlas.duckdb").exists():
                of_page = browser.measure(home)
                of_page["names_overlapping"] += results["names_overlapping"]
                results |= of_page | null_words(home)
        rows = [
            {"picture, 1,024 px": name, "ms": 1e3 * seconds, "× faster than pycortex": pycortex_s / seconds}
            for name, seconds in {
                "pycortex's figure, warm": pycortex_s,
                "flat map": bare_s,
                "with outlines and names": lined_s,
                "with outlines, whole cortex": whole_s,
                "with outlines, title and colour bar": all_s,
                "with opacities (true colour)": alpha_s,
                "SVG": svg_s,
                "inflated, four sides": inflated_s,
            }.items()
        ]
        title = (
            f"S1, {int(visual.sum()):,} voxels; pixel map {built_s:.1f} s the first time, "
            f"{page_bytes / 1024:.0f} KiB for the page; PNG {len(drawn) / 1024:.0f} KiB, SVG {len(svg) / 1024:.0f} KiB"
        )
        figures.emit(title, results, rows, arguments.json)


def null_words(home: Path) -> dict[str, float]:
    """Whether maps of nonsense stay in the null band of the demo's model, and the map of "cake" leaves it in FOOD."""
    letters = np.random.default_rng(0)
    words = ["".join(letters.choice(list(part)) for part in ("bdfgklmnprstvz", "aeiou") * 3) for _ in range(20)]
    with Atlas.open(str(home / "atlas.duckdb"), home=home) as atlas:
        model = atlas.model()
        band = model.null_band()
        maps = [model.map(word).frame for word in ("cake", *words)]
        similarities = [each["similarity"].to_numpy() for each in maps]
        outside = [~band.contains(each["voxel"].to_numpy(), each["similarity"].to_numpy()) for each in maps]
        food = model.tables.voxels().roi("FOOD")
    nonsense = float(np.median([each.mean() for each in outside[1:]]))
    above = float((outside[0] & (similarities[0] > 0))[food].mean())
    return {
        "null_word_outside": nonsense,
        "cake_above_in_food": above,
        "null_word_looks_null": float(nonsense <= 0.03 and above >= 0.5),
    }


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="keep what is worked out once in FOLDER")
    parser.add_argument("--quick", action="store_true", help="neither fit UMAP colours nor measure the page")


def _visual_cortex(surface: Surface, cache: Path) -> NDArray[np.bool_]:
    _, rois = regions(surface.name, surface.transform, cache)
    wanted = [rois[name] for name in ("V1", "V2", "V3", "FFA", "OFA", "EBA", "PPA", "OPA", "RSC")]
    seen: NDArray[np.bool_] = np.any(wanted, axis=0).ravel()
    return seen


def _overlapping(outlines: Outlines, shape: tuple[int, int]) -> int:
    """Pairs of names whose letters share a pixel."""
    size = 12 * shape[1] / 1024
    letters = [
        font(size).getbbox(name.text, anchor="mm") + np.array([name.x, name.y] * 2)
        for name in region_names(outlines, shape, size)
    ]
    return sum(bool((a[:2] < b[2:]).all() and (b[:2] < a[2:]).all()) for a, b in combinations(letters, 2))


def _against_pycortex(surface: Surface, cache: Path, values: NDArray[np.float32]) -> tuple[float, float]:
    """Seconds of pycortex's warm figure as a PNG, and the share of cortical pixels within 2 of 255 of ours."""
    import matplotlib as mpl

    mpl.use("Agg")
    cortex = filestore.pycortex(cache)
    cortex.db.filestore = filestore.database(surface.subject, cache).filestore
    cortex.db.reload_subjects()
    pixels = surface.pixel_map(WIDTH)
    data = cortex.Volume(values.reshape(surface.shape), "S1", "fullhead", vmin=-2, vmax=2, cmap="RdBu_r")

    def figure() -> bytes:
        file = io.BytesIO()
        without = {f"with_{part}": False for part in ("rois", "labels", "colorbar", "curvature")}
        cortex.quickflat.make_png(file, data, height=pixels.height, thick=1, depth=0.5, **without)
        return file.getvalue()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure()
        seconds, theirs = figures.timed(figure, 5)
    ours = png.render(Picture(values, Scale("RdBu_r", -2, 2)), pixels)
    one, other = (np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), np.int16) for file in (ours, theirs))
    return seconds, float((np.abs(one - other).max(2)[pixels.inside] <= 2).mean())


def _cold(cache: Path) -> float:
    """Seconds to the first picture with outlines in a new process that has a cached pixel map; imports not counted."""
    script = f"""
        import time
        from pathlib import Path
        import matplotlib.colors, numpy as np
        from voxel_atlas.viz.render import png
        from voxel_atlas.viz.render.colormaps import fit_scale
        from voxel_atlas.viz.render.picture import Picture
        from voxel_atlas.viz.surfaces.surface import load_surface
        values = np.random.default_rng(0).normal(size=310_000).astype(np.float32)
        start = time.perf_counter()
        surface = load_surface("S1", "fullhead", Path({str(cache)!r}))
        picture = Picture(values, fit_scale(values), outlines=surface.roi_outlines())
        png.render(picture, surface.pixel_map({WIDTH}))
        print(time.perf_counter() - start)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return min(float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(3))


def _umap() -> float:
    """Trustworthiness of the colours of 300 labels of 30 topics in 384 dimensions."""
    from voxel_atlas.viz.render.label_colours import label_colours

    rng = np.random.default_rng(0)
    topics = rng.normal(size=(30, 384))
    images = np.repeat(topics, 50, 0) + 0.8 * rng.normal(size=(1500, 384))
    vectors = np.repeat(topics, 10, 0) + 0.8 * rng.normal(size=(300, 384))
    names = [str(number) for number in range(300)]
    return label_colours(images.astype(np.float32), names, vectors.astype(np.float32)).trustworthiness


if __name__ == "__main__":
    main()
