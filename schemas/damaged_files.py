"""Neuroimaging files that are damaged: one sentence, whichever library met it and in whichever way."""

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


@contextmanager
def readable(path: Path, advice: str = "") -> Iterator[None]:
    """Turns every way in which a file can be damaged, or be a pointer to one, into one sentence.

    Args:
        path: the file that is read in the block.
        advice: ends the message.

    Raises:
        NotFoundError: only a pointer of git-annex or Git LFS is there.
        BadInputError: it is damaged.
    """
    try:
        yield
    except _DAMAGE as error:
        if reason := missing_content(path):
            raise NotFoundError(f"{path}: {reason}.") from None
        if isinstance(error, AtlasError | FileNotFoundError):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInputError(f"{path}: a damaged or cut file ({reason}); get it again{advice}.") from None
