"""The paper's networks with random weights, as users have them on disk: of true size for `gpu.py`, tiny for tests."""

import string
from pathlib import Path

import open_clip
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from open_clip.transform import PreprocessCfg
from transformers import (
    BertTokenizerFast,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizerFast,
)

from voxel_atlas.atlas.backbones.openclip import OpenClip

_TINY_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def clip_model(*, small: bool) -> open_clip.CLIP:
    """CLIP RN50; the same weights at each call."""
    torch.manual_seed(0)
    return open_clip.CLIP(**(_TINY_CLIP if small else open_clip.get_model_config("RN50-quickgelu"))).eval()


def clip(device: str, *, small: bool) -> OpenClip:
    """The same as a backbone."""
    model = clip_model(small=small)
    size = PreprocessCfg(size=model.visual.image_size)
    return OpenClip("random", model, size, open_clip.get_tokenizer("RN50"), device)


def blip(folder: Path, *, small: bool) -> Path:
    """BLIP base; its captions say nothing, and are as long as captions may be."""
    side = 32 if small else 384
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]"]
    n_words = 40 if small else 30_524 - len(special)
    vocabulary = {word: place for place, word in enumerate([*special, *(f"w{number}" for number in range(n_words))])}
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokens = {name: vocabulary[f"[{token}]"] for name, token in (("bos_token_id", "DEC"), ("sep_token_id", "SEP"))}
    text = {"vocab_size": len(vocabulary), "eos_token_id": vocabulary["[SEP]"], "initializer_range": 0.5, **tokens}
    # At BLIP's own 1e-10 the image would not matter.
    vision = {"image_size": side, "patch_size": 16, "initializer_range": 0.02}
    if small:
        text, vision = text | shape | {"encoder_hidden_size": 16}, vision | shape
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    model.half().save_pretrained(folder)
    tokenizer = BertTokenizerFast(vocab=vocabulary, bos_token="[DEC]")
    BlipProcessor(BlipImageProcessor(size={"height": side, "width": side}), tokenizer).save_pretrained(folder)
    return folder


def diffusion(folder: Path, *, small: bool) -> Path:
    """Stable Diffusion 1.5 without its safety checker."""
    torch.manual_seed(0)
    letters = [letter + end for letter in string.ascii_lowercase for end in ("", "</w>")]
    vocabulary = {token: place for place, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    width = 16 if small else 768
    if small:
        blocks: dict[str, object] = {
            "sample_size": 8, "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4,
            "attention_head_dim": 4, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        }  # fmt: skip
    else:
        blocks = {"sample_size": 64, "block_out_channels": (320, 640, 1280, 1280), "attention_head_dim": 8}
    channels = (8, 8) if small else (128, 256, 512, 512)
    vae = AutoencoderKL(
        block_out_channels=channels,
        layers_per_block=1 if small else 2,
        norm_num_groups=4 if small else 32,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
    )
    text = CLIPTextConfig(
        vocab_size=len(vocabulary) if small else 49_408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=1 if small else 12,
        num_attention_heads=2 if small else 12,
        bos_token_id=vocabulary["<|startoftext|>"],
        eos_token_id=vocabulary["<|endoftext|>"],
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizerFast(vocab=vocabulary, merges=[], model_max_length=77),
        unet=UNet2DConditionModel(cross_attention_dim=width, **blocks),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float32 if small else torch.float16).save_pretrained(folder)
    return folder
