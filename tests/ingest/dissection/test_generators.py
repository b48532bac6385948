"""Generators: the true StableDiffusionPipeline with tiny random weights from disk."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline

from voxel_atlas.ingest.dissection.diffusion import DiffusionGenerator
from voxel_atlas.ingest.dissection.interface import seed_of
from voxel_atlas.schemas.errors import BadInputError, MissingWeightsError

# diffusers 0.42 takes the square root of a tensor through numpy, which torch 2.14 warns of.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
    pytest.mark.usefixtures("one_thread"),
]


def generator(folder: Path, query: str = "?steps=3", batch_size: int = 3) -> DiffusionGenerator:
    return DiffusionGenerator(f"{folder}{query}", device="cpu", batch_size=batch_size)


def test_pictures_are_rgb_of_the_pipelines_size_and_differ_by_seed_and_label(pipeline_folder: Path) -> None:
    draw = generator(pipeline_folder)
    cake, dog = draw.generate([("cake", [1, 2])])[0], draw.generate([("dog", [1])])[0]
    assert [picture.shape for picture in cake] == [(16, 16, 3)] * 2
    assert all(picture.dtype == np.uint8 for picture in cake)
    assert (cake[0] != cake[1]).any()
    assert (cake[0] != dog[0]).any()


def test_a_picture_depends_on_its_label_and_seed_only(pipeline_folder: Path) -> None:
    requests = [("cake", [11, 12]), ("hot dog", []), ("dog", [13]), ("tree", [14, 15])]
    together = generator(pipeline_folder, batch_size=4).generate(requests)
    alone = [generator(pipeline_folder, batch_size=1).generate([(label, seeds)])[0] for label, seeds in requests]
    assert [len(pictures) for pictures in together] == [2, 0, 1, 2]
    for one, other in zip(together, alone, strict=True):
        for picture, again in zip(one, other, strict=True):
            assert np.abs(picture.astype(int) - again).max() <= 1  # rounding of sums in another order


def test_a_picture_equals_the_pipelines_own(pipeline_folder: Path) -> None:
    from diffusers import DPMSolverMultistepScheduler

    pipeline = StableDiffusionPipeline.from_pretrained(pipeline_folder)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    seed = seed_of("cake", "tiny", 0)
    literal = pipeline(
        "One realistic image of cake", num_inference_steps=50, generator=torch.Generator().manual_seed(seed)
    ).images[0]
    drawn = generator(pipeline_folder, query="").generate([("cake", [seed])])[0][0]
    assert np.abs(np.asarray(literal).astype(int) - drawn).max() <= 1


def test_settings_and_weights_make_the_name(pipeline_folder: Path, tmp_path: Path) -> None:
    names = {generator(pipeline_folder, query).name for query in ("", "?steps=3", "?steps=3&guidance=2", "?size=32")}
    assert len(names) == 4
    assert all(name.startswith("tiny-diffusion@") for name in names)
    assert generator(pipeline_folder, batch_size=1).name == generator(pipeline_folder, batch_size=7).name
    other = StableDiffusionPipeline.from_pretrained(pipeline_folder)
    with torch.no_grad():
        next(other.unet.parameters()).add_(1)
    other.save_pretrained(tmp_path / "tiny-diffusion")
    assert generator(tmp_path / "tiny-diffusion").name not in names


def test_a_distilled_pipeline_takes_few_steps_and_keeps_its_sampler(pipeline_folder: Path, tmp_path: Path) -> None:
    distilled = tmp_path / "tiny-turbo"
    StableDiffusionPipeline.from_pretrained(pipeline_folder).save_pretrained(distilled)
    draw = generator(distilled, query="")
    calls = []
    step = draw._pipeline.scheduler.step
    draw._pipeline.scheduler.step = lambda *arguments, **named: calls.append(1) or step(*arguments, **named)
    draw.generate([("cake", [1])])[0]
    assert len(calls) == 4
    assert isinstance(draw._pipeline.scheduler, DDIMScheduler)


def test_a_newer_pipeline_keeps_its_own_sampler_and_steps(newer_pipeline_folder: Path, tmp_path: Path) -> None:
    draw = DiffusionGenerator(str(newer_pipeline_folder), device="cpu", batch_size=2)
    steps, step = [], draw._pipeline.scheduler.step
    draw._pipeline.scheduler.step = lambda *arguments, **named: steps.append(1) or step(*arguments, **named)
    cake, dog = draw.generate([("cake", [1, 2]), ("dog", [1])])
    assert isinstance(draw._pipeline, StableDiffusionXLPipeline)
    assert isinstance(draw._pipeline.scheduler, EulerDiscreteScheduler)
    assert len(steps) == 2 * 50  # two batches of the pipeline's own 50 steps
    assert [picture.shape for picture in (*cake, *dog)] == [(16, 16, 3)] * 3
    assert (cake[0] != dog[0]).any()
    distilled = tmp_path / "tiny-xl-lightning"
    distilled.symlink_to(newer_pipeline_folder)
    fast = DiffusionGenerator(str(distilled), device="cpu")
    steps.clear()
    fast_step = fast._pipeline.scheduler.step
    fast._pipeline.scheduler.step = lambda *arguments, **named: steps.append(1) or fast_step(*arguments, **named)
    fast.generate([("cake", [1])])[0]
    assert len(steps) == 4
    assert fast.name.startswith("tiny-xl-lightning@")


def test_a_size_that_is_asked_for_is_drawn(pipeline_folder: Path) -> None:
    assert generator(pipeline_folder, "?steps=2&size=32").generate([("cake", [1])])[0][0].shape == (32, 32, 3)


@pytest.mark.parametrize("query", ["?steps=many", "?colour=3", "?steps", "?"])
def test_settings_that_make_no_sense_are_refused(pipeline_folder: Path, query: str) -> None:
    if query == "?":
        assert generator(pipeline_folder, query).name == generator(pipeline_folder, "").name
        return
    with pytest.raises(BadInputError, match="not understood; write for example"):
        generator(pipeline_folder, query)


def test_an_empty_label_is_refused(pipeline_folder: Path) -> None:
    with pytest.raises(BadInputError, match="label to draw is empty"):
        generator(pipeline_folder).generate([(" ", [1])])[0]


def test_blackened_pictures_are_drawn_from_the_next_seed_and_then_refused(
    pipeline_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = generator(pipeline_folder)
    tried = []
    true_draw = StableDiffusionPipeline.__call__

    def blackening(self: StableDiffusionPipeline, **named: object) -> object:
        output = true_draw(self, **named)
        seeds = [generator.initial_seed() for generator in named["generator"]]
        tried.append(seeds)
        never = [("weapon" in prompt) or seed == 7 for prompt, seed in zip(named["prompt"], seeds, strict=True)]
        output.nsfw_content_detected = never
        return output

    monkeypatch.setattr(StableDiffusionPipeline, "__call__", blackening)
    cake, weapon = draw.generate([("cake", [6, 7]), ("weapon", [30])])
    assert weapon is None
    assert tried == [[6, 7, 30], [8, 31], [32], [33]]
    np.testing.assert_array_equal(cake[1], draw.generate([("cake", [8])])[0][0])


def test_a_folder_with_part_of_a_pipeline_is_missing_weights(pipeline_folder: Path, tmp_path: Path) -> None:
    index = json.loads((pipeline_folder / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(MissingWeightsError, match=r"config.json is not there; pass --download"):
        generator(tmp_path)


def test_out_of_memory_while_drawing_changes_no_picture(
    pipeline_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    draw = generator(pipeline_folder, batch_size=8)
    expected = draw.generate([("cake", range(5))])[0]
    true_draw = StableDiffusionPipeline.__call__

    def small(self: StableDiffusionPipeline, **named: object) -> object:
        if len(named["prompt"]) > 2:
            raise torch.OutOfMemoryError
        return true_draw(self, **named)

    monkeypatch.setattr(StableDiffusionPipeline, "__call__", small)
    for picture, again in zip(draw.generate([("cake", range(5))])[0], expected, strict=True):
        assert np.abs(picture.astype(int) - again).max() <= 1
    assert caplog.messages == ["Out of GPU memory while drawing: going on with batches of 2."]


def test_seeds_differ_by_label_generator_and_ordinal_and_by_nothing_else() -> None:
    seeds = {seed_of(*key) for key in (("cake", "a", 0), ("cake", "a", 1), ("cake", "b", 0), ("dog", "a", 0))}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of("cake", "sd15@0a1b2c", 3) == 3768527487295857956
