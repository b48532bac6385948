"""Pretrained captioners and generators as people have them on disk: found and read whole, or refused by the file."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from torch import nn

from ...atlas.backbones.weights import check_hub_sha256, require_numbers
from ...schemas.errors import AtlasError, BadInputError, MissingWeightsError, first_line
from ...schemas.files import file_sha256

CONFIGURATIONS = ("*.json", "*.txt", "*.model")
"""Files of a repository beside those of its weights."""
WEIGHTS = ("*.safetensors", "*.bin")
_WAYS = "pass --download to fetch what a model id lacks, or put all files of its Hugging Face repository there"
_WEIGHTS = re.compile(
    r"(diffusion_pytorch_|pytorch_)?model(-\d+-of-\d+)?(\.(?P<variant>[a-z]\w*))?(-\d+-of-\d+)?\.(?P<kind>safetensors|bin)"
)


def found(name: str, kind: str, repositories: Sequence[str], index: str) -> Path:
    """Folder or file of a model on this machine; the hub is not asked.

    Args:
        name: a folder that holds what a repository would, a file, or what the user calls the model.
        kind: the option that names such a model, for the message.
        repositories: Hugging Face model ids under which it may be in the hub's cache.
        index: the file that every repository of the kind has.

    Raises:
        MissingWeightsError: it is not there.
    """
    ways = f"--{kind} FOLDER with the files of its Hugging Face repository"
    if (path := Path(name)).exists():
        if path.is_file() or (path / index).is_file():
            return path
        raise MissingWeightsError(f"The {kind} {name!r} is a folder without {index}; give {ways}.")
    for repository in repositories:
        try:
            cached = try_to_load_from_cache(repository, index)
        except HFValidationError:
            raise MissingWeightsError(
                f"The {kind} {name!r} is no folder of this machine and no Hugging Face model id; give {ways}."
            ) from None
        if isinstance(cached, str):
            return Path(cached).parent
    raise MissingWeightsError(
        f"The {kind} {name!r} is not in {constants.HF_HUB_CACHE}: pass --download to fetch {repositories[0]}, or "
        f"{ways}."
    )


def version_of(path: Path) -> str:
    """The commit of a snapshot in the hub's cache, or a hash of the content of a folder or file."""
    if path.parent.name == "snapshots":
        return path.name
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for each in sorted({each for pattern in (*WEIGHTS, *CONFIGURATIONS) for each in path.rglob(pattern)}):
        digest.update(each.relative_to(path).as_posix().encode())
        digest.update(bytes.fromhex(file_sha256(each)))
    return digest.hexdigest()


@contextmanager
def whole(name: str, kind: str, path: Path) -> Iterator[None]:
    """Say in one sentence what a library finds lacking in a model that is loaded within the block.

    Raises:
        MissingWeightsError: a file is missing.
    """
    try:
        yield
    except AtlasError:
        raise
    except (OSError, ValueError) as error:
        raise MissingWeightsError(
            f"The {kind} {name!r} in {path} is not whole ({first_line(error)}): {_WAYS}."
        ) from error


def read_network(network: Any, folder: Path, **how: object) -> tuple[Any, str]:
    """A network of transformers or diffusers from its folder, with every tensor that it has.

    Weights are read as they are there: .safetensors or .bin, and of a variant (fp16) where there are no others.

    Args:
        network: its class.
        folder: with config.json and the weights.
        how: further arguments of its `from_pretrained`.

    Returns:
        The network, and the variant of the weights; "" for none.

    Raises:
        MissingWeightsError: no weights are there.
        BadInputError: a file is damaged, or lacks tensors.
    """
    if not (folder / "config.json").is_file():
        raise MissingWeightsError(f"{folder / 'config.json'} is not there; {_WAYS}.")
    variant, files = _weights_of(folder)
    for file in files:
        check_hub_sha256(file)
    named = str(files[0] if len(files) == 1 else folder)
    with readable_weights(named):
        model, info = network.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, variant=variant or None, **how
        )
    require_whole(model, info["missing_keys"], named)
    return model, variant


def require_whole(model: nn.Module, missing: Iterable[str], file: str) -> None:
    """Refuse a network some of whose parameters no file gave a value, or one that is no number.

    Args:
        model: the network.
        missing: names of tensors that were not in the file.
        file: for the message.

    Raises:
        BadInputError: it is such a network.
    """
    own, lost = dict(model.named_parameters(remove_duplicate=False)), set(missing)
    # A parameter of two names, as of tied weights, is there when one of them is.
    given = {id(parameter) for name, parameter in own.items() if name not in lost}
    left = sorted(name for name in lost & own.keys() if id(own[name]) not in given)
    left += [name for name, parameter in own.items() if parameter.is_meta]
    if left:
        raise BadInputError(
            f"{file}: {len(left)} tensors of {type(model).__name__} are not there, {left[0]} first; get the file again."
        )
    require_numbers(own.items(), file)


@contextmanager
def noting_missing() -> Iterator[dict[nn.Module, list[str]]]:
    """Networks that are loaded within the block, by a loader that is not strict, and the tensors that each lacked."""
    load, missing = nn.Module.load_state_dict, dict[nn.Module, list[str]]()

    def noting(module: nn.Module, *given: Any, **named: Any) -> Any:
        answer = load(module, *given, **named)
        missing[module] = answer.missing_keys
        return answer

    # What diffusers reads of a single file it can be asked in no other way.
    nn.Module.load_state_dict = noting  # type: ignore[method-assign, assignment]  # and put back below
    try:
        yield missing
    finally:
        nn.Module.load_state_dict = load  # type: ignore[method-assign]  # as above


@contextmanager
def readable_weights(file: str) -> Iterator[None]:
    """Say in one sentence that a file of weights is damaged, whichever library reads it in the block.

    Raises:
        BadInputError: it is.
    """
    try:
        yield
    except (AtlasError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # the readers of two libraries raise a dozen kinds, and all mean the same
        raise BadInputError(
            f"{file}: not readable weights of this network ({first_line(error)}); get it again."
        ) from error


def _weights_of(folder: Path) -> tuple[str, list[Path]]:
    """The variant that is to be read, and its files: without a name rather than fp16, .safetensors rather than .bin."""
    kinds: dict[tuple[bool, bool, bool, str], list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if match := _WEIGHTS.fullmatch(file.name):
            variant = match["variant"] or ""
            kinds.setdefault((variant != "", variant != "fp16", match["kind"] == "bin", variant), []).append(file)
    if not kinds:
        raise MissingWeightsError(f"{folder}: no weights (.safetensors or .bin) are there; {_WAYS}.")
    chosen = min(kinds)
    return chosen[-1], kinds[chosen]
