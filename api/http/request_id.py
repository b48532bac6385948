"""The id that ties an answer to its lines in the log."""

import secrets
from contextvars import ContextVar

current: ContextVar[str] = ContextVar("voxel_atlas_request_id", default="")
"""Id of the request that is being answered; threads that work for it see the same."""


def new_request_id() -> str:
    """Make an id and make it current."""
    identity = secrets.token_hex(8)
    current.set(identity)
    return identity
