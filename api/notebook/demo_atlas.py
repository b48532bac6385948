"""`voxel_atlas.demo()`: a small atlas of a simulated subject, made in seconds from what is installed."""

from pathlib import Path

from ...atlas.backbones.lite.word_cards import WordCards
from ...atlas.store.store import Store
from ...ingest.progress import Progress
from ...ingest.run import Parts, Pipeline
from ...ingest.simulated.card_world import CardGenerator, CardReader, card_scenes
from ...ingest.simulated.planting import PREFERRED, Cortex
from ...ingest.simulated.subject import Simulated
from ...schemas.config import IngestConfig, Settings
from ...viz.surfaces.surface import load_surface, regions
from ..cli.demo import SURFACE, TRANSFORM, append_planting, finished_model
from ..maps.subject_cortex import PAGE_WIDTH, surfaces_cache
from .bars import bars
from .shown_atlas import NotebookAtlas

N_SCENES = 240
CONFIG = IngestConfig(
    dataset="simulated",
    subject="cards",
    backbone="word-cards",
    label_backbone="word-cards",
    captioner="cards",
    generator="cards",
    test_share=0.25,
    selection="kfold",
    significance="correlation",
    n_folds=3,
    n_alphas=12,
    top_images=4,
    n_captions=5,
    crops_per_image=1,
    crop_grid=4,
    images_per_label=2,
    min_voxels_per_label=5,
)


def demo(home: Path | None = None) -> NotebookAtlas:
    """See `voxel_atlas.demo`."""
    settings = Settings()
    folder = (home or settings.home / "cards-demo").absolute()
    address = str(folder / "atlas.duckdb")
    if not _is_made(address):
        with Store.open(address) as store, bars() as progress:
            _make(store, folder, settings, progress)
    # With the surfaces of the user's home folder: a flat map is cut once for all atlases.
    return NotebookAtlas.at(address, settings, home=folder)


def _is_made(address: str) -> bool:
    # Only read: an earlier cell may hold it open.
    if not Path(address).exists():
        return False
    with Store.open(address, read_only=True, create=False) as store:
        return finished_model(store, CONFIG) is not None


def _make(store: Store, folder: Path, settings: Settings, progress: Progress) -> None:
    cache = surfaces_cache(settings.home)
    mask, rois = regions(SURFACE, TRANSFORM, cache, settings.cortex_filestore)
    # Without V1 to V3, which answer to contrast, it takes half as long.
    cortex = Cortex(mask, {roi: rois[roi] for roi in PREFERRED if roi in rois}, SURFACE, TRANSFORM)
    network, scenes = WordCards(), card_scenes(folder, N_SCENES)
    dataset = Simulated(folder, cortex, subject=CONFIG.subject, n_voxels=1, scenes=scenes)
    parts = Parts(dataset, network, network, CardReader(network), CardGenerator())
    model_id = Pipeline(store=store, home=folder, device="cpu", progress=progress).ingest(CONFIG, parts)
    append_planting(store, dataset, model_id)
    with progress.stage("flat map", 1) as advance:
        load_surface(SURFACE, TRANSFORM, cache, settings.cortex_filestore).pixel_map(PAGE_WIDTH)
        advance(1)
