"""What an answer is worth: concepts, z, specificity, low-level control, verified and first labels, and their cost.

Reads the atlas of VOXEL_ATLAS_HOME, which `voxel-atlas demo --no-serve` fills. Every figure stands beside the same of a
shuffled control; the parts and their definitions are in concepts.py, low_level.py, verified.py, labels.py, stability.py
and evidence_cost.py.
"""

import concepts
import numpy as np
from evidence_cost import measure_cost
from recovery import QUERIES

import figures
from voxel_atlas.api.cli import demo
from voxel_atlas.atlas.backbones import load
from voxel_atlas.atlas.backbones.feature_cache import FeatureCache
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.ingest.encoding.split import split_by
from voxel_atlas.schemas.config import IngestConfig, Settings


def main() -> None:
    """Measure every part, and report."""
    arguments = figures.arguments(__doc__)
    settings = Settings()
    dataset = demo.subject(settings.home, settings.cortex_filestore)
    lite = load("lite", home=settings.home)
    cache = FeatureCache(settings.home, lite, settings.batch_images)
    features = cache.get(dataset.stimuli["sha256"].to_list(), dataset.image)
    with Atlas.open(settings.address, home=settings.home) as atlas:
        model = atlas.model("simulated/S1/lite")
        planting = atlas.store.frame("SELECT voxel, list(DISTINCT category) AS categories FROM planting GROUP BY voxel")
        planted = {voxel: set(categories) for voxel, categories in planting.iter_rows()}
        train, _ = split_by(IngestConfig.model_validate_json(model.config), len(features))
        words = lite.text([word for words in QUERIES.values() for word in words])
        parts = {
            "concepts of the demo": lambda: concepts.of_demo(atlas, model, planted),
            "words that mean nothing": lambda: {"nonsense_specific_share": concepts.nonsense(model)},
            "noise": lambda: concepts.of_noise(lite, features[train], words),
            "fresh truths": lambda: concepts.of_fresh_truths(lite, settings.home),
            "cost": measure_cost,
        }
        if concepts.CLIP_TEXT.exists():
            parts["names of LVIS"] = lambda: concepts.clip_map_correlation(
                np.load(concepts.CLIP_TEXT).astype(np.float32)
            )
        measured: dict[str, float] = {}
        for name, part in parts.items():
            seconds, figures_of_part = figures.timed(part)
            figures.emit(f"{name} ({seconds:.0f} s)", figures_of_part)
            measured |= figures_of_part
    figures.emit("Evidence", measured, json_path=arguments.json)


if __name__ == "__main__":
    main()
