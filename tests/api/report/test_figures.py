"""Drawn figures: text that does not overlap and stays inside, at the width of a column, the same bytes every time."""

import io
import itertools
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from voxel_atlas.api.report import figures, multiples
from voxel_atlas.viz.render.colormaps import Scale

RNG = np.random.default_rng(0)
ROIS = ("V1", "V2", "V3", "OFA", "FFA", "EBA", "PPA", "OPA", "RSC", "VWFA", "FOOD", "all")
METHODS = ("brainlmm-eq2", "clip-msm", "shuffled labels")
MODELS = [f"simulated/S{n}/lite/25982e" for n in range(1, 5)]
GRID = [(f"nsd/subj0{n}", name) for n in range(1, 9) for name in ("clip-rn50", "clip-vit-b32", "resnet50", "alexnet")]
LABELS = [f"{'long ' * (n % 4)}label {n}" for n in range(10)]


def png(width: int = 300, height: int = 200) -> bytes:
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 255, (height, width, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def values(n: int, middle: float = 0.0) -> np.ndarray:
    return np.append(RNG.normal(middle, 0.2, n), np.nan)


DRAWN: dict[str, Callable[[], Figure]] = {
    "histograms": lambda: figures.histograms(
        {model: {"significant": values(3000, 0.3), "others": values(50)} for model in MODELS},
        quantity="R² on test images",
    ),
    "no values": lambda: figures.histograms({"empty": {"none": np.empty(0)}}, quantity="R²"),
    "points against": lambda: figures.against({m: (values(90), values(90)) for m in MODELS[:2]}, x="ceiling", y="R²"),
    "density": lambda: figures.against({"many": (values(9000), values(9000))}, x="noise ceiling", y="R²"),
    "curves": lambda: figures.curves(
        {m: (np.arange(7) * 200.0, np.arange(7) / 20, np.zeros(7), np.ones(7) / 3) for m in MODELS}, x="images", y="R²"
    ),
    "boxes": lambda: figures.boxes({roi: {m: values(80) for m in METHODS} for roi in ROIS}, quantity="cosine"),
    "one box": lambda: figures.boxes({"all": {"brainlmm-eq2": values(10)}}, quantity="cosine of label and weights"),
    "bars": lambda: figures.ranked_bars(
        {f"{roi} (n = 1,234)": [(label, 30.0 - n, 28.0 - n, 33.0) for n, label in enumerate(LABELS)] for roi in ROIS},
        quantity="share (%)",
    ),
    "points": lambda: figures.points(
        ["body", "face", "food", "place", "word"],
        {m: {c: RNG.uniform(-0.2, 0.9, 8) for c in ("body", "face", "food", "place")} for m in METHODS},
        quantity="Pearson r over voxels",
        one="category",
    ),
    "matrices": lambda: figures.matrices(
        {f"{m}\nbrainlmm-eq2": (ROIS, RNG.uniform(0, 1, (12, 12))) for m in MODELS}, quantity="overlap (0 to 1)"
    ),
    "points with intervals": lambda: figures.points(
        ["body", "face"],
        {m: {c: np.array([0.4]) for c in ("body", "face")} for m in METHODS},
        quantity="Pearson r over voxels",
        one="category",
        ends={m: {c: np.array([[0.3], [0.5]]) for c in ("body", "face")} for m in METHODS},
    ),
    "pictures": lambda: figures.pictures(
        {c: png() for c in ("tennis player", "man", "cake")},
        shared=(Scale("RdBu_r", -0.2, 0.2), "similarity to the concept (cosine)"),
        columns=2,
    ),
    "small multiples": lambda: multiples.estimate_grid(
        {key: {m: [(0.3, 0.2, 0.4), None, (0.1, 0.0, 0.3), (0.2, 0.1, 0.3), None] for m in METHODS} for key in GRID},
        ["EBA", "FFA", "FOOD", "RSC", "VWFA"],
        quantity="cosine of label and half, less the mean noun",
    ),
    "labels of multiples": lambda: multiples.label_grid(
        {
            (row, roi): [(label, 30.0 - n, 28.0 - n, 33.0) for n, label in enumerate(LABELS[:5])]
            for row, _ in GRID
            for roi in ("EBA", "FFA", "FOOD", "RSC", "VWFA")
        },
        quantity="share of voxels (%)",
    ),
    "maps of multiples": lambda: multiples.picture_grid(
        dict.fromkeys(GRID, png(300, 150)), (Scale("RdBu_r", -0.2, 0.2), "similarity to cake (cosine)")
    ),
}


@cache
def figure_of(name: str) -> Figure:
    return DRAWN[name]()


def drawn_text(figure: Figure) -> list[tuple[str, np.ndarray]]:
    """Every text that is really drawn and its (left, bottom, right, top) in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # the layout takes one round
    drawn: list[Text] = []
    draw = Text.draw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", lambda text, renderer: (drawn.append(text), draw(text, renderer)))
        canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in drawn if text.get_visible()]
    return [(text, np.array([box.x0, box.y0, box.x1, box.y1])) for text, box in boxes if text.strip()]


@pytest.mark.parametrize("name", DRAWN)
def test_no_text_overlaps_another_or_leaves_the_figure(name):
    figure = figure_of(name)
    found = drawn_text(figure)
    assert found
    width, height = figure.bbox.width, figure.bbox.height
    for text, (left, bottom, right, top) in found:
        assert left > -1, text
        assert bottom > -1, text
        assert right < width + 1, text
        assert top < height + 1, text
    for (one, a), (other, b) in itertools.combinations(found, 2):
        overlaps = min(a[2], b[2]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[1], b[1]) > 1
        assert not overlaps, f"{one!r} and {other!r}"


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_as_wide_as_a_column_or_a_page_and_has_readable_letters(name):
    figure = figure_of(name)
    assert figure.get_figwidth() in (figures.COLUMN, figures.PAGE)
    assert min(text.get_fontsize() for text in figure.findobj(Text)) >= 7


def test_axes_say_what_they_show():
    for name in ("histograms", "points against", "density", "curves", "boxes", "bars", "points"):
        axes = figure_of(name).axes[0]
        assert axes.get_xlabel()
        assert axes.get_ylabel() or name == "bars"


def test_equal_figures_give_equal_files():
    groups = {"FFA": {"a": np.arange(9.0)}}
    one, other = (figures.saved(figures.boxes(groups, quantity="cosine")) for _ in range(2))
    assert one == other
    assert one.png.startswith(b"\x89PNG")
    assert b"cosine" in one.svg  # text stays text


def test_colours_can_be_told_apart_without_red_or_green_cones():
    """Distances in CIELAB after the transforms of Machado et al. 2009 for complete deficiency."""
    from skimage.color import rgb2lab

    deficiencies = {
        "none": np.eye(3),
        "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    }
    first = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in figures.COLOURS[:4]])
    linear = np.where(first <= 0.04045, first / 12.92, ((first + 0.055) / 1.055) ** 2.4)
    for matrix in deficiencies.values():
        seen = np.clip(linear @ np.array(matrix).T, 0, 1)
        shown = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
        lab = rgb2lab(shown[None])[0]
        distance = np.linalg.norm(lab[:, None] - lab[None], axis=2)[np.triu_indices(4, 1)]
        assert distance.min() > 15
