"""The simulated subject on pycortex's S1: what `voxel-atlas demo` brings into the atlas."""

from pathlib import Path

import polars as pl

from api.console import Bars
from api.places import PAGE_WIDTH, SURFACES
from atlas.backbones import load
from atlas.store import Store
from ingest.datasets.planting import Regions
from ingest.datasets.simulated import Simulated
from ingest.pipeline import ingest
from ingest.scenes.alignment import calibrate
from schemas.config import IngestConfig, Settings
from viz.surface import load_surface, regions

SURFACE, TRANSFORM = "S1", "fullhead"

CONFIG = IngestConfig(
    dataset="simulated",
    subject="S1",
    test_share=0.25,
    selection="kfold",
    # Voxels of one category want nearly the same crops: on a grid they share them, and the demo takes minutes.
    crop_grid=4,
    crops_per_image=1,
    min_voxels_per_label=5,
)
"""The demo's settings. They differ from the paper's where two processor cores would take hours."""


def subject(home: Path, filestore: Path | None) -> Simulated:
    """The simulated subject; its scenes are made the first time."""
    mask, rois = regions(SURFACE, TRANSFORM, home / SURFACES, filestore)
    return Simulated(home, Regions(mask=mask, rois=rois, surface=SURFACE, transform=TRANSFORM))


def is_complete(store: Store) -> bool:
    """Whether the atlas holds the whole demo, made by these settings."""
    finished = store.frame(
        "SELECT DISTINCT m.config FROM model m JOIN run r USING (model_id) "
        "WHERE r.state = 'finished' AND m.subject_id = 'simulated/S1'"
    )
    unbound = {"data_sha256": "", "backbone_sha256": ""}
    return any(
        IngestConfig.model_validate_json(config).model_copy(update=unbound) == CONFIG for config in finished["config"]
    )


def run(store: Store, settings: Settings, bars: Bars) -> str:
    """Bring the simulated subject into the atlas, or go on with it; gives the model's id."""
    calibrate(settings.home, bars)
    dataset = subject(settings.home, settings.cortex_filestore)
    backbone = load(CONFIG.backbone, device=settings.device, home=settings.home)
    model_id = ingest(
        store,
        dataset,
        CONFIG,
        backbone,
        backbone,
        home=settings.home,
        device=settings.device,
        batch_images=settings.batch_images,
        progress=bars,
    )
    append_planting(store, dataset, model_id)
    # Cut the flat map now: the first visitor of the page would wait for it.
    with bars.stage("flat map", 1):
        load_surface(SURFACE, TRANSFORM, settings.home / SURFACES, settings.cortex_filestore).pixel_map(PAGE_WIDTH)
    return model_id


def append_planting(store: Store, dataset: Simulated, run_id: str) -> None:
    """Store what the voxels were tuned to, which only evaluations read; once a subject."""
    subject_id = dataset.subject.subject_id
    planting = dataset.planting()
    if "subject_id" not in planting.columns:
        planting = planting.with_columns(pl.lit(subject_id).alias("subject_id"))
    store.append({"planting": planting.to_arrow()}, run_id=run_id, stage="planting", key=subject_id)
