"""Pictures by Stable Diffusion 1.5, or by any other text-to-image pipeline of diffusers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import diffusers
import numpy as np
import torch
import transformers
from diffusers import (
    AutoPipelineForText2Image,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    ModelMixin,
    StableDiffusionPipeline,
)
from diffusers.loaders.single_file_utils import fetch_diffusers_config, load_single_file_checkpoint
from huggingface_hub import snapshot_download

from ...atlas.backbones.batching import ShrinkingBatches
from ...atlas.backbones.device import resolve_device
from ...atlas.backbones.interface import Backbone, Image
from ...atlas.backbones.weights import require_hub
from ...schemas.errors import BadInputError
from .interface import drawable, settings_name
from .pretrained import (
    CONFIGURATIONS,
    found,
    noting_missing,
    read_network,
    readable_weights,
    require_whole,
    version_of,
    whole,
)

MODELS = {"sd15": ("stable-diffusion-v1-5/stable-diffusion-v1-5", "runwayml/stable-diffusion-v1-5")}
"""Short names, and the ids under which a cache may have the model; the paper's generator is Stable Diffusion 1.5."""
INDEX = "model_index.json"
_CHECKER = "safety_checker"
_SPARE = (_CHECKER, "feature_extractor")
"""Parts of a pipeline that draw nothing, and that people leave out."""
PROMPT = "One realistic image of {label}"
DISTILLED = ("turbo", "lightning", "lcm", "hyper", "schnell")
"""Words in the names of models that were distilled to a few steps without guidance: 4 steps, guidance 0."""
_ATTEMPTS = 4
"""Seeds that are tried for a picture which the pipeline's own safety checker blackens."""

_SETTINGS: dict[str, list[tuple[str, type[float]]]] = {
    "steps": [("num_inference_steps", int)],
    "guidance": [("guidance_scale", float)],
    "size": [("height", int), ("width", int)],
}
"""Setting → the pipeline's arguments that it gives a value."""

_Wish = tuple[str, int]
"""Label and seed of a picture."""


class DiffusionGenerator:
    """A diffusers pipeline, in half precision on a GPU.

    A Stable Diffusion pipeline gets the paper's sampler: DPM-Solver multistep, 50 steps. Other pipelines keep their own
    scheduler and number of steps, distilled ones take 4 steps. A query after the name sets what is to be different:
    `stabilityai/sd-turbo?steps=2`, `sd15?steps=25&guidance=5&size=768`.

    Each picture has a random generator of its own on the CPU, so it is the same, up to rounding, whatever is drawn
    beside it. A picture that the pipeline's safety checker blackens is drawn again from the next seed, and the label is
    refused when that happens four times.

    Args:
        name: sd15, a Hugging Face model id, a folder that holds a pipeline, or a single file of its weights; with a
            query or without.
        device: auto, cpu, cuda, cuda:1 …
        batch_size: pictures at once; halved when the GPU's memory does not hold them.

    Raises:
        MissingWeightsError: the weights are not on this machine.
        BadInputError: the query sets something else, or not to a number; a file is damaged or lacks weights.
    """

    def __init__(self, name: str, device: str = "auto", batch_size: int | None = None) -> None:
        self._device = resolve_device(device)
        on_gpu = self._device != "cpu"
        dtype = torch.float16 if on_gpu else torch.float32
        name, _, query = name.partition("?")
        path = found(name, "generator", _repositories(name), INDEX)
        with whole(name, "generator", path):
            pipeline, read_as = (_of_file if path.is_file() else _of_folder)(path, dtype)
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline = pipeline.to(self._device)
        self._arguments = _arguments(pipeline, _repositories(name)[0], query)
        self._path = path
        settings = {
            **read_as,
            "pipeline": type(pipeline).__name__,
            "scheduler": type(pipeline.scheduler).__name__,
            "prompt": PROMPT,
            "dtype": str(dtype),
            **self._arguments,
        }
        self.name = settings_name(Path(name).name, settings)
        self._batches = ShrinkingBatches(self._draw, batch_size or (32 if on_gpu else 2), "drawing")

    @classmethod
    def load(cls, name: str, *, loaded: tuple[Backbone, ...], home: Path, device: str) -> "DiffusionGenerator":  # noqa: ARG003
        """See `GeneratorClass`; its weights live in the hub's cache."""
        return cls(name, device)

    @classmethod
    def fetch(cls, name: str) -> None:
        """See `Fetchable`; of a single file the configuration."""
        require_hub()
        source = name.partition("?")[0]
        if Path(source).is_file():
            snapshot_download(_configured_by(Path(source)), allow_patterns=[*CONFIGURATIONS])
        else:
            DiffusionPipeline.download(_repositories(source)[0])

    def generate(self, requests: Sequence[tuple[str, Sequence[int]]]) -> list[list[Image] | None]:
        """See Generator; all pictures of all labels go through the network in common batches."""
        wishes = [(drawable(label), seed) for label, seeds in requests for seed in seeds]
        pictures: list[Image | None] = [None] * len(wishes)
        for attempt in range(_ATTEMPTS):
            missing = [place for place, picture in enumerate(pictures) if picture is None]
            drawn = self._batches([(wishes[place][0], wishes[place][1] + attempt) for place in missing])
            for place, picture in zip(missing, drawn, strict=True):
                pictures[place] = picture
        remaining = iter(pictures)
        answers = []
        for _, seeds in requests:
            own = [next(remaining) for _ in seeds]
            made = [picture for picture in own if picture is not None]
            answers.append(made if len(made) == len(own) else None)
        return answers

    @torch.inference_mode()
    def _draw(self, wishes: Sequence[_Wish]) -> list[Image | None]:
        """A picture for each wish, None where the safety checker refuses it."""
        output = self._pipeline(
            prompt=[PROMPT.format(label=label) for label, _ in wishes],
            generator=[torch.Generator("cpu").manual_seed(seed) for _, seed in wishes],
            output_type="np",
            **self._arguments,
        )
        refused = getattr(output, "nsfw_content_detected", None) or [False] * len(wishes)
        shares = np.asarray(output.images)
        if not (numbers := np.isfinite(shares).all(axis=(1, 2, 3))).all():
            raise BadInputError(
                f"{self._path}: the picture of {wishes[int(numbers.argmin())][0]!r} has pixels that are no numbers "
                f"(NaN) in {self._pipeline.dtype}; get the files again, or draw with VOXEL_ATLAS_DEVICE=cpu."
            )
        pixels = (shares * 255).round().astype(np.uint8)
        return [None if no else picture for picture, no in zip(pixels, refused, strict=True)]


