"""How times grow with voxels, with models and with images, and a figure of it.

    python benchmarks/growth.py --picture docs/pictures/growth.svg --json FILE
    OMP_NUM_THREADS=1 python benchmarks/growth.py --cpu-time …      # where others use the machine

Numbers are random, features 384 wide. Voxels: ridge regression of 8,500 images in batches of 2,000 voxels (a batch is
the same each time), coding an index, and one search in it. Models, of 5,000 voxels each: the ranking of all voxels by a
concept, the means of all regions, and both are asked a second time. Images: what ridge prepares once, and the ten
strongest images of 2,000 voxels. `…_power` is the exponent p of time ~ sizeᵖ between the two largest sizes: 1 grows in
proportion.
"""

import argparse
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from serving import WORDS, random_atlas

import figures
from voxel_atlas.atlas.backbones.products import unit_rows
from voxel_atlas.atlas.search.across import roi_means, similar_voxels
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.filters import Filters
from voxel_atlas.atlas.search.index import VectorIndex
from voxel_atlas.atlas.search.similarity import Compared
from voxel_atlas.ingest.dissection.activation import FittedVoxels, top_images
from voxel_atlas.ingest.encoding.ridge import Ridge

DIM, BATCH, N_IMAGES = 384, 2_000, 8_500
ALPHAS = np.logspace(-8, 10, 100)
VOXELS, MODELS, IMAGES = (5_000, 20_000, 80_000, 300_000), (1, 5, 10, 20, 40), (2_000, 8_500, 20_000, 73_000)
OF_A_MODEL = 5_000
Curves = dict[str, list[float]]
"""What was timed → seconds at each size."""


def over_voxels(sizes: Sequence[int]) -> Curves:
    """Fitting, coding and searching so many voxels."""
    random = np.random.default_rng(0)
    features = random.standard_normal((N_IMAGES, DIM), np.float32)
    responses = random.standard_normal((N_IMAGES, BATCH), np.float32)
    ridge = Ridge(features, ALPHAS, [np.arange(N_IMAGES * 15 // 100)])
    ridge.fit(responses)
    found: Curves = {"ridge": [], "index": [], "search": []}
    vectors = unit_rows(random.standard_normal((max(sizes), DIM), np.float32))
    for n in sizes:
        found["ridge"].append(sum(_seconds_of_fit(ridge, responses, n)))
        seconds, index = figures.timed(lambda: VectorIndex.build(vectors[:n], np.arange(n)))  # noqa: B023 (run here)
        found["index"].append(seconds)
        found["search"].append(figures.timed(lambda: index.search(vectors[:1], 100), 7)[0])  # noqa: B023 (run here)
    return found


def _seconds_of_fit(ridge: Ridge, responses: np.ndarray, n: int) -> list[float]:
    batches = [responses[:, : min(BATCH, n - start)] for start in range(0, n, BATCH)]
    return [figures.timed(lambda: ridge.fit(batch))[0] for batch in batches]  # noqa: B023 (run here)


def over_models(home: Path, sizes: Sequence[int], n_voxels: int) -> Curves:
    """Questions to so many models at once."""
    names = [random_atlas(home, n_voxels, number=number) for number in range(max(sizes))]
    found: Curves = {"ranking": [], "means": []}
    compared, filters = Compared(WORDS[0], baseline="none"), Filters(significant=True, semantic=True)
    with Atlas.open(str(home / "atlas.duckdb"), home=home, patience=math.inf) as atlas:
        for n in sizes:
            models = [atlas.model(name) for name in names[:n]]
            of_all: dict[str, Callable[[], object]] = {
                "ranking": partial(similar_voxels, models, compared, filters, first=20),
                "means": partial(roi_means, models, [WORDS[0]], baseline="none"),
            }
            for name, question in of_all.items():
                question()
                found[name].append(figures.timed(question, 5)[0])
    return found


def over_images(sizes: Sequence[int]) -> Curves:
    """Preparing ridge from so many images, and choosing among them."""
    random = np.random.default_rng(0)
    every = random.standard_normal((max(sizes), DIM), np.float32)
    weights, zeros = random.standard_normal((BATCH, DIM), np.float32), np.zeros(BATCH, np.float32)
    voxels = FittedVoxels(weights, zeros, np.zeros(DIM, np.float32))
    found: Curves = {"prepare": [], "strongest": []}
    for n in sizes:
        features, holdout = every[:n], [np.arange(n * 15 // 100)]
        found["prepare"].append(figures.timed(lambda: Ridge(features, ALPHAS, holdout), 2)[0])  # noqa: B023 (run here)
        found["strongest"].append(figures.timed(lambda: top_images(features, voxels, 10), 2)[0])  # noqa: B023 (run here)
    return found


def powers(sizes: Sequence[int], curves: Curves, of: str) -> dict[str, float]:
    """The exponent of each curve between its two largest sizes."""
    step = math.log(sizes[-1] / sizes[-2])
    return {f"{name}_{of}_power": math.log(curve[-1] / curve[-2]) / step for name, curve in curves.items()}


def drawn(panels: Mapping[str, tuple[Sequence[int], Curves]], path: Path) -> None:
    """Draw a panel for each entry, both axes logarithmic, and save the figure in the format of the path."""
    from matplotlib.figure import Figure

    from voxel_atlas.api.report.figures import COLOURS, MARKERS, PAGE, style

    with style():
        figure = Figure((PAGE, 2.6))
        for axis, (of, (sizes, curves)) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
            for colour, marker, (name, curve) in zip(COLOURS, MARKERS, curves.items(), strict=False):
                axis.plot(sizes, curve, color=colour, marker=marker, markersize=3.5, linewidth=1.2, label=name)
            axis.set(xscale="log", yscale="log", xlabel=of, ylabel="seconds")
            named = [f"{n / 1000:g} k" if n >= 1000 else str(n) for n in sizes]
            axis.set_xticks(sizes, named, fontsize=6)
            axis.set_xticks([], minor=True)
            # Plain numbers: powers of ten would be set as mathematics, which labels must not be.
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter("")
            axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, columnspacing=1)
        figure.savefig(path, metadata={"Date": None})


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the curves there (SVG)")
    parser.add_argument("--share", type=float, default=1.0, help="of all sizes, for a look")


def main() -> None:
    """Measure, draw and report."""
    arguments = figures.arguments(__doc__, _extend)
    voxels, images = ([max(100, int(n * arguments.share)) for n in sizes] for sizes in (VOXELS, IMAGES))
    models = sorted({max(1, math.ceil(n * arguments.share)) for n in MODELS})
    with tempfile.TemporaryDirectory() as folder:
        of_models = over_models(Path(folder), models, max(100, int(OF_A_MODEL * arguments.share)))
    panels = {"voxels": (voxels, over_voxels(voxels)), "models": (models, of_models)}
    panels["images"] = images, over_images(images)
    rows: list[figures.Row] = [
        {"of": of, "what": name, "size": size, "seconds": seconds}
        for of, (sizes, curves) in panels.items()
        for name, curve in curves.items()
        for size, seconds in zip(sizes, curve, strict=True)
    ]
    found = dict[str, float]()
    for of, (sizes, curves) in panels.items():
        found |= powers(sizes, curves, of)
    if arguments.picture is not None:
        drawn(panels, arguments.picture)
    figures.emit(f"Growth, {DIM} features", found, rows, arguments.json)


if __name__ == "__main__":
    main()
