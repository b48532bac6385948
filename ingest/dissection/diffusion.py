"""Pictures by Stable Diffusion 1.5, or by any other text-to-image pipeline of diffusers."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import torch
from diffusers import (
    AutoPipelineForText2Image,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
)

from ...atlas.backbones.batching import ShrinkingBatches
from ...atlas.backbones.device import resolve_device
from ...atlas.backbones.interface import Backbone, Image
from ...schemas.errors import BadInputError
from .interface import drawable, settings_name
from .pretrained import load_pretrained

MODELS = {"sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5"}
"""Short names; the paper's generator is Stable Diffusion 1.5."""
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
        name: sd15, a Hugging Face model id, or a folder that holds a pipeline; with a query or without.
        device: auto, cpu, cuda, cuda:1 …
        batch_size: pictures at once; halved when the GPU's memory does not hold them.

    Raises:
        MissingWeightsError: the weights are not on this machine.
        BadInputError: the query sets something else, or not to a number.
    """

    def __init__(self, name: str, device: str = "auto", batch_size: int | None = None) -> None:
        self._device = resolve_device(device)
        on_gpu = self._device != "cpu"
        dtype = torch.float16 if on_gpu else torch.float32
        name, _, query = name.partition("?")
        source = MODELS.get(name, name)

        def download(only_here: bool) -> str:
            return str(DiffusionPipeline.download(source, local_files_only=only_here))

        def load(folder: Path) -> DiffusionPipeline:
            return AutoPipelineForText2Image.from_pretrained(
                folder, dtype=dtype, local_files_only=True, low_cpu_mem_usage=False
            )

        pipeline, revision = load_pretrained(source, "generator", download, load)
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline = pipeline.to(self._device)
        self._arguments = _arguments(pipeline, source, query)
        settings = {
            "revision": revision,
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
        pixels = (np.asarray(output.images) * 255).round().astype(np.uint8)
        return [None if no else picture for picture, no in zip(pixels, refused, strict=True)]


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
