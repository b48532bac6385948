"""CLIP networks (Radford et al. 2021) as open_clip builds them: one space for images and text.

Weights are taken from the hub's cache, from OpenAI's, or from a file; only `fetch` asks anybody for them.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from huggingface_hub import constants, try_to_load_from_cache
from open_clip.constants import HF_CONFIG_NAME, HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transform import PreprocessCfg, image_transform_v2
from open_clip.transformer import VisionTransformer

from ...schemas.errors import BadInputError, MissingWeightsError
from ...schemas.files import file_sha256
from .batching import Batches
from .device import resolve_device
from .interface import Box, Floats, Image, centre_crop
from .products import weighted
from .weights import (
    State,
    check_hub_sha256,
    check_sha256,
    fingerprint,
    given_file,
    load_into,
    read_state,
    require_hub,
)

_log = logging.getLogger(__name__)

_OPENAIS = ("input_resolution", "context_length", "vocab_size")
"""Numbers that OpenAI's archives hold among the tensors."""
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
        activation: that of its layers where it is not OpenAI's QuickGELU, as weights do not tell.
    """

    has_text = True
    weights_file: Path | None = None
    """From which it was loaded."""

    def __init__(
        self, name: str, model: Any, preprocess: PreprocessCfg, tokenizer: Any, device: str, activation: str = ""
    ) -> None:
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
        self.fingerprint = fingerprint(model, f"{preprocess}{activation}")

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

    Its activation and its preprocessing are those that the file was trained with, where that is known, whatever the
    name: OpenAI's networks have QuickGELU, most of LAION's have GELU, and weights fit either.

    Args:
        name: name in the registry.
        architecture: open_clip's name of it.
        tag: open_clip's name of the weights.
        weights: file of the weights; None looks into the caches.
        device: auto, cpu, cuda …

    Raises:
        MissingWeightsError: the weights are not on this machine.
        BadInputError: the file is damaged, or holds another network.
    """
    base = architecture.removesuffix("-quickgelu")
    named = _published(base, tag)
    path = given_file(weights) or _cached(name, named.get("hf_hub", "").strip("/"), str(named.get("url", "")))
    state = read_state(path)
    # What was found by its name is what was published under it.
    trained = named if weights is None else {**named, **(_trained_as(base, path, state) or named)}
    quick = trained["quick_gelu"]
    if quick != named["quick_gelu"]:
        _log.warning("%s was trained with %s, and is used so.", path, "QuickGELU" if quick else "GELU")
    settings = {**open_clip.get_model_config(base), "quick_gelu": quick}
    # create_model would do, but it warns of random weights, which are replaced in the next lines.
    model = (open_clip.CustomTextCLIP if settings.pop("custom_text", False) else open_clip.CLIP)(**settings)
    load_into(model, {key: tensor for key, tensor in state.items() if key not in _OPENAIS}, name, path)
    known = {key: trained[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    preprocess = PreprocessCfg(size=model.visual.image_size, **known)
    tokenizer, activation = open_clip.get_tokenizer(base), "" if quick else " GELU"
    network = OpenClip(name, model, preprocess, tokenizer, resolve_device(device), activation)
    network.weights_file = path
    return network


def fetch(architecture: str, tag: str) -> None:
    """Bring the weights of a tag into the hub's cache, or into OpenAI's where the hub has none; see `Fetchable`."""
    published = open_clip.get_pretrained_cfg(architecture.removesuffix("-quickgelu"), tag)
    if published.get("hf_hub"):
        require_hub()
    open_clip.download_pretrained(published)


def _trained_as(architecture: str, path: Path, state: State) -> Mapping[str, Any] | None:
    """How the weights of a file were trained; None where nothing tells."""
    for tag in open_clip.list_pretrained_tags_by_model(architecture):
        published = _published(architecture, tag)
        repository, (sha256, file) = published.get("hf_hub", "").strip("/"), _named_by(str(published.get("url", "")))
        in_cache = f"models--{repository.replace('/', '--')}" in path.absolute().parts
        if in_cache or (path.name == file and file_sha256(path).startswith(sha256)):
            return published
    if (beside := path.parent / HF_CONFIG_NAME).is_file():
        try:
            said = json.loads(beside.read_bytes())
            return {"quick_gelu": said["model_cfg"].get("quick_gelu", False), **said.get("preprocess_cfg", {})}
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise BadInputError(f"{beside}: no configuration of open_clip ({error!r}); get it again.") from None
    return _published(architecture, "openai") if _OPENAIS[0] in state else None


def _published(architecture: str, tag: str) -> dict[str, Any]:
    """What open_clip knows of weights that were published."""
    return {"quick_gelu": False, **open_clip.get_pretrained_cfg(architecture, tag)}


def _named_by(url: str) -> tuple[str, str]:
    """The beginning of the SHA-256 that an address tells, and the name of the file."""
    # OpenAI's hold it whole, …/models/<sha256>/RN50.pt, and open_clip's its beginning, …-46683a32.pt.
    match = re.search(r"(?:/(?P<whole>[0-9a-f]{64}))?/[^/]*?(?:-(?P<part>[0-9a-f]{8}))?\.pt$", url)
    return (match["whole"] or match["part"] or "" if match else ""), url.rpartition("/")[2]


def _cached(name: str, repository: str, url: str) -> Path:
    for file in (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME):
        if repository and isinstance(cached := try_to_load_from_cache(repository, file), str):
            check_hub_sha256(Path(cached))
            return Path(cached)
    sha256, file = _named_by(url)
    original = Path.home() / ".cache" / "clip" / file
    if len(sha256) == 64 and original.exists():
        check_sha256(original, sha256)
        return original
    looked = " or ".join([*([constants.HF_HUB_CACHE] if repository else []), *([str(original.parent)] if url else [])])
    files = " or ".join([*([f"{HF_SAFE_WEIGHTS_NAME} of {repository}"] if repository else []), *([url] if url else [])])
    raise MissingWeightsError(
        f"The weights of {name} are not in {looked}: pass --download to fetch them, or --weights PATH of {files}"
        + (f" (SHA-256 {sha256})." if len(sha256) == 64 else ".")
    )
