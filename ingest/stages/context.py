"""What every stage of one ingest shares."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from ...atlas.backbones.interface import Backbone, Image
from ...atlas.store.store import Store
from ...schemas.config import IngestConfig
from ...schemas.errors import AtlasError, BadInputError, NotFoundError
from ...schemas.stage import Stage
from ..datasets.interface import Dataset, Images
from ..dissection.interface import Captioner, Generator
from ..encoding.split import Indices
from ..progress import Progress, Silent
from ..workers import InProcess, WorkerPool

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class BatchContext:
    """What work on a batch needs, wherever it is done: other processes get a copy."""

    dataset: Dataset
    probe: Images
    """The images that voxels are described by; the data set itself where those are the ones that the subject saw."""
    backbone: Backbone
    config: IngestConfig
    split: tuple[Indices, Indices]
    """Training and test images, as rows of the data set's `stimuli`."""
    home: Path
    """Folder for feature files, generated pictures and weights."""
    model_id: str
    """Under which the rows are kept."""
    device: str
    """As the user names it: auto is each machine's own."""
    batch_images: int


def read_image(images: Images, index: int) -> Image:
    """One of some images.

    Raises:
        BadInputError: it cannot be read.
    """
    try:
        return images.image(index)
    except AtlasError:
        raise
    except (OSError, ValueError, SyntaxError) as error:
        stimulus_id, uri = images.stimuli.select("stimulus_id", "uri").row(index)
        raise BadInputError(
            f"The image {stimulus_id} ({uri}) cannot be read: {str(error).rstrip('.')}; put the file back."
        ) from error


@dataclass(frozen=True, kw_only=True)
class DataContext:
    """What stages need that look at data, settings and the atlas, and at no network."""

    dataset: Dataset
    config: IngestConfig
    store: Store
    run_id: str
    progress: Progress = field(default_factory=Silent)

    def append(self, batch: Mapping[str, pa.Table], stage: Stage, key: str) -> bool:
        """Append rows to the atlas in this run; see `Store.append`."""
        return self.store.append(batch, run_id=self.run_id, stage=stage, key=key)


@dataclass(frozen=True, kw_only=True)
class Context(BatchContext, DataContext):
    """One ingest: what goes in, where it goes, and who works on it."""

    label_backbone: Backbone
    """Its text tower embeds the labels."""
    captioner: Captioner | None = None
    generator: Generator | None = None
    """None where nothing needs them."""
    spaces: tuple[Backbone, ...] = ()
    """Further networks, in whose spaces scorers compare pictures."""
    workers: WorkerPool = field(default_factory=InProcess)
    """Where the costly batches are worked on."""
    skip_bad: bool = False
    """Whether what cannot be done is skipped, with a note; it stops the run otherwise."""
    skipped: list[str] = field(default_factory=list)
    """What was skipped so far."""

    @property
    def for_workers(self) -> BatchContext:
        """The part that other processes can have."""
        return BatchContext(**{part.name: getattr(self, part.name) for part in fields(BatchContext)})

    @contextmanager
    def skipping(self, what: str) -> Iterator[None]:
        """Go on without `what` where bad input keeps it from being done and the user chose so; a later run tries again.

        Nothing of it may have been committed. A full disk or missing weights stop the run in any case.
        """
        try:
            yield
        except (BadInputError, NotFoundError) as error:
            if not self.skip_bad:
                raise
            self.skipped.append(what)
            self.progress.note(f"Skipped {what}: {error}")


def ranges(n: int, size: int) -> list[tuple[int, int]]:
    """Ranges (start, stop) of at most `size` that cover 0 … n-1."""
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def grouped(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Lists of at most `size` items, in their order."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group


def hash_of(content: bytes) -> str:
    """Sixteen digits that name content in the key of a batch."""
    return hashlib.sha256(content).hexdigest()[:16]
