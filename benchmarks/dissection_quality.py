"""What dissecting finds of what was planted in the simulated subject: by other settings, and beside a fixed list.

Reads the atlas of VOXEL_ATLAS_HOME, which `voxel-atlas demo --no-serve` fills, and dissects in a copy of it.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from kinds import kinds
from numpy.typing import NDArray
from recovery import QUERIES, Found
from scipy.stats import binomtest, pearsonr
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights
from wordnet import WordNet

import figures
from voxel_atlas.api.cli.demo import CONFIG, finished_model, subject
from voxel_atlas.api.report.analysis.measured_truth import response_truth
from voxel_atlas.api.report.analysis.study_data import StudyData
from voxel_atlas.atlas.backbones import load
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.run import Pipeline, open_parts
from voxel_atlas.schemas.config import IngestConfig

ABLATIONS: dict[str, dict[str, object]] = {
    "as_demo": {},
    "no_crops": {"crops_per_image": 0},
    "captions_5": {"n_captions": 5},
    "captions_20": {"n_captions": 20},
    "best_ranked_1": {"best_ranked": 1},
    "best_ranked_10": {"best_ranked": 10},
    "pictures_5": {"images_per_label": 5},
    "released": {"methods": ("brainlmm-released",)},
}
"""Name → what differs from the demo's settings: 1 crop an image, N = 10 captions, a = 5, t = 10, Eq. 2."""

MISSING = frozenset({"food", "word"})
"""Planted categories that the fixed list has nothing of."""
_OF_REGIONS = (
    "face head eye mouth smile portrait man woman child arm hand leg dancer runner house building street mountain "
    "kitchen room beach bridge city field"
)
"""Words for the planted categories that COCO lacks."""


class Laboratory:
    """A copy of the demo's atlas in which the subject is dissected anew."""

    def __init__(self, home: Path, atlas: Path) -> None:
        self.home, self.atlas = home, atlas
        self.dataset = subject(home, None)
        self.lite = load("lite", home=home)
        self.wordnet = WordNet.find(home)
        with Store.open(str(atlas), read_only=True) as store:
            found = finished_model(store, CONFIG)
        if found is None:
            sys.exit(f"{atlas} has no model by the demo's settings; run `voxel-atlas demo --no-serve`.")
        self.source, self.config = found

    def dissect(self, changes: dict[str, object]) -> str:
        """The id of the model that has the labels by these settings."""
        config = IngestConfig.model_validate({**self.config.model_dump(), **changes})
        with Store.open(str(self.atlas)) as store:
            parts = open_parts(config, home=self.home, device="cpu", dataset=self.dataset, backbone=self.lite)
            return Pipeline(store=store, home=self.home, device="cpu").dissect(self.source, config, parts)

    @contextmanager
    def found(self, model_id: str) -> Iterator[Found]:
        """What the atlas holds of a model."""
        with (
            Store.open(str(self.atlas), read_only=True) as store,
            Atlas.open(str(self.atlas), home=self.home) as opened,
        ):
            text = opened.model(model_id).config
            yield Found(store, opened, model_id, IngestConfig.model_validate_json(text), self.dataset.stimuli.height)


@contextmanager
def laboratory(home: Path) -> Iterator[Laboratory]:
    """A laboratory that is gone afterwards; pictures that are made stay in the home folder."""
    with tempfile.TemporaryDirectory() as name:
        atlas = Path(name) / "atlas.duckdb"
        shutil.copy(home / "atlas.duckdb", atlas)
        yield Laboratory(home, atlas)


def ablations(home: Path, names: Sequence[str]) -> dict[str, float]:
    """Share of significant voxels with a right first label, for each setting; one of the first five is printed, too."""
    rows: list[figures.Row] = []
    with laboratory(home) as room:
        for name in names:
            seconds, model_id = figures.timed(partial(room.dissect, ABLATIONS[name]))
            with room.found(model_id) as found:
                hits = [found.hits(room.wordnet, first, moved=False) for first in (1, 5)]
            n_labels = room_labels(room, model_id)
            rows.append({"setting": name, "top 1": hits[0], "top 5": hits[1], "labels": n_labels, "seconds": seconds})
    figures.emit("Ablations: voxels whose planted category is named", {}, rows)
    return {f"ablation_{row['setting']}": float(str(row["top 1"])) for row in rows}


def room_labels(room: Laboratory, model_id: str) -> int:
    with Store.open(str(room.atlas), read_only=True) as store:
        sql = "SELECT count(DISTINCT label_id) AS n FROM label_score WHERE model_id = ? AND rank IS NOT NULL"
        return int(store.frame(sql, [model_id])["n"][0])


