"""The whole dissection with the paper's classes: open_clip's CLIP, transformers' BLIP, diffusers' Stable Diffusion."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from tiny import picture

from atlas import backbones
from ingest.dissection.activation import by_image, image_maps, top_images
from ingest.dissection.blip import BlipCaptioner
from ingest.dissection.crops import CropRules, crop_boxes, cut
from ingest.dissection.diffusion import DiffusionGenerator
from ingest.dissection.nouns import NounExtractor
from ingest.dissection.scoring import Pictures, Similarity, probe_mean, score
from ingest.dissection.synthesis import seed_of

pytestmark = [
    # diffusers 0.42 takes the square root of a tensor through numpy, which torch 2.14 warns of.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
    pytest.mark.usefixtures("one_thread"),
]


@pytest.mark.parametrize(
    ("name", "architecture"), [("clip-rn50", "RN50-quickgelu"), ("clip-vit-b32", "ViT-B-32-quickgelu")]
)
def test_voxels_are_dissected_from_images_to_probabilities(
    name: str, architecture: str, blip_folder: Path, pipeline_folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    weights_file = tmp_path / "clip.pt"
    torch.save(open_clip.CLIP(**open_clip.get_model_config(architecture)).state_dict(), weights_file)
    backbone = backbones.load(name, weights=weights_file, device="cpu", home=tmp_path)
    weights_file.unlink()  # 400 to 600 MB

    rng = np.random.default_rng(0)
    images = [
        np.kron(picture(colour, i), np.ones((4, 5, 1), np.uint8)) for i, colour in enumerate(("rose", "leaf", "lake"))
    ]
    features = backbone.features(images)
    weights = rng.normal(size=(5, backbone.dim)).astype(np.float32)
    bias, mean = np.zeros(5, np.float32), features.mean(axis=0)
    top, _ = top_images(features, weights, bias, mean, 2)

    crops, wanted = [], []
    for maps in image_maps(backbone, images.__getitem__, by_image(top), weights):
        height, width = maps.image.shape[:2]
        seen = backbone.seen(width, height)
        for row, activation_map in zip(maps.rows, maps.maps, strict=True):
            assert activation_map.shape == (7, 7)
            boxes = crop_boxes(activation_map, seen, CropRules(), (width, height))
            wanted += [int(row)] * len(boxes)
            crops += [cut(maps.image, box) for box in boxes]
    assert wanted, "no map is constant, and some part of one is small enough for a crop"

    captions = BlipCaptioner(str(blip_folder), "cpu").caption(images + crops)
    nouns = NounExtractor().nouns(captions)
    candidates: dict[int, set[str]] = {
        voxel: {noun for image in top[voxel] for noun in nouns[image]} for voxel in range(5)
    }
    for voxel, words in zip(wanted, nouns[len(images) :], strict=True):
        candidates[voxel] |= set(words)
    labels = sorted(set().union(*candidates.values()))
    assert labels

    generator = DiffusionGenerator(f"{pipeline_folder}?steps=2", "cpu")
    drawn = generator.generate_batch(
        [(label, [seed_of(label, generator.name, i) for i in range(3)]) for label in labels]
    )
    pictures = backbone.features([image for of_label in drawn for image in of_label])
    pairs = [(voxel, labels.index(label)) for voxel in candidates for label in candidates[voxel]]
    voxel, label = np.array(pairs, np.int64).T
    similarity = Similarity(probe_mean(features, top), pictures / np.linalg.norm(pictures, axis=1, keepdims=True))
    for method in ("brainlmm-eq2", "brainlmm-released"):
        scores = score(
            weights,
            voxel,
            label,
            Pictures(np.repeat(np.arange(len(labels)), 3), pictures),
            method=method,
            similarity=similarity,
        )
        assert len(scores.voxel) == len(pairs)
        assert np.isfinite(scores.score).all()
        for row in range(5):
            mine = scores.voxel == row
            assert scores.rank[mine].tolist() == list(range(1, mine.sum() + 1))
            assert scores.probability[mine].sum() == pytest.approx(1 if candidates[row] else 0, abs=1e-5)
