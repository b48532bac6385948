"""A whole ingest with the paper's classes: open_clip's CLIP, transformers' BLIP, diffusers' Stable Diffusion.

Weights are random and, but for CLIP's, tiny; they are saved and loaded from disk as a user's are.
"""

from pathlib import Path

import numpy as np
import open_clip
import polars as pl
import pytest
import torch
from PIL import Image
from tiny import TinyDataset, digest, tiny_config

from voxel_atlas.atlas import backbones
from voxel_atlas.atlas.search import baseline
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.dissection.blip import BlipCaptioner
from voxel_atlas.ingest.run import Pipeline, open_parts
from voxel_atlas.ingest.stages import concept_queries

pytestmark = [
    # diffusers 0.42 takes the square root of a tensor through numpy, which torch 2.14 warns of.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
    pytest.mark.usefixtures("one_thread"),
]

METHODS = ("brainlmm-eq2", "brainlmm-released", "clip-msm")


class Photographs(TinyDataset):
    """20 of the tiny subject's pictures, as large as photographs."""

    def __init__(self) -> None:
        super().__init__()
        self.stimuli = self.stimuli.head(20)

    def image(self, index: int) -> np.ndarray:
        return np.kron(super().image(index), np.ones((4, 5, 1), np.uint8))

    def responses_of(self, voxels: np.ndarray) -> np.ndarray:
        return super().responses_of(voxels)[:20]


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("clip-rn50", "RN50-quickgelu"),
        pytest.param("clip-vit-b32", "ViT-B-32-quickgelu", marks=pytest.mark.slow),
    ],
)
def test_an_ingest_labels_voxels_by_every_method_and_goes_on_where_it_was(
    name: str,
    architecture: str,
    blip_folder: Path,
    pipeline_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Reading all 418 as text takes the network most of the time, and tells no more.
    few = baseline.nouns()[:20]
    for module in (baseline, concept_queries):
        monkeypatch.setattr(module, "nouns", lambda: few)
    torch.manual_seed(0)
    weights = tmp_path / "clip.pt"
    torch.save(open_clip.CLIP(**open_clip.get_model_config(architecture)).state_dict(), weights)
    backbone = backbones.load(name, weights=weights, device="cpu", home=tmp_path)
    weights.unlink()  # 400 to 600 MB
    dataset = Photographs()
    config = tiny_config(
        backbone=name, label_backbone=name, dissect="all", captioner=str(blip_folder), methods=METHODS,
        generator=f"{pipeline_folder}?steps=2", concepts=("cake", "dog", "lake"), top_images=2, n_captions=2,
        crops_per_image=1, images_per_label=2, n_alphas=5, n_bootstrap=20, batch_voxels=8, block_voxels=8,
    )  # fmt: skip

    def ingest() -> str:
        with Store.open(str(tmp_path / "atlas.duckdb")) as store:
            parts = open_parts(config, home=tmp_path, device="cpu", dataset=dataset, backbone=backbone)
            return Pipeline(store=store, home=tmp_path, device="cpu").ingest(config, parts)

    model_id = ingest()
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        top = store.frame("SELECT voxel, stimulus_id, box, response FROM top_image")
        captions = store.frame("SELECT stimulus_id, box, captioner, text FROM caption WHERE len(box) = 0")
        pictures = store.frame("SELECT * FROM synthetic_image JOIN label USING (label_id)")
        labels = store.frame("SELECT method, voxel, rank, label, score, probability FROM voxel_label")
        vectors = store.vectors("SELECT vector FROM label_embedding", [], backbone.dim)
    assert model_id.startswith(f"tiny/1/{name}/")
    assert top["box"].list.len().max() == 4, "some part of some image is small enough for a crop"

    blip = BlipCaptioner(str(blip_folder), "cpu")
    places = {row: place for place, row in enumerate(dataset.stimuli["stimulus_id"])}
    assert set(captions["captioner"]) == {blip.name}
    images = [dataset.image(places[name]) for name in captions["stimulus_id"]]
    assert captions["text"].to_list() == blip.caption(images)

    assert set(pictures["generator"].str.split("@").list.first()) == {"tiny-diffusion"}
    assert pictures.group_by("lemma").len()["len"].unique().to_list() == [2]
    with Image.open(pictures["uri"][0]) as picture:
        assert picture.size == (16, 16)

    for method in METHODS:
        mine = labels.filter(pl.col("method") == method)
        # BLIP of random weights names no thing in some images; a list needs no captions.
        assert mine["voxel"].n_unique() == 10 if method == "clip-msm" else mine["voxel"].n_unique() > 4
        for _, of_voxel in mine.group_by("voxel"):
            assert sorted(of_voxel["rank"]) == list(range(1, of_voxel.height + 1))
            assert of_voxel["probability"].sum() == pytest.approx(1, abs=1e-5)
            assert of_voxel["score"].is_finite().all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    before = digest(tmp_path)
    assert ingest() == model_id
    assert digest(tmp_path) == before