def fixed_list(wordnet: WordNet) -> tuple[str, ...]:
    """COCO's classes, and words for the categories that they lack; nothing that is food or writing."""
    classes = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    words = [name for name in classes if name[0] != "_" and name != "N/A"] + _OF_REGIONS.split()
    return tuple(dict.fromkeys(word for word in words if not kinds(wordnet, word) & MISSING))


def against_a_list(home: Path) -> dict[str, float]:
    """First labels by BrainLMM and by CLIP-MSM with a list that lacks planted concepts, voxel by voxel."""
    with laboratory(home) as room:
        concepts = fixed_list(room.wordnet)
        model_id = room.dissect({"methods": ("brainlmm-eq2", "clip-msm"), "concepts": concepts})
        with room.found(model_id) as found:
            first = {
                method: dict(
                    found.atlas.model(model_id)
                    .voxel_labels(found.voxels.tolist(), method=method, first=1)
                    .select("voxel", "label")
                    .iter_rows()
                )
                for method in ("brainlmm-eq2", "clip-msm")
            }
            rows, measured = [], {"list_length": float(len(concepts))}
            for name, categories in (("missing", MISSING), ("on the list", {"face", "body", "place"})):
                voxels = [v for v in first["clip-msm"] if found.planted[v] & categories]
                free, fixed = (right(room.wordnet, first[method], found, voxels, categories) for method in first)
                test = binomtest(int((free & ~fixed).sum()), int((free ^ fixed).sum()))
                rows.append(
                    {
                        "planted concepts": name,
                        "voxels": len(voxels),
                        "BrainLMM": float(free.mean()),
                        "CLIP-MSM": float(fixed.mean()),
                        "BrainLMM only": int((free & ~fixed).sum()),
                        "CLIP-MSM only": int((fixed & ~free).sum()),
                        "p (McNemar)": float(test.pvalue),
                    }
                )
                if name == "missing":
                    measured["missed_by_list_found_by_brainlmm"] = float((free & ~fixed).mean())
                    measured["missed_by_list_p"] = float(test.pvalue)
    figures.emit(f"First labels, and those of a list of {len(concepts)} concepts", {}, rows)
    return measured


def category_maps(home: Path) -> dict[str, float]:
    """Fig. 5's measure, correlation of category maps by labels with mean measured responses, for lists that differ."""
    rows: list[figures.Row] = []
    measured: dict[str, float] = {}
    with laboratory(home) as room:
        lacking = fixed_list(room.wordnet)
        lists = {
            "lacking": lacking,
            "complete": (*lacking, *QUERIES["food"], *QUERIES["word"]),
            "answers": tuple(QUERIES),
        }
        for name, concepts in lists.items():
            model_id = room.dissect({"methods": ("brainlmm-eq2", "clip-msm"), "concepts": concepts})
            with room.found(model_id) as found:
                found_r = _map_correlations(room, found)
            for method, by_category in found_r.items():
                mean = float(np.mean(list(by_category.values())))
                rows.append({"method": method, "list": name, "concepts": len(concepts), **by_category, "mean": mean})
                measured["maps_brainlmm" if method == "brainlmm-eq2" else f"maps_list_{name}"] = mean
    figures.emit("Category maps against measured responses", {}, [row for row in rows if row["method"] == "clip-msm"])
    figures.emit("The same by labels from captions", {}, [rows[0]])
    return measured


def _map_correlations(room: Laboratory, found: Found) -> dict[str, dict[str, float]]:
    """Method → category → Pearson correlation over the voxels that both methods label."""
    model = found.atlas.model(found.model_id)
    truth = response_truth(
        StudyData.of(model.model_id, found.config, room.dataset), room.dataset.contents(), found.voxels
    )
    correlations: dict[str, dict[str, float]] = {}
    for method in ("brainlmm-eq2", "clip-msm"):
        correlations[method] = {}
        for (category,), true in truth.group_by("category", maintain_order=True):
            shown = model.map(str(category), by="labels", method=method).frame
            both = shown.join(true, on="voxel").drop_nulls(["similarity", "truth"])
            correlations[method][str(category)] = float(pearsonr(both["similarity"], both["truth"]).statistic)
    return correlations


def right(
    wordnet: WordNet, first: dict[int, str], found: Found, voxels: list[int], categories: set[str] | frozenset[str]
) -> NDArray[np.bool_]:
    """Whether each voxel's first label belongs to one of these categories that was planted in it."""
    return np.array([bool(kinds(wordnet, first.get(v, "")) & found.planted[v] & categories) for v in voxels])
