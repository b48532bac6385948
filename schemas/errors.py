"""The errors that a user may meet. Each is also the builtin that it is, so `except ValueError` works as expected.

A message is one sentence that says what is wrong, where, and what to do about it.
"""


class AtlasError(Exception):
    """Something a user can act on; the command line prints its message and exits with status 2."""


class BadInputError(AtlasError, ValueError):
    """An argument, a setting or a file does not make sense."""


class NotFoundError(AtlasError, LookupError):
    """A named thing (model, voxel, ROI, label, file) is not there; the message lists what is."""


class MissingWeightsError(AtlasError, FileNotFoundError):
    """A pretrained network's weights are not on this machine; the message names the ways to get them."""


class LedgerConflictError(AtlasError, ValueError):
    """A batch that was committed before came again with other content."""


class StoreError(AtlasError, OSError):
    """The atlas cannot be opened, read or written."""


class StoreLockedError(StoreError):
    """Another process has the atlas file open for writing."""


class WorkersError(AtlasError, RuntimeError):
    """Processes that were to work on batches cannot be reached, or ended."""


class SpaceMismatchError(AtlasError, ValueError):
    """A map and a surface do not belong to the same space, transform or hemisphere."""


class BusyError(AtlasError, RuntimeError):
    """The server has as much to do as it takes on at once; try again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
