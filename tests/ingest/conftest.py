"""BLIP and Stable Diffusion as a user has them on disk: the true classes, with tiny random weights."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import random_networks
import torch
from diffusers import (
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from labelled import Begin, ingest
from transformers import (
    BertTokenizerFast,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
)

_WORDS = "a of on by red cake dog tree man street horse table boat kite bird lamp".split()  # noqa: SIM905 - a sentence


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small are slowed by threads that wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def use_threads() -> Iterator[Callable[[int], None]]:
    """Sets on how many threads torch works until the test ends."""
    threads = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Begin:
    """Puts the tiny subject, fitted and not labelled, into a home folder."""
    return _begun(tmp_path_factory.mktemp("fitted"), dissect="none")


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Begin:
    """Puts the tiny subject with its labels into a home folder."""
    return _begun(tmp_path_factory.mktemp("labelled"))


def _begun(made: Path, **changes: object) -> Begin:
    model_id = ingest(made, **changes)

    def begin(home: Path) -> str:
        shutil.copytree(made, home, dirs_exist_ok=True)
        return model_id

    return begin


@pytest.fixture(scope="session")
def blip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BLIP as a user has it on disk, three layers of eight numbers wide."""
    folder = tmp_path_factory.mktemp("blip")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]"]
    vocabulary = {word: place for place, word in enumerate([*special, *_WORDS])}
    text = {
        "vocab_size": len(vocabulary),
        "hidden_size": 16,
        "encoder_hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "bos_token_id": vocabulary["[DEC]"],
        "eos_token_id": vocabulary["[SEP]"],
        "sep_token_id": vocabulary["[SEP]"],
        "pad_token_id": vocabulary["[PAD]"],
        "initializer_range": 0.5,
    }
    vision = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
        "initializer_range": 0.5,  # at BLIP's 1e-10 the image would not matter
    }
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision, projection_dim=16))
    model.save_pretrained(folder)
    tokenizer = BertTokenizerFast(vocab=vocabulary, bos_token="[DEC]")
    processor = BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion as a user has it on disk, with networks of a few channels and 16-pixel pictures."""
    return random_networks.diffusion(tmp_path_factory.mktemp("pipelines") / "tiny-diffusion", small=True)


@pytest.fixture(scope="session")
def newer_pipeline_folder(pipeline_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion XL, which has two text encoders and is called otherwise, as small as the other."""
    folder = tmp_path_factory.mktemp("pipelines") / "tiny-xl"
    torch.manual_seed(1)
    older = StableDiffusionPipeline.from_pretrained(pipeline_folder)
    text = CLIPTextConfig(**{**older.text_encoder.config.to_dict(), "hidden_size": 16, "projection_dim": 16})
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=32,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=16 + 6 * 8,
        transformer_layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    pipeline = StableDiffusionXLPipeline(
        vae=older.vae,
        text_encoder=CLIPTextModel(text),
        text_encoder_2=CLIPTextModelWithProjection(text),
        tokenizer=older.tokenizer,
        tokenizer_2=older.tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(steps_offset=1),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder)
    return folder
