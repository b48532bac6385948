"""What a GPU does: rates of every step that uses one, its floors, half precision, and equality with the CPU.

    python benchmarks/gpu.py --json FILE                        # at most 8 minutes, of which networks are made in one
    python benchmarks/gpu.py --small --device cpu               # tiny sizes, to see that it runs

CLIP RN50, BLIP base and Stable Diffusion 1.5 have random weights of true size, so that nothing is fetched: rates are
those of the real ones, captions and pictures say nothing. A floor is the network alone, or the product alone, on what
is on the device already; `…_of_floor` is the share of a step's time that its floor makes up. `…_half_gain` is how much
faster that floor is in float16 than in float32. What is compared with the CPU is the same call with `device="cpu"`:
features and maps by the largest difference as a share of the CPU's standard deviation, ridge by its penalties and
weights, captions by the share that is equal (float16 there, float32 here), a picture of two sampler steps by its mean
difference in 255ths. The bootstrap and the product that makes activation maps run on the CPU everywhere: their rates
are of the machine's CPU, and the bootstrap's `…_gpu_gain` is how much faster its two products would be on the device.
Parts run in turn until the minutes are over; figures are written after each of them.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import random_networks
import torch
from diffusers import UNet2DConditionModel
from transformers import AutoModelForImageTextToText

import figures
from voxel_atlas.atlas.backbones.device import resolve_device
from voxel_atlas.ingest.dissection.blip import BlipCaptioner
from voxel_atlas.ingest.dissection.diffusion import DiffusionGenerator
from voxel_atlas.ingest.encoding.ridge import Ridge
from voxel_atlas.ingest.encoding.significance import bootstrap_p
from voxel_atlas.schemas.errors import BadInputError

Found = dict[str, float]
_Result = TypeVar("_Result")
HALVES = (torch.float32, torch.float16)
ALPHAS = np.logspace(-8, 10, 100)
N_STEPS = 50
"""Sampler steps of a picture, as in the paper; 2 where it is tiny."""


class Gpu:
    """The steps, on a device, of true or of tiny size."""

    def __init__(self, device: str, folder: Path, *, small: bool) -> None:
        self.device, self.folder, self.small = device, folder, small
        self.random = np.random.default_rng(0)

    def size(self, true: int, tiny: int) -> int:
        return tiny if self.small else true

    def timed(self, run: Callable[[], _Result], repeats: int = 1) -> tuple[float, _Result]:
        """As `figures.timed`, until the device is done."""

        def done() -> _Result:
            result = run()
            if self.device != "cpu":
                torch.cuda.synchronize()
            return result

        return figures.timed(done, repeats)

    def pictures(self, n: int) -> list[np.ndarray]:
        """Images of NSD's size."""
        side = self.size(425, 64)
        return list(self.random.integers(0, 256, (n, side, side, 3), np.uint8))

    def encode(self) -> Found:
        """Features of images, and activation maps."""
        network = random_networks.clip(self.device, small=self.small)
        same = random_networks.clip("cpu", small=self.small)
        images, few = self.pictures(self.size(2_000, 8)), 4
        network.features(images[:few])
        seconds, features = self.timed(lambda: network.features(images))
        n_batch, side = self.size(256, 4), self.size(224, 64)
        batch = torch.randn(n_batch, 3, side, side, device=self.device)
        alone = random_networks.clip_model(small=self.small).visual.to(self.device)
        floors, answers = [], []
        with torch.inference_mode():
            for dtype in HALVES:
                visual = alone.to(dtype)
                inside = batch.to(dtype)
                visual(inside)
                floor, answer = self.timed(lambda: visual(inside), 5)  # noqa: B023 (run here)
                floors.append(floor / n_batch)
                answers.append(answer.float().cpu().numpy())
        n_voxels = self.size(2_000, 20)
        weights = self.random.standard_normal((n_voxels, network.dim), np.float32)
        local_s, local = self.timed(lambda: network.local_features(images[: self.size(256, 4)]))
        maps_s, maps = figures.timed(lambda: [network.activation_maps(each, weights) for each in local[:few]])
        expected = [same.activation_maps(each, weights) for each in same.local_features(images[:few])]
        return {
            "encode_images_per_s": len(images) / seconds,
            "encode_of_floor": floors[0] * len(images) / seconds,
            "encode_half_gain": floors[0] / floors[1],
            "encode_half_error": _off(answers[1], answers[0]),
            "encode_cpu_error": _off(features[:few], same.features(images[:few])),
            "local_images_per_s": len(local) / local_s,
            "maps_us_per_pair": 1e6 * maps_s / (len(maps) * n_voxels),
            "maps_cpu_error": _off(np.stack(maps), np.stack(expected)),
        }

    def ridge(self) -> Found:
        """Ridge regression with a hold-out, and the bootstrap."""
        n, n_test = self.size(8_500, 300), self.size(1_500, 60)
        dim, n_voxels = self.size(1_024, 20), self.size(65_536, 40)
        features = self.random.standard_normal((n + n_test, dim), np.float32)
        responses = self.random.standard_normal((n + n_test, n_voxels), np.float32)
        responses += features @ (self.random.standard_normal((dim, n_voxels), np.float32) / np.float32(3 * dim**0.5))
        holdout = np.arange(n * 15 // 100)
        train, few = responses[:n], self.size(500, 10)
        prepare_s, ridge = self.timed(lambda: Ridge(features[:n], ALPHAS, [holdout], device=self.device))
        ridge.fit(train[:, :few])
        seconds, fit = self.timed(lambda: ridge.fit(train), 2)
        expected = Ridge(features[:n], ALPHAS, [holdout]).fit(train[:, :few])
        left = torch.from_numpy(features[:n]).to(self.device)
        right = torch.from_numpy(train[:, : self.size(16_384, 40)]).to(self.device)
        floors = []
        for dtype in (torch.float64, torch.float32):
            x, y = left.to(dtype), right.to(dtype)
            torch.mm(x.T, y)
            floors.append(self.timed(lambda: torch.mm(x.T, y), 3)[0] / right.shape[1])  # noqa: B023 (run here)
        n_tested = self.size(10_000, 40)
        predicted, measured = fit.predict(features[n:])[:, :n_tested], responses[n:, :n_tested]
        test_s, _ = figures.timed(lambda: bootstrap_p(measured, predicted, self.size(2_000, 50), 0))
        counts = torch.rand(self.size(2_000, 50), n_test, dtype=torch.float64, device=self.device)
        wide = torch.from_numpy(predicted).to(self.device)
        torch.mm(counts, wide)
        products_s, _ = self.timed(lambda: (torch.mm(counts, wide), torch.mm(counts, wide)), 3)
        scale = float(expected.weights.std())
        return {
            "ridge_prepare_s": prepare_s,
            "ridge_voxels_per_s": n_voxels / seconds,
            "ridge_of_floor": floors[0] * n_voxels / seconds,
            "ridge_single_gain": floors[0] / floors[1],
            "ridge_alphas_equal": float(np.mean(fit.alpha[:few] == expected.alpha)),
            "ridge_weights_error": float(np.abs(fit.weights[:few] - expected.weights).max()) / scale,
            "bootstrap_voxels_per_s": n_tested / test_s,
            "bootstrap_gpu_gain": test_s / products_s,
        }

    def captions(self) -> Found:
        """Captions by BLIP base."""
        folder = random_networks.blip(self.folder / "blip", small=self.small)
        images, few = self.pictures(self.size(512, 4)), self.size(8, 2)
        captioner = BlipCaptioner(str(folder), self.device)
        captioner.caption(images[:few])
        seconds, said = self.timed(lambda: captioner.caption(images))
        expected = BlipCaptioner(str(folder), "cpu").caption(images[:few])
        n_batch, side, floors = self.size(64, 2), self.size(384, 32), []
        for dtype in HALVES:
            model = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype).to(self.device).eval()
            pixels = torch.randn(n_batch, 3, side, side, device=self.device, dtype=dtype)
            told = {"pixel_values": pixels, "max_new_tokens": 20, "num_beams": 1, "do_sample": False}
            with torch.inference_mode():
                model.generate(**told)
                floors.append(self.timed(lambda: model.generate(**told), 2)[0] / n_batch)  # noqa: B023 (run here)
        own = floors[0 if self.device == "cpu" else 1]
        return {
            "captions_per_s": len(images) / seconds,
            "captions_of_floor": own * len(images) / seconds,
            "captions_half_gain": floors[0] / floors[1],
            "captions_equal": float(np.mean([one == other for one, other in zip(said, expected, strict=False)])),
        }

    def diffusion(self) -> Found:
        """Pictures by Stable Diffusion 1.5."""
        folder = random_networks.diffusion(self.folder / "diffusion", small=self.small)
        steps = self.size(N_STEPS, 2)
        quick = f"{folder}?steps=2"
        pair = [DiffusionGenerator(quick, where).generate([("cake", [0])])[0] for where in ("cpu", self.device)]
        assert all(pair)
        theirs, ours = (np.asarray(pictures, float) for pictures in pair)
        generator = DiffusionGenerator(f"{folder}?steps={steps}", self.device)
        n_pictures = self.size(64, 2)
        seconds, _ = self.timed(lambda: generator.generate([("cake", range(n_pictures))]))
        # Guidance takes each picture twice through the network at each step.
        n_batch, floors = self.size(32, 2), []
        for dtype in HALVES:
            unet = UNet2DConditionModel.from_pretrained(folder / "unet", dtype=dtype).to(self.device).eval()
            side, width = unet.config.sample_size, unet.config.cross_attention_dim
            latents = torch.randn(2 * n_batch, 4, side, side, device=self.device, dtype=dtype)
            words = torch.randn(2 * n_batch, 77, width, device=self.device, dtype=dtype)
            with torch.inference_mode():
                unet(latents, 1, words)
                floors.append(self.timed(lambda: unet(latents, 1, words), 2)[0] * steps / n_batch)  # noqa: B023 (run here)
        own = floors[0 if self.device == "cpu" else 1]
        return {
            "pictures_per_s": n_pictures / seconds,
            "pictures_of_floor": own * n_pictures / seconds,
            "pictures_half_gain": floors[0] / floors[1],
            "picture_cpu_difference": float(np.abs(ours - theirs).mean()),
        }


def _off(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, as a share of the expected numbers' standard deviation."""
    return float(np.abs(found - expected).max() / expected.std())


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 …; cpu to try the script")
    parser.add_argument("--small", action="store_true", help="tiny networks and sizes")
    parser.add_argument("--minutes", type=float, default=8.0, help="no part is begun after so many")


def main() -> None:
    """Run the parts and report."""
    arguments = figures.arguments(__doc__, _extend)
    ends = time.monotonic() + 60 * arguments.minutes
    try:
        device = resolve_device(arguments.device)
    except BadInputError as error:
        sys.exit(str(error))
    name = "the CPU" if device == "cpu" else torch.cuda.get_device_name(device)
    found: Found = {}
    with tempfile.TemporaryDirectory() as folder:
        gpu = Gpu(device, Path(folder), small=arguments.small)
        for part in (gpu.encode, gpu.ridge, gpu.captions, gpu.diffusion):
            if time.monotonic() > ends:
                print(f"no time was left for {part.__name__}")
                continue
            found |= part()
            figures.emit(f"On {name}", found, json_path=arguments.json)


if __name__ == "__main__":
    main()
