"""CLIP networks (Radford et al. 2021) as open_clip builds them: one space for images and text.

Weights are taken from the hub's cache, from OpenAI's, or from a file; nothing is ever downloaded here.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from huggingface_hub import try_to_load_from_cache
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transform import PreprocessCfg, image_transform_v2
from open_clip.transformer import VisionTransformer

from ...schemas.errors import BadInputError, MissingWeightsError
from .batching import Batches
from .device import resolve_device
from .interface import Box, Floats, Image, centre_crop
from .products import weighted
from .weights import check_sha256, fingerprint, given_file, load_into, read_state

_TEXTS_AT_ONCE = 256
_WORDS = 3
_PHRASE = re.compile(r"(an?|the|one|two|three|some|many|my|this|these|photos?|pictures?|images?)\b", re.IGNORECASE)


class OpenClip:
    """A CLIP network; see `Backbone`. Features are the image embedding before it is normalised.

    Args:
        name: name in the registry.
        model: the network, with its weights.
        preprocess: how its images were preprocessed in training.
        tokenizer: from texts to tokens.
        device: where it runs.
    """

    has_text = True

    def __init__(self, name: str, model: Any, preprocess: PreprocessCfg, tokenizer: Any, device: str) -> None:
        self.name = name
        self._visual = model.visual.eval().to(device)
        self._model = model.eval().to(device)
        self.dim = int(self._visual.output_dim)
        self._preprocess = preprocess
        transform = image_transform_v2(preprocess, is_train=False)
        self._embed = Batches(transform, self._model.encode_image, device)
        self._embed_positions = Batches(transform, self._positions, device)
        self._tokenizer = tokenizer
        self._device = device
        self.preprocessing = str(preprocess)
        self.fingerprint = fingerprint(model, preprocess)

    def features(self, images: Sequence[Image]) -> Floats:
        """Image embeddings, (n_images, dim)."""
        return self._embed(images)

    def local_features(self, images: Sequence[Image]) -> Floats:
        """Embedding of every position, (n_images, dim, height, width).

        In a ResNet, the attention pool's value and output projections at each position, without its position code and
        its attention (MaskCLIP: Zhou, Loy & Dai 2022); in a ViT, the last block's patch tokens through the final
        normalisation and projection. Neither pools linearly, so the mean over positions is not the embedding.
        """
        return self._embed_positions(images)

    def activation_maps(self, local: Floats, weights: Floats) -> Floats:
        """Weights (n_voxels, dim) at every position of local (dim, height, width), (n_voxels, height, width)."""
        return weighted(local, weights)

    def seen(self, width: int, height: int) -> Box:
        """The square in the centre of the image; all of it where the network was trained on squashed images."""
        if self._preprocess.resize_mode != "shortest":
            return 0, 0, width, height
        size = self._preprocess.size
        side = size if isinstance(size, int) else size[0]
        return centre_crop(width, height, side, side)

    def text(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of texts, (n_texts, dim); a bare noun stands for "a photo of a" noun."""
        vectors = np.empty((len(texts), self.dim), np.float32)
        prompts = [prompted(text) for text in texts]
        with torch.inference_mode():
            for start in range(0, len(prompts), _TEXTS_AT_ONCE):
                tokens = self._tokenizer(prompts[start : start + _TEXTS_AT_ONCE]).to(self._device)
                encoded = self._model.encode_text(tokens, normalize=True)
                vectors[start : start + len(encoded)] = encoded.float().cpu().numpy()
        return vectors

    def knows_word(self, word: str) -> bool:
        """See WordList."""
        return f"{word}</w>" in self._tokenizer.encoder

    def _positions(self, batch: torch.Tensor) -> torch.Tensor:
        visual = self._visual
        if isinstance(visual, ModifiedResNet):
            x = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(batch)))))
            pool = visual.attnpool
            values: torch.Tensor = pool.c_proj(pool.v_proj(x.permute(0, 2, 3, 1)))
            return values.permute(0, 3, 1, 2)
        if isinstance(visual, VisionTransformer):
            x = visual.forward_intermediates(batch, indices=1, normalize_intermediates=True, intermediates_only=True)
            tokens: torch.Tensor = x["image_intermediates"][-1]
            return torch.einsum("nchw,cd->ndhw", tokens, visual.proj)
        raise BadInputError(
            f"{self.name}: activation maps are known for CLIP's ResNets and ViTs, not for its image tower."
        )


def prompted(text: str) -> str:
    """The caption that stands for a concept: "a photo of a dog" for "dog", "a photo of an apple" for "apple".

    What is a caption already stays as it is: a text of more than three words, or one that begins with an article, a
    number or "photo of".
    """
    text = " ".join(text.split())
    if not text or len(text.split()) > _WORDS or _PHRASE.match(text):
        return text
    article = "an" if text[0].lower() in "aeiou" else "a"
    return f"a photo of {article} {text}"


def load(name: str, architecture: str, tag: str, *, weights: Path | None, device: str) -> OpenClip:
    """Make a CLIP network.

    Args:
        name: name in the registry.
        architecture: open_clip's name of it, with -quickgelu where it was trained so.
        tag: open_clip's name of the weights.
        weights: file of the weights; None looks into the caches.
        device: auto, cpu, cuda …

    Raises:
        MissingWeightsError: the weights are not on this machine.
        BadInputError: the file is damaged, or holds another network.
    """
    config = open_clip.get_pretrained_cfg(architecture.removesuffix("-quickgelu"), tag)
    path = given_file(weights) or _cached(name, config.get("hf_hub", "").strip("/"), str(config.get("url", "")))
    settings = open_clip.get_model_config(architecture)
    # create_model would do, but it warns of random weights, which are replaced in the next lines.
    model = (open_clip.CustomTextCLIP if settings.pop("custom_text", False) else open_clip.CLIP)(**settings)
    state = read_state(path)
    for key in ("input_resolution", "context_length", "vocab_size"):
        state.pop(key, None)  # OpenAI's archives hold three numbers among the tensors
    load_into(model, state, name, path)
    known = {key: config[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    preprocess = PreprocessCfg(size=model.visual.image_size, **known)
    return OpenClip(name, model, preprocess, open_clip.get_tokenizer(architecture), resolve_device(device))


def _cached(name: str, repository: str, url: str) -> Path:
    for file in (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME):
        if repository and isinstance(cached := try_to_load_from_cache(repository, file), str):
            return Path(cached)
    # OpenAI's addresses hold the SHA-256 of the file: …/models/<sha256>/RN50.pt
    *_, sha256, file = ["", *url.split("/")]
    published = len(sha256) == 64
    original = Path.home() / ".cache" / "clip" / file
    if published and original.exists():
        check_sha256(original, sha256)
        return original
    hub = f"fetch them into the hub's cache with `hf download {repository} {HF_SAFE_WEIGHTS_NAME}`, or "
    raise MissingWeightsError(
        f"The weights of {name} are not on this machine: {hub if repository else ''}pass --weights PATH"
        + (f" of {url}" if url else "")
        + (f" (SHA-256 {sha256})." if published else ".")
    )