def _repositories(name: str) -> tuple[str, ...]:
    """Hugging Face ids of what a user names, the first of which can be fetched."""
    return next((ids for short, ids in MODELS.items() if name == short or name in ids), (name,))


def _of_folder(folder: Path, dtype: torch.dtype) -> tuple[DiffusionPipeline, dict[str, str]]:
    """A pipeline from its folder, and how it was read: what makes its pictures others.

    Weights of a variant are taken where a part has no others. A safety checker that the user left out is not used.
    """
    index, read_as = json.loads((folder / INDEX).read_bytes()), {"revision": version_of(folder)}
    parts: dict[str, Any] = {}
    for name, (library, kind) in ((name, part) for name, part in index.items() if isinstance(part, list)):
        network = _class(library, kind)
        if name in _SPARE and not (folder / name).is_dir():
            parts[name] = None
        elif isinstance(network, type) and issubclass(network, torch.nn.Module):
            of_diffusers = {"low_cpu_mem_usage": False} if issubclass(network, ModelMixin) else {}
            parts[name], variant = read_network(network, folder / name, dtype=dtype, **of_diffusers)
            read_as |= {f"variant of {name}": variant} if variant else {}
    if _CHECKER in parts and parts[_CHECKER] is None and index[_CHECKER][0]:
        read_as[_CHECKER] = "none"
        parts["requires_safety_checker"] = False
    pipeline = AutoPipelineForText2Image.from_pretrained(
        folder, dtype=dtype, local_files_only=True, low_cpu_mem_usage=False, **parts
    )
    return pipeline, read_as


def _of_file(file: Path, dtype: torch.dtype) -> tuple[DiffusionPipeline, dict[str, str]]:
    """A pipeline from a single file of weights, and how it was read.

    What the file does not hold, the networks' shapes and the tokenizer, is taken from a pipeline's folder in which the
    file lies, or from the published pipeline that the file is of.
    """
    folder = file.parent
    if not (folder / INDEX).is_file():
        repository = _configured_by(file)
        folder = found(repository, "generator", [repository], INDEX)
    pipeline_class = _class("diffusers", json.loads((folder / INDEX).read_bytes())["_class_name"])
    if not hasattr(pipeline_class, "from_single_file"):
        raise BadInputError(f"{file}: {folder / INDEX} is of no pipeline that comes as a single file; give its folder.")
    with readable_weights(str(file)), noting_missing() as missing:
        pipeline = pipeline_class.from_single_file(str(file), config=str(folder), local_files_only=True, dtype=dtype)
    networks = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    for network in dict.fromkeys([*networks, *missing]):
        require_whole(network, missing.get(network, ()), str(file))
    return pipeline, {"revision": version_of(file), "single file": "yes"}


def _configured_by(file: Path) -> str:
    """The repository whose configuration a single file of weights has, by the names and shapes of its tensors."""
    with readable_weights(str(file)):
        tensors = load_single_file_checkpoint(str(file), local_files_only=True)
    return str(fetch_diffusers_config(tensors)["pretrained_model_name_or_path"])


def _class(library: str | None, name: str) -> Any:
    """What a pipeline's index names; None where it is of no library, or of one that is not known here."""
    of_pipeline = getattr(diffusers.pipelines, library or "", None)
    module = of_pipeline or {"diffusers": diffusers, "transformers": transformers}.get(library or "")
    return getattr(module, name or "", None)


def _arguments(pipeline: DiffusionPipeline, source: str, query: str) -> dict[str, float]:
    """Steps, guidance and size that the pipeline is called with; its sampler is set on the way."""
    arguments: dict[str, float] = {}
    if any(word in Path(source).name.lower() for word in DISTILLED):
        arguments = {"num_inference_steps": 4, "guidance_scale": 0.0}
    elif isinstance(pipeline, StableDiffusionPipeline):
        pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
        arguments = {"num_inference_steps": 50}
    return arguments | _wanted(query)


def _wanted(query: str) -> dict[str, float]:
    """The arguments that a query such as steps=25&guidance=5&size=512 sets."""
    wanted: dict[str, float] = {}
    try:
        for setting, value in parse_qsl(query, strict_parsing=bool(query)):
            for argument, kind in _SETTINGS[setting]:
                wanted[argument] = kind(value)
    except (KeyError, ValueError) as error:
        raise BadInputError(
            f"The generator's settings {query!r} are not understood; write for example ?steps=25&guidance=5&size=512."
        ) from error
    return wanted
