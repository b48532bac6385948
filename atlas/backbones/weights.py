"""Files of pretrained weights: reading them, and what they contained."""

import hashlib
import re
import ssl
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
from huggingface_hub import constants

from ...schemas.errors import BadInputError, MissingWeightsError, first_line
from ...schemas.files import file_sha256

State = Mapping[str, torch.Tensor]
_HUB_ANSWERS_WITHIN = 5
"""Seconds."""


def given_file(weights: Path | None) -> Path | None:
    """The file that the user named; it must be there."""
    if weights is not None and not weights.is_file():
        raise MissingWeightsError(f"{weights}: there is no such file of weights; check the path given as --weights.")
    return weights


def check_sha256(path: Path, expected: str) -> None:
    """Refuse a cached file whose SHA-256 does not begin as published: its download was cut.

    Raises:
        BadInputError: it does not.
    """
    actual = file_sha256(path)
    if not actual.startswith(expected):
        raise BadInputError(
            f"{path}: SHA-256 {actual[:16]}…, {expected[:16]}… expected; delete the file and fetch it again."
        )


def check_hub_sha256(path: Path) -> None:
    """Refuse a file of the hub's cache that is not what was fetched: the cache names large files by their SHA-256.

    Raises:
        BadInputError: it is another, or cut.
    """
    if re.fullmatch("[0-9a-f]{64}", (blob := path.resolve()).name):
        check_sha256(path, blob.name)


def require_hub() -> None:
    """Refuse to fetch from a hub that does not answer: its library would ask again for more than a minute.

    Raises:
        OSError: it does not.
    """
    if constants.HF_HUB_OFFLINE:  # of which the library itself says at once
        return
    try:
        urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=_HUB_ANSWERS_WITHIN).close()  # noqa: S310 - the hub's
    except (HTTPError, HTTPException):
        return  # whatever it says, it is there
    except OSError as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):  # the library has certificates of its own
            raise OSError(
                f"{constants.ENDPOINT} does not answer ({reason}); check the network and HTTPS_PROXY, or copy the "
                "files from a machine that has them"
            ) from error


def require_numbers(tensors: Iterable[tuple[str, torch.Tensor]], file: Path | str) -> None:
    """Refuse weights that are no numbers.

    Raises:
        BadInputError: one is infinite or NaN.
    """
    for name, tensor in tensors:
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise BadInputError(f"{file}: {name} has numbers that are infinite or none (NaN); get the file again.")


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name from a .safetensors file, a saved state dict, or a TorchScript archive as OpenAI published.

    Raises:
        BadInputError: the file is none of these, or damaged.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        if _is_torchscript(path):
            return _torchscript_state(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - the three readers raise a dozen kinds, and all mean the same
        raise BadInputError(f"{path}: not a readable file of weights ({first_line(error)}); get it again.") from None
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise BadInputError(f"{path}: not a file of named tensors; save a network's state_dict().")
    return {name.removeprefix("module."): value for name, value in state.items()}


def load_into(network: torch.nn.Module, state: State, name: str, path: Path) -> None:
    """Put weights into a network.

    Raises:
        BadInputError: they are those of another network, or no numbers.
    """
    require_numbers(state.items(), path)
    try:
        network.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise BadInputError(f"{path}: not the weights of {name} ({lines[min(1, len(lines) - 1)][:120]}).") from None


def fingerprint(network: torch.nn.Module, preprocessing: object) -> str:
    """SHA-256 over a network's weights, whatever file they came from, and its preprocessing."""
    digest = hashlib.sha256(str(preprocessing).encode())
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _torchscript_state(path: Path) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        # TorchScript is on its way out of torch, but OpenAI's files of 2021 are what they are.
        warnings.filterwarnings("ignore", message=".*torch.jit.load. is deprecated", category=FutureWarning)
        archive: torch.nn.Module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    return dict(archive.state_dict())


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())
