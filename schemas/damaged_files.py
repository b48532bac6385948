"""Neuroimaging files that cannot be read: one sentence, whichever library met it and in whichever way."""

import errno
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.parsers.expat import ExpatError

from nibabel.cifti2 import Cifti2HeaderError
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from .errors import AtlasError, BadInputError, NotFoundError
from .files import missing_content

_DAMAGE = (Cifti2HeaderError, EOFError, ExpatError, HeaderDataError, ImageFileError, OSError, ValueError, zlib.error)
_OUTSIDE = {
    errno.EACCES: "this user may not read it; change its permissions",
    errno.EAGAIN: "another program has it open for writing; wait for it, or set HDF5_USE_FILE_LOCKING=FALSE",
    errno.ENOLCK: "its file system has no locks; set HDF5_USE_FILE_LOCKING=FALSE",
    errno.EMFILE: "too many files are open; raise `ulimit -n`",
    errno.EIO: "its disk cannot be read",
    errno.ESTALE: "its network folder was changed or is gone; mount it again",
}
"""Reasons that lie outside the file → what is so, and what to do."""


@contextmanager
def readable(path: Path, advice: str = "") -> Iterator[None]:
    """Turns every way in which a file can be damaged, or be a pointer to one, into one sentence.

    Args:
        path: the file that is read in the block.
        advice: ends the message.

    Raises:
        NotFoundError: only a pointer of git-annex or Git LFS is there.
        BadInputError: it is damaged, or something else forbids to read it, as a lock.
    """
    try:
        yield
    except _DAMAGE as error:
        if reason := missing_content(path):
            raise NotFoundError(f"{path}: {reason}.") from None
        if isinstance(error, AtlasError | FileNotFoundError):
            raise
        if isinstance(error, OSError) and (outside := _OUTSIDE.get(error.errno or 0)):
            raise BadInputError(f"{path}: {outside}.") from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInputError(f"{path}: a damaged or cut file ({reason}); get it again{advice}.") from None
