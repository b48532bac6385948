"""What an answer is worth: concepts, z, specificity, low-level control, verified and first labels, cost, and doors.

Reads the atlas of VOXEL_ATLAS_HOME, which `voxel-atlas demo --no-serve` fills, and labels its model by further methods
in a copy of it.
Figures stand beside the same of a shuffled control; the parts and their definitions are in concepts.py, low_level.py,
verified.py, labels.py, evidence_cost.py and evidence_doors.py. What other processors change is in stability.py.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Literal

import concepts
import labels
import low_level
import numpy as np
import verified
from evidence_cost import measure_cost
from evidence_doors import doors_agree
from recovery import QUERIES
from wordnet import WordNet

import figures
from voxel_atlas.api.cli import demo
from voxel_atlas.atlas.backbones import load
from voxel_atlas.atlas.backbones.feature_cache import FeatureCache
from voxel_atlas.atlas.backbones.interface import Backbone, Floats
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.model import Model
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.datasets.interface import Dataset
from voxel_atlas.ingest.encoding.split import split_by
from voxel_atlas.ingest.run import Pipeline, open_parts
from voxel_atlas.schemas.config import IngestConfig, Settings

MODEL = "simulated/S1/lite"


def main() -> None:
    """Measure every part, and report."""
    arguments = figures.arguments(__doc__)
    settings = Settings()
    home = settings.home
    dataset = demo.subject(home, settings.cortex_filestore)
    lite = load("lite", home=home)
    features = FeatureCache(home, lite, settings.batch_images).get(dataset.stimuli["sha256"].to_list(), dataset.image)
    with tempfile.TemporaryDirectory() as folder:
        address = shutil.copy(settings.address, folder)
        with Atlas.open(address, home=home) as atlas:
            source = atlas.model(MODEL).model_id
        by_strongest = labelled(address, home, dataset, source, "strongest")
        by_diverse = labelled(address, home, dataset, source, "diverse")
        with Atlas.open(address, home=home) as atlas:
            further = atlas.model(by_strongest), atlas.model(by_diverse)
            measured = measure(atlas, atlas.model(source), further, lite, dataset, features, home)
    measured |= doors_agree(home)
    figures.emit("Evidence", measured, json_path=arguments.json)


def measure(
    atlas: Atlas,
    model: Model,
    further: tuple[Model, Model],
    lite: Backbone,
    dataset: Dataset,
    features: Floats,
    home: Path,
) -> dict[str, float]:
    """The figures of all parts but the doors.

    Args:
        atlas: holds the models.
        model: the demo's.
        further: the same labelled by all methods, of the strongest images and of diverse ones.
        lite: their backbone.
        dataset: the simulated subject.
        features: of all its images, (n_stimuli, dim).
        home: where networks, pictures and features are kept.
    """
    planting = atlas.store.frame("SELECT voxel, list(DISTINCT category) AS categories FROM planting GROUP BY voxel")
    planted = {voxel: set(categories) for voxel, categories in planting.iter_rows()}
    train, _ = split_by(IngestConfig.model_validate_json(model.config), len(features))
    words = lite.text([word for words in QUERIES.values() for word in words])
    wordnet = WordNet.find(home)
    parts = {
        "concepts of the demo": lambda: concepts.of_demo(atlas, model, planted),
        "words that mean nothing": lambda: {"nonsense_specific_share": concepts.nonsense(model)},
        "noise": lambda: concepts.of_noise(lite, features[train], words),
        "low-level control": lambda: low_level.measure(model, dataset, features, planted, home),
        "verified labels": lambda: verified.measure(model, dataset, features, planted, wordnet),
        "first labels": lambda: labels.measure(*further, lite, dataset, features, planted, wordnet, home),
        "fresh truths": lambda: concepts.of_fresh_truths(lite, home),
        "cost": measure_cost,
    }
    if concepts.CLIP_TEXT.exists():
        text = np.load(concepts.CLIP_TEXT).astype(np.float32)
        parts["names of LVIS"] = lambda: concepts.clip_map_correlation(text)
    measured: dict[str, float] = {}
    for name, part in parts.items():
        seconds, of_part = figures.timed(part)
        figures.emit(f"{name} ({seconds:.0f} s)", of_part)
        measured |= of_part
    return measured


def labelled(
    address: str, home: Path, dataset: Dataset, source: str, candidate_images: Literal["strongest", "diverse"]
) -> str:
    """The id of the demo's model with labels by all methods that are compared; it is labelled where it is not yet."""
    with Store.open(address) as store:
        config = store.frame("SELECT config FROM model WHERE model_id = ?", [source])["config"][0]
        changed = {"methods": labels.METHODS, "candidate_images": candidate_images}
        settings = IngestConfig.model_validate_json(config).model_copy(update=changed)
        return Pipeline(store=store, home=home).dissect(
            source, settings, open_parts(settings, home=home, dataset=dataset)
        )


if __name__ == "__main__":
    main()
