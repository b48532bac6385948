"""The simulated subject on pycortex's S1: what `voxel-atlas demo` brings into the atlas."""

from pathlib import Path

from ...atlas.store.store import Store
from ...ingest.progress import Progress
from ...ingest.run import Pipeline, open_parts
from ...ingest.simulated.alignment import N_SCENES as N_CALIBRATION
from ...ingest.simulated.alignment import calibrate
from ...ingest.simulated.planting import Cortex
from ...ingest.simulated.scenes.scene_set import SPLIT_SEED, TEST_SHARE
from ...ingest.simulated.subject import N_SCENES, N_VOXELS, WORLD, Simulated, save_world
from ...schemas.config import IngestConfig, Settings
from ...schemas.stage import Stage
from ...viz.surfaces.surface import load_surface, regions
from ..maps.subject_cortex import PAGE_WIDTH, surfaces_cache

SURFACE, TRANSFORM = "S1", "fullhead"

CONFIG = IngestConfig(
    dataset="simulated",
    subject="S1",
    test_share=TEST_SHARE,
    seed=SPLIT_SEED,
    selection="kfold",
    # Voxels of one category want nearly the same crops: on a grid they share them, and the demo takes minutes.
    crop_grid=4,
    crops_per_image=1,
    min_voxels_per_label=5,
)
"""The demo's settings. They differ from the paper's where two processor cores would take hours."""


def configs(n_subjects: int) -> list[IngestConfig]:
    """The demo's settings for subjects S1, S2 … on one cortex: each has a tuning and noise of its own."""
    return [CONFIG.model_copy(update={"subject": f"S{number}"}) for number in range(1, n_subjects + 1)]


def subject(
    home: Path,
    filestore: Path | None,
    *,
    name: str = CONFIG.subject,
    n_scenes: int = N_SCENES,
    n_voxels: int = N_VOXELS,
    progress: Progress | None = None,
) -> Simulated:
    """A simulated subject; the scenes, which all of them see, are made the first time.

    What it shares with others is left in `home`, where the reader of simulated data finds it.
    """
    mask, rois = regions(SURFACE, TRANSFORM, surfaces_cache(home), filestore)
    cortex = Cortex(mask, rois, SURFACE, TRANSFORM)
    save_world(home, cortex, n_scenes, n_voxels)
    return Simulated(home, cortex, subject=name, n_scenes=n_scenes, n_voxels=n_voxels, progress=progress)


def is_complete(store: Store, home: Path, config: IngestConfig = CONFIG) -> bool:
    """Whether the atlas holds the whole demo of a subject, made by these settings, and `home` what its reader needs."""
    return (home / WORLD).exists() and finished_model(store, config) is not None


def finished_model(store: Store, config: IngestConfig) -> tuple[str, IngestConfig] | None:
    """Id and settings of a simulated subject's whole model made by these settings, which it has filled in."""
    finished = store.frame(
        "SELECT DISTINCT model_id, m.config FROM model m JOIN run r USING (model_id) "
        "WHERE r.state = 'finished' AND m.subject_id = ?",
        [f"simulated/{config.subject}"],
    )
    unbound = {"probe": config.probe, "data_sha256": "", "backbone_sha256": "", "preprocessing": ""}
    for model_id, text in finished.iter_rows():
        known = IngestConfig.model_validate_json(text)
        if known.model_copy(update=unbound) == config:
            return model_id, known
    return None


def run(
    store: Store,
    settings: Settings,
    progress: Progress,
    *,
    config: IngestConfig = CONFIG,
    n_calibration: int = N_CALIBRATION,
    n_scenes: int = N_SCENES,
    n_voxels: int = N_VOXELS,
) -> str:
    """Bring a simulated subject into the atlas, or go on with it; gives the model's id."""
    calibrate(settings.home, progress, n_scenes=n_calibration)
    dataset = subject(
        settings.home,
        settings.cortex_filestore,
        name=config.subject,
        n_scenes=n_scenes,
        n_voxels=n_voxels,
        progress=progress,
    )
    pipeline = Pipeline(
        store=store,
        home=settings.home,
        device=settings.device,
        batch_images=settings.batch_images,
        progress=progress,
    )
    parts = open_parts(config, home=settings.home, device=settings.device, dataset=dataset)
    model_id = pipeline.ingest(config, parts)
    append_planting(store, dataset, model_id)
    # Cut the flat map now: the first visitor of the page would wait for it.
    with progress.stage("flat map", 1) as advance:
        load_surface(SURFACE, TRANSFORM, surfaces_cache(settings.home), settings.cortex_filestore).pixel_map(PAGE_WIDTH)
        advance(1)
    return model_id


def append_planting(store: Store, dataset: Simulated, run_id: str) -> None:
    """Store what the voxels were tuned to, which only evaluations read; once a subject."""
    batch = {"planting": dataset.planting().to_arrow()}
    store.append(batch, run_id=run_id, stage=Stage.PLANTING, key=dataset.subject.subject_id)
