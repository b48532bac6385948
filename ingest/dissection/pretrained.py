"""Pretrained captioners and generators: from a folder, the hub's cache or the hub, or a sentence that says how."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from huggingface_hub.constants import is_offline_mode
from safetensors import SafetensorError

from ...schemas.errors import MissingWeightsError

_T = TypeVar("_T")
_FILES = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model")


def load_pretrained(
    name: str, kind: str, download: Callable[[bool], str], load: Callable[[Path], _T]
) -> tuple[_T, str]:
    """Load a model from this machine when it is here, else from the hub when that may be asked.

    Args:
        name: Hugging Face model id, or a folder that holds what its repository would.
        kind: what the model is, for the message.
        download: gives the folder of a model id; told whether it may only look into the hub's cache on this machine.
        load: loads the model from a folder.

    Returns:
        The model, and the version of its files: the commit of a model id, a hash of the content of a folder.

    Raises:
        MissingWeightsError: it is not on this machine, and the hub cannot be reached, or is not to be asked
            (HF_HUB_OFFLINE=1), or has no such model; or files are missing from the folder.
    """
    try:
        folder = Path(name) if Path(name).is_dir() else _cached(download)
        # A snapshot in the hub's cache is named by its commit.
        return load(folder), _content_hash(folder) if folder == Path(name) else folder.name
    except (OSError, ValueError, SafetensorError) as error:
        if Path(name).is_dir():
            where, model_id = "is a folder without a model, or with part of one", "MODEL_ID"
        else:
            where, model_id = "is not in the Hugging Face cache and cannot be downloaded", name
        raise MissingWeightsError(
            f"The {kind} {name!r} {where}: run `hf download {model_id}` where there is a network, or give the path of "
            "a folder that holds all files of its Hugging Face repository."
        ) from error


def _cached(download: Callable[[bool], str]) -> Path:
    try:
        return Path(download(True))
    except OSError:
        if is_offline_mode():
            raise
    return Path(download(False))


def _content_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _FILES for path in folder.rglob(pattern)}):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
