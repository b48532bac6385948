"""How much disk a job takes, by the plain sum of what it keeps."""

import pytest

from voxel_atlas.ingest.datasets.inventory import Disk
from voxel_atlas.schemas.config import IngestConfig

GIB = 2**30


def disk(**settings: object) -> Disk:
    config = IngestConfig(dataset="nsd", subject="5", **settings)
    return Disk.of(config, n_images=10_000, n_probe=73_000, n_voxels=300_000, n_features=1024, copies=7)


def test_the_disk_of_a_fit_is_features_weights_and_index() -> None:
    fitted = disk(dissect="none")
    assert fitted.features == 4 * 1024 * (10_000 + 2 * 73_000)
    assert fitted.atlas == 300_000 * 4 * 1024 + 4 * 1024 * 1024
    assert fitted.index == 300_000 * 5 * 1024
    assert (fitted.pictures, fitted.copies) == (0, 7)
    assert fitted.total == fitted.features + fitted.atlas + fitted.index + 7


@pytest.mark.parametrize(("generator", "n_bytes"), [("collage", 65_000), ("sd15", 512 * 512 * 3)])
def test_labels_add_crops_captions_and_pictures(generator: str, n_bytes: int) -> None:
    labelled, fitted = disk(generator=generator, crops_per_image=1), disk(dissect="none")
    # Every image is among the ten that drive one of 300,000 voxels; each has one crop, and both are captioned.
    labels = round(8.3 * (2 * 73_000) ** 0.5)
    assert labelled.pictures == labels * 10 * n_bytes
    assert labelled.features - fitted.features == 4 * 1024 * (73_000 + labels * 10)
    assert labelled.atlas - fitted.atlas == 300_000 * 3400
    assert labelled.total > 6 * GIB
