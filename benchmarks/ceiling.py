"""Whether R², and R² as a share of the noise ceiling, are what they should be on the simulated subject.

    python benchmarks/ceiling.py --json FILE

Reads the atlas of VOXEL_ATLAS_HOME, which `voxel-atlas demo --no-serve` fills. A simulated voxel's noise ceiling and
noise-free response are known, so the share of it that its model truly explains is: R² on the noise-free test responses,
which no fit ever saw. What an atlas can know of it, R² on the noisy ones over the ceiling, is compared with that.

- explained_rank: Spearman correlation over voxels of R² and the true share times the ceiling;
- explained_difference: median of their difference, without its sign;
- ceiling_rank: Spearman correlation of R² and the planted noise ceiling;
- share_rank: Spearman correlation of R² / ceiling with the true share;
- share_error: median difference of the two, without its sign; share and share_true: their medians.

The shares are those of voxels with a ceiling above 0.1: below, a share is noise divided by little.
"""

import numpy as np
from scipy.stats import spearmanr

import figures
from voxel_atlas.api.cli import demo
from voxel_atlas.atlas.backbones import load
from voxel_atlas.atlas.backbones.feature_cache import FeatureCache
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.encoding.metrics import r2 as coefficient
from voxel_atlas.ingest.encoding.split import split_by
from voxel_atlas.schemas.config import IngestConfig, Settings

LOWEST = 0.1


def main() -> None:
    """Compare and report."""
    arguments = figures.arguments(__doc__)
    settings = Settings()
    dataset = demo.subject(settings.home, settings.cortex_filestore)
    with Store.open(settings.address, read_only=True) as store:
        model_id, text = store.frame("SELECT model_id, config FROM model WHERE subject_id = 'simulated/S1'").row(0)
        sql = "FROM voxel_quality JOIN encoding USING (model_id, voxel) WHERE model_id = ? ORDER BY voxel"
        quality = store.frame(f"SELECT voxel, encoding.r2, bias, noise_ceiling, r2_of_ceiling {sql}", [model_id])
        lite = load("lite", home=settings.home)
        weights = store.vectors(f"SELECT weights {sql}", [model_id], lite.dim)
        mean = store.vectors("SELECT feature_mean FROM model WHERE model_id = ?", [model_id], lite.dim)[0]
    _, test = split_by(IngestConfig.model_validate_json(text), dataset.stimuli.height)
    cache = FeatureCache(settings.home, lite, settings.batch_images)
    features = cache.get(dataset.stimuli["sha256"].to_list(), dataset.image, lambda _: None)[test]
    predicted = (features - mean) @ weights.T + quality["bias"].to_numpy()

    r2, ceiling, share = (quality[name].to_numpy() for name in ("r2", "noise_ceiling", "r2_of_ceiling"))
    signal = np.sqrt(ceiling) * dataset.noise_free[:, quality["voxel"].to_numpy()][test]
    true_share = coefficient(signal, predicted)
    explained, sure = ceiling * true_share, ceiling > LOWEST
    measured = {
        "explained_rank": float(spearmanr(r2, explained).statistic),
        "explained_difference": float(np.median(np.abs(r2 - explained))),
        "ceiling_rank": float(spearmanr(r2, ceiling).statistic),
        "share_rank": float(spearmanr(share[sure], true_share[sure]).statistic),
        "share_error": float(np.median(np.abs(share - true_share)[sure])),
        "share": float(np.median(share[sure])),
        "share_true": float(np.median(true_share[sure])),
        "n_voxels": float(len(r2)),
    }
    figures.emit(f"{len(test)} test images", measured, json_path=arguments.json)


if __name__ == "__main__":
    main()
