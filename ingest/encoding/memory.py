"""How much memory a fit takes, so that a job that cannot end is refused before it begins."""

from ...atlas.machine_memory import free_memory
from ...schemas.errors import BadInputError

SOLUTION_BYTES = 640 * 2**20
"""Memory that ridge's solutions of common penalties may take; where those of one chunk may take more, none is made."""


def bytes_to_fit(n_images: int, n_features: int, n_voxels: int) -> int:
    """Memory that fitting so many voxels at once takes at its peak, estimated.

    Features in single and twice in double precision, their decomposition, solutions of a hundred penalties, and three
    copies of the responses.
    """
    rank = min(n_images, n_features)
    solutions = min(100 * rank * n_features * 8, SOLUTION_BYTES)
    return n_images * n_features * (4 + 2 * 8) + 3 * rank**2 * 8 + solutions + 3 * n_images * n_voxels * 8


def require_memory(n_bytes: int) -> None:
    """Refuse a job that this machine has not the memory for.

    Raises:
        BadInputError: less is free.
    """
    free = free_memory()
    if n_bytes > free:
        raise BadInputError(
            f"Fitting takes about {n_bytes / 2**30:.1f} GiB of memory and {free / 2**30:.1f} GiB are free; pass a "
            "smaller --batch-voxels or close other programs."
        )
