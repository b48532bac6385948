"""A tiny Stable Diffusion pipeline as a single file: its tensors under the names that CompVis's code gave them."""

import re
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

_RESNET = [
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("time_emb_proj", "emb_layers.1"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
]
_UNET = [
    (r"^conv_in", "input_blocks.0.0"),
    (r"^time_embedding.linear_1", "time_embed.0"),
    (r"^time_embedding.linear_2", "time_embed.2"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^down_blocks.0.resnets.0", "input_blocks.1.0"),
    (r"^down_blocks.0.downsamplers.0.conv", "input_blocks.2.0.op"),
    (r"^down_blocks.1.resnets.0", "input_blocks.3.0"),
    (r"^down_blocks.1.attentions.0", "input_blocks.3.1"),
    (r"^mid_block.resnets.0", "middle_block.0"),
    (r"^mid_block.attentions.0", "middle_block.1"),
    (r"^mid_block.resnets.1", "middle_block.2"),
    (r"^up_blocks.0.resnets.([01])", r"output_blocks.\1.0"),
    (r"^up_blocks.0.attentions.([01])", r"output_blocks.\1.1"),
    (r"^up_blocks.0.upsamplers.0", "output_blocks.1.2"),
    (r"^up_blocks.1.resnets.0", "output_blocks.2.0"),
    (r"^up_blocks.1.resnets.1", "output_blocks.3.0"),
]
_VAE = [
    (r"down_blocks.(\d).resnets.(\d)", r"down.\1.block.\2"),
    (r"down_blocks.(\d).downsamplers.0", r"down.\1.downsample"),
    (r"up_blocks.0.", "up.1."),
    (r"up_blocks.1.", "up.0."),
    (r"up.(\d).resnets.(\d)", r"up.\1.block.\2"),
    (r"upsamplers.0", "upsample"),
    (r"mid_block.resnets.0", "mid.block_1"),
    (r"mid_block.resnets.1", "mid.block_2"),
    (r"mid_block.attentions.0", "mid.attn_1"),
    (r"group_norm", "norm"),
    (r"to_([qkv])\.", r"\1."),
    (r"to_out.0", "proj_out"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
]


def save_single_file(folder: Path, file: Path, without: str = "") -> None:
    """Write a pipeline of two blocks of one layer as one file, but for a tensor."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    tensors = {}
    for name, tensor in pipeline.unet.state_dict().items():
        inner = _RESNET if ".resnets." in name else []
        tensors[f"model.diffusion_model.{_renamed(_renamed(name, _UNET), inner)}"] = tensor
    for name, tensor in pipeline.vae.state_dict().items():
        # Attention was written as convolutions.
        convolved = tensor[:, :, None, None] if re.search(r"to_(q|k|v|out.0)\.weight", name) else tensor
        tensors[f"first_stage_model.{_renamed(name, _VAE)}"] = convolved
    for name, tensor in pipeline.text_encoder.state_dict().items():
        tensors[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    tensors.pop(without, None)
    save_file({name: tensor.contiguous().to(torch.float16) for name, tensor in tensors.items()}, file)


def _renamed(name: str, pairs: list[tuple[str, str]]) -> str:
    for old, new in pairs:
        name = re.sub(old, new, name)
    return name
