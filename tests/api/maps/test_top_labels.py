"""Colours of labels need no image that the ingest has seen."""

from pathlib import Path

import numpy as np
import pytest
from lab import N_IMAGES, fill_lab, tiny_networks

import voxel_atlas.api.maps.top_labels as top_labels
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.viz.render.label_colours import LabelColours


def test_an_image_that_the_ingest_has_encoded_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted_on: list[tuple[int, ...]] = []

    def without_umap(images: np.ndarray, labels: list[str], vectors: np.ndarray) -> LabelColours:
        fitted_on.append(images.shape)
        return LabelColours(tuple(labels), vectors[:, :3], 0.9)

    monkeypatch.setattr(top_labels, "label_colours", without_umap)
    with tiny_networks():
        fill_lab(tmp_path, 1)
        for image in (tmp_path / "subject-1").glob("*.png"):
            image.unlink()
        with Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path) as atlas:
            split = atlas.sql("SELECT stimulus_id FROM split")["stimulus_id"].to_list()
            assert split != sorted(split)  # training images, then test images
            top_labels.colour_map(atlas, None, tmp_path)
    assert fitted_on == [(N_IMAGES, 4)]
