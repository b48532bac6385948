"""Weights as people have them on disk, tiny and random, through the true classes; and that nobody is asked for any."""

import hashlib
import http.server
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from single_file import save_single_file

from voxel_atlas.ingest.dissection import load_captioner, load_generator
from voxel_atlas.ingest.dissection.blip import BlipCaptioner
from voxel_atlas.ingest.dissection.diffusion import DiffusionGenerator
from voxel_atlas.schemas.errors import BadInputError, MissingWeightsError

pytestmark = [
    # diffusers 0.42 takes the square root of a tensor through numpy, which torch 2.14 warns of.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
    pytest.mark.usefixtures("one_thread"),
]

UNET = "unet/diffusion_pytorch_model.safetensors"
IMAGE = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)


def drawn(folder: Path) -> np.ndarray:
    """A picture by a generator of a folder or file."""
    return DiffusionGenerator(f"{folder}?steps=2", device="cpu").generate([("cake", [1])])[0][0]


@pytest.fixture
def pipeline(pipeline_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(pipeline_folder, tmp_path / "tiny-diffusion"))


@pytest.fixture
def blip(blip_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(blip_folder, tmp_path / "blip"))


def changed(file: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the tensors of a file."""
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, {"format": "pt"})


def cached(hub: Path, repository: str, folder: Path) -> Path:
    """Put a folder into a hub's cache, as huggingface_hub lays it out: large files are named by their SHA-256."""
    place = hub / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / ("0" * 40)
    for file in (file for file in folder.rglob("*") if file.is_file()):
        blob = place / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        link = snapshot / file.relative_to(folder)
        for parent in (blob.parent, link.parent):
            parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, blob)
        link.symlink_to(blob)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0" * 40)
    return snapshot


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, which would be asked for what it lacks if anybody did."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hub"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Addresses that anybody tried to reach."""
    addresses: list[object] = []

    def refused(*address: object, **_: object) -> None:
        addresses.append(address)
        raise socket.gaierror("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    return addresses


def test_half_precision_weights_are_read_where_there_are_no_others(pipeline: Path) -> None:
    expected, name = drawn(pipeline), DiffusionGenerator(str(pipeline), device="cpu").name
    loaded = StableDiffusionPipeline.from_pretrained(pipeline)
    shutil.rmtree(pipeline)
    loaded.to(torch.float16).save_pretrained(pipeline, variant="fp16")
    assert not (pipeline / UNET).exists()
    assert np.abs(drawn(pipeline).astype(int) - expected).max() <= 3
    assert DiffusionGenerator(str(pipeline), device="cpu").name != name


def test_a_safety_checker_that_was_left_out_is_not_wanted(pipeline: Path) -> None:
    expected, name = drawn(pipeline), DiffusionGenerator(str(pipeline), device="cpu").name
    index = json.loads((pipeline / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    index["requires_safety_checker"] = True
    (pipeline / "model_index.json").write_text(json.dumps(index))
    np.testing.assert_array_equal(drawn(pipeline), expected)
    assert DiffusionGenerator(str(pipeline), device="cpu").name != name


def test_names_of_tensors_that_older_versions_wrote_are_read(pipeline: Path) -> None:
    expected = drawn(pipeline)

    def older_attention(tensors: dict[str, torch.Tensor]) -> None:
        older = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        for name in [name for name in tensors if ".attentions." in name]:
            part = next((part for part in older if part in name), None)
            if part:
                tensors[name.replace(part, older[part])] = tensors.pop(name)

    def older_text(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[f"text_model.{name.removeprefix('text_model.')}"] = tensors.pop(name)

    changed(pipeline / "vae" / "diffusion_pytorch_model.safetensors", older_attention)
    changed(pipeline / "text_encoder" / "model.safetensors", older_text)
    np.testing.assert_array_equal(drawn(pipeline), expected)


def test_stable_diffusion_is_found_under_its_older_name_too(pipeline: Path, hub: Path, tmp_path: Path) -> None:
    cached(hub, "runwayml/stable-diffusion-v1-5", pipeline)
    for name in ("sd15", "runwayml/stable-diffusion-v1-5", "stable-diffusion-v1-5/stable-diffusion-v1-5"):
        generator = load_generator(f"{name}?steps=2", loaded=(), home=tmp_path, device="cpu")
        np.testing.assert_array_equal(generator.generate([("cake", [1])])[0][0], drawn(pipeline))


def test_a_single_file_is_read_with_the_configuration_beside_it_or_in_the_cache(
    pipeline: Path, hub: Path, asked: list[object], tmp_path: Path
) -> None:
    expected, file = drawn(pipeline), pipeline / "model.safetensors"
    save_single_file(pipeline, file)
    for weights in pipeline.glob("*/*.safetensors"):
        weights.unlink()
    assert np.abs(drawn(file).astype(int) - expected).max() <= 3
    alone = tmp_path / "alone.safetensors"
    file.rename(alone)
    with pytest.raises(MissingWeightsError, match=r"'stable-diffusion-v1-5/.*' is not in .*hub: pass --download"):
        drawn(alone)
    cached(hub, "stable-diffusion-v1-5/stable-diffusion-v1-5", pipeline)
    assert np.abs(drawn(alone).astype(int) - expected).max() <= 3
    assert asked == []


@pytest.mark.parametrize("single", [False, True])
def test_a_unet_without_one_layer_is_refused_by_its_file(pipeline: Path, single: bool) -> None:
    file = pipeline / UNET
    if single:
        file = pipeline / "model.safetensors"
        save_single_file(pipeline, file, without="model.diffusion_model.middle_block.0.in_layers.2.weight")
    else:
        changed(file, lambda tensors: tensors.pop("mid_block.resnets.0.conv1.weight"))
    with pytest.raises(
        BadInputError, match=r"model.safetensors: 1 tensors of UNet2DConditionModel are not there, mid_"
    ):
        drawn(file if single else pipeline)


def test_weights_that_are_no_numbers_are_refused_by_their_file(pipeline: Path) -> None:
    changed(pipeline / UNET, lambda tensors: tensors["conv_in.weight"].fill_(torch.nan))
    with pytest.raises(BadInputError, match=r"unet/diffusion_.*: conv_in.weight has numbers that are infinite or none"):
        drawn(pipeline)


def test_a_picture_of_no_numbers_stops_the_drawing(pipeline: Path) -> None:
    # Finite weights that overflow while a picture is drawn, as half precision does.
    changed(pipeline / UNET, lambda tensors: [tensor.mul_(1e30) for tensor in tensors.values()])
    with pytest.raises(BadInputError, match=r"tiny-diffusion: the picture of 'cake' has pixels that are no numbers"):
        drawn(pipeline)


def test_a_file_of_the_cache_that_is_not_what_was_fetched_is_refused(pipeline: Path, hub: Path) -> None:
    file = cached(hub, "someone/tiny", pipeline) / UNET
    tensors = load_file(file)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, file.resolve(), {"format": "pt"})
    with pytest.raises(BadInputError, match=rf"{UNET}: SHA-256 .*… expected; delete the file"):
        drawn(Path("someone/tiny"))


def test_blip_is_read_from_an_older_file(blip: Path) -> None:
    expected = BlipCaptioner(str(blip), device="cpu").caption([IMAGE])
    torch.save(load_file(blip / "model.safetensors"), blip / "pytorch_model.bin")
    (blip / "model.safetensors").unlink()
    assert BlipCaptioner(str(blip), device="cpu").caption([IMAGE]) == expected
    (blip / "pytorch_model.bin").write_bytes((blip / "pytorch_model.bin").read_bytes()[:5000])
    with pytest.raises(BadInputError, match=r"pytorch_model.bin: not readable weights of this network"):
        BlipCaptioner(str(blip), device="cpu")


def test_blip_without_one_tensor_is_refused_by_its_file(blip: Path) -> None:
    changed(blip / "model.safetensors", lambda tensors: tensors.pop("vision_model.post_layernorm.weight"))
    with pytest.raises(BadInputError, match=r"model.safetensors: 1 tensors of BlipFor.*vision_model.post_layernorm"):
        BlipCaptioner(str(blip), device="cpu")


@pytest.mark.parametrize(("load", "name"), [(load_captioner, "blip"), (load_generator, "sd15")])
def test_nobody_is_asked_for_weights_unless_that_is_allowed_and_then_once_where_there_is_no_network(
    load: Callable[..., object], name: str, hub: Path, asked: list[object], tmp_path: Path
) -> None:
    load = partial(load, name, loaded=(), home=tmp_path, device="cpu")
    with pytest.raises(
        MissingWeightsError, match=rf"'{name}' is not in {hub}: pass --download .* or --\w+ FOLDER with"
    ):
        load()
    assert asked == []
    said = rf"The weights of {name} cannot be fetched: {constants.ENDPOINT} does not answer \(.*no network.*; check the"
    with pytest.raises(MissingWeightsError, match=said):
        load(download=True)
    assert len(asked) == 1


class _Hub(http.server.BaseHTTPRequestHandler):
    """A hub that has one model, blip, and counts what it is asked for."""

    folder: Path
    paths: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.paths.append(self.path)
        _, _, file = self.path.partition(f"/resolve/{'1' * 40}/")
        files = [
            {"type": "file", "path": f.name, "oid": "2" * 40, "size": f.stat().st_size} for f in self.folder.iterdir()
        ]
        known = {"sha": "1" * 40, "id": "a/b", "siblings": [{"rfilename": entry["path"]} for entry in files]}
        said = files if "/tree/" in self.path else known
        body = (self.folder / file).read_bytes() if file else json.dumps(said).encode()
        self.send_response(200)
        headers = {"X-Repo-Commit": "1" * 40, "ETag": f'"{hashlib.sha256(body).hexdigest()}"'}
        for header, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def served(blip_folder: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Paths that a hub of this machine is asked for."""
    handler = type("Hub", (_Hub,), {"folder": blip_folder, "paths": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    for name in ("ENDPOINT", "HUGGINGFACE_CO_URL_TEMPLATE"):
        monkeypatch.setattr(constants, name, getattr(constants, name).replace("https://huggingface.co", address))
    yield handler.paths
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_may_be_fetched_is_fetched_once(served: list[str], blip_folder: Path, tmp_path: Path) -> None:
    load = partial(load_captioner, "blip", loaded=(), home=tmp_path, device="cpu")
    captions = load(download=True).caption([IMAGE])
    assert captions == BlipCaptioner(str(blip_folder), device="cpu").caption([IMAGE])
    n_asked = len(served)
    assert n_asked > 0
    assert load(download=True).caption([IMAGE]) == load().caption([IMAGE]) == captions
    assert len(served) == n_asked
