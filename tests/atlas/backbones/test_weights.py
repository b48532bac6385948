"""Files of weights, whatever wrote them."""

import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from voxel_atlas.atlas.backbones.weights import check_sha256, fingerprint, load_into, read_state
from voxel_atlas.schemas.errors import BadInputError


@pytest.fixture
def layer() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2)


def saved(layer: torch.nn.Linear, kind: str, folder: Path) -> Path:
    path = folder / ("weights.safetensors" if kind == "safetensors" else "weights.pt")
    state = layer.state_dict()
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "torchscript":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls TorchScript deprecated; OpenAI's files are it all the same
            torch.jit.save(torch.jit.trace(layer, torch.zeros(1, 3)), path)
    elif kind == "checkpoint":
        torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("kind", ["state", "checkpoint", "safetensors", "torchscript"])
def test_every_published_kind_of_file_holds_the_same_weights(kind: str, layer: torch.nn.Linear, tmp_path: Path) -> None:
    other = torch.nn.Linear(3, 2)
    path = saved(layer, kind, tmp_path)
    load_into(other, read_state(path), "layer", path)
    assert torch.equal(other.weight, layer.weight)
    assert torch.equal(other.bias, layer.bias)
    assert fingerprint(other, "") == fingerprint(layer, "")


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04cut"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_damaged_file_is_one_sentence(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"weights\.\w+: not a readable file of weights") as error:
        read_state(path)
    assert "\n" not in str(error.value)


def test_a_cut_file_is_one_sentence(layer: torch.nn.Linear, tmp_path: Path) -> None:
    path = saved(layer, "state", tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BadInputError, match="not a readable file of weights"):
        read_state(path)


@pytest.mark.parametrize("value", [{"epoch": 3}, {}, [1, 2]])
def test_a_file_without_named_tensors_is_refused(value: object, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "weights.pt")
    with pytest.raises(BadInputError, match="not a file of named tensors"):
        read_state(tmp_path / "weights.pt")


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "harmed",)

    torch.save({"weight": Harm()}, tmp_path / "weights.pt")
    with pytest.raises(BadInputError, match="not a readable file of weights"):
        read_state(tmp_path / "weights.pt")
    assert not (tmp_path / "harmed").exists()


def test_weights_of_another_shape_are_refused(layer: torch.nn.Linear, tmp_path: Path) -> None:
    path = saved(torch.nn.Linear(4, 2), "state", tmp_path)
    with pytest.raises(BadInputError, match="not the weights of layer"):
        load_into(layer, read_state(path), "layer", path)


def test_fingerprints_tell_weights_and_preprocessing_apart(layer: torch.nn.Linear) -> None:
    other = torch.nn.Linear(3, 2)
    assert len({fingerprint(layer, "224"), fingerprint(other, "224"), fingerprint(layer, "256")}) == 3
    other.load_state_dict(layer.state_dict())
    assert fingerprint(other, "224") == fingerprint(layer, "224")


def test_a_published_checksum_may_be_a_prefix(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(b"abc")
    check_sha256(path, "ba7816bf")
    with pytest.raises(BadInputError, match="SHA-256 ba7816bf8f01cfea…, 0123… expected"):
        check_sha256(path, "0123")
