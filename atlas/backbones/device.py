"""Where networks and matrix products run."""

from ...schemas.errors import BadInputError


def resolve_device(name: str) -> str:
    """The device that torch is to use.

    Args:
        name: auto (the first GPU where there is one, else the CPU), cpu, cuda, cuda:1 …

    Raises:
        BadInputError: a GPU is asked for that is not there.
    """
    import torch  # takes a second, and most commands never run a network

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return name
    kind, _, number = name.partition(":")
    n_gpus = torch.cuda.device_count()
    if kind != "cuda" or not (number or "0").isdigit() or int(number or 0) >= n_gpus:
        raise BadInputError(f"Device {name!r} is not on this machine, which has {n_gpus} CUDA GPUs; use auto or cpu.")
    return name
