"""What `voxel-atlas check` says of a data set before anything is fitted: what is there, and how big the job is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ...schemas.config import IngestConfig
from ...schemas.errors import AtlasError, BadInputError
from ...schemas.registry import GENERATORS
from ..encoding.memory import bytes_to_fit, require_memory
from ..encoding.metrics import drop_reasons
from .interface import Dataset, DatasetClass
from .probe import n_probe_images, probe_bytes, require_room, with_probe
from .rois import voxels_in
from .trials import TrialDataset

_ROW_BYTES = 3400
"""What the atlas keeps of a labelled voxel beside its vectors: measured on the demo (top images, scores, evidence)."""
_LABELS_OF_ONE_CAPTION = 8.3
"""K of Heaps' law V = K √n, by which vocabularies grow with captions: 360 labels of 1,898 captions in the demo."""
_COPIED_AT_MOST = 1 << 30
"""Bytes of a copy that is made to look at responses."""
_PICTURE_BYTES = 3 * 512 * 512
"""A generated picture at most, where its generator does not say: Stable Diffusion's, uncompressed."""


@dataclass(frozen=True)
class Disk:
    """Bytes that a whole job makes the home folder and the atlas grow by, estimated."""

    features: int
    """Of images, crops and generated pictures, cached."""
    atlas: int
    """Rows."""
    index: int
    """Of vectors, in the home folder."""
    pictures: int
    """Generated for labels; most of an estimate's uncertainty, which `voxel-atlas plan` takes away after the fit."""
    copies: int
    """Compressed responses that can be read by voxel."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.features + self.atlas + self.index + self.pictures + self.copies

    @classmethod
    def of(
        cls, config: IngestConfig, n_images: int, n_probe: int, n_voxels: int, n_features: int, copies: int
    ) -> "Disk":
        """What a job takes.

        Args:
            config: the settings.
            n_images: images that the subject saw.
            n_probe: images that voxels are described by, where these are others; else 0.
            n_voxels: voxels that are fitted.
            n_features: features of the backbone.
            copies: bytes of copies.
        """
        crops = captions = 0
        if labelled := config.dissect != "none":
            described = n_probe or n_images
            crops = min(n_voxels * config.top_images, described) * config.crops_per_image
            captions = min(n_voxels * config.n_captions, described + crops)
        pictures = round(_LABELS_OF_ONE_CAPTION * captions**0.5) * config.images_per_label
        each = getattr(GENERATORS[config.generator], "picture_bytes", _PICTURE_BYTES) if labelled else 0
        # A model holds the covariance of its features; an index vectors and their codes of one byte a number.
        rows = 4 * n_voxels * n_features + 4 * n_features**2 + n_voxels * _ROW_BYTES * labelled
        index = n_voxels * n_features * (4 + 1)
        # Features of probe images are cached, and lie in a file while they are used.
        features = 4 * n_features * (n_images + 2 * n_probe + crops + pictures)
        return cls(features, rows, index, pictures * each, copies)


@dataclass(frozen=True)
class Size:
    """How big a job is: what a data set holds for one configuration, and what fitting it takes."""

    n_probe_images: int
    """Images that voxels are described by, where these are not those that the subject saw; else 0."""
    probe_bytes: int
    """Disk that features of these take."""
    n_images: int
    n_trials: int
    n_voxels: int
    """Voxels of the configuration's ROIs; voxels that turn out NaN or constant are among them."""
    n_batches: int
    ram_bytes: int
    """Memory that fitting takes at its peak, estimated."""
    disk: Disk
    """Disk that the whole job takes."""

    @classmethod
    def of(cls, dataset: Dataset, config: IngestConfig, n_features: int) -> "Size":
        """The size of the job that an open data set is.

        Raises:
            NotFoundError: an ROI that the subject has not.
        """
        repeats = dataset.n_listed if isinstance(dataset, TrialDataset) else dataset.n_repeats
        n_images, n_voxels = len(repeats), len(voxels_in(dataset, config.rois))
        copied = dataset.copied_bytes if isinstance(dataset, TrialDataset) else 0
        config = with_probe(config, dataset)
        of_probe = probe_bytes(config, dataset, n_features)
        ram = bytes_to_fit(n_images, n_features, min(n_voxels, config.batch_voxels))
        n_probe = n_probe_images(config, dataset)
        disk = Disk.of(config, n_images, n_probe, n_voxels, n_features, copied)
        return cls(
            n_probe, of_probe, n_images, int(repeats.sum()), n_voxels, -(-n_voxels // config.batch_voxels), ram, disk
        )


@dataclass(frozen=True)
class Inventory:
    """What is found, what is missing and how big the job is."""

    files: pl.DataFrame
    """what, path, found, needed, bytes (null where it is not there), a row for each file that the reader looks for."""
    problems: tuple[str, ...]
    """Why the data set cannot be ingested as it is, each in one sentence; empty when it can."""
    size: Size | None
    """None when the data set cannot be opened."""
    dataset: Dataset | None
    """The data set, open; None when it cannot be."""


def inventory(reader: DatasetClass, config: IngestConfig, home: Path, n_features: int) -> Inventory:
    """Take an inventory of a data set; see `check_dataset`."""
    items = list(reader.files(config))
    rows = [
        (
            item.what,
            str(item.path),
            item.path.exists(),
            item.needed,
            item.path.stat().st_size if item.path.is_file() else None,
        )
        for item in items
    ]
    schema = {"what": pl.String, "path": pl.String, "found": pl.Boolean, "needed": pl.Boolean, "bytes": pl.Int64}
    advice = [f"{item.path}: {item.advice}" for item in items if item.advice and not item.path.exists()]
    size, problems, dataset = None, advice, None
    try:
        dataset = reader.open(config, home)
        size = Size.of(dataset, config, n_features)
        require_memory(size.ram_bytes)
        require_room(size.probe_bytes, home, home / "features")
    except AtlasError as error:
        problems = [*advice, str(error)] if size else [str(error), *advice]
    return Inventory(pl.DataFrame(rows, schema=schema, orient="row"), tuple(dict.fromkeys(problems)), size, dataset)


def unusable_voxels(dataset: Dataset, config: IngestConfig) -> str:
    """What is said of voxels that a fit will leave out, in one sentence; empty where there are none.

    Only the voxels of the first batch are looked at, and none where large compressed responses would be copied first.

    Args:
        dataset: the subject.
        config: the settings.

    Raises:
        BadInputError: no voxel is left.
    """
    if isinstance(dataset, TrialDataset) and dataset.copied_bytes > _COPIED_AT_MOST:
        return ""
    voxels = voxels_in(dataset, config.rois)
    looked_at = voxels[: config.batch_voxels]
    responses = dataset.responses_of(looked_at.astype(np.intp))
    reasons = drop_reasons(responses)
    whole = len(looked_at) == len(voxels)
    of_all = f"the {'' if whole else 'first '}{len(looked_at):,} voxels of {dataset.subject.subject_id}"
    said = []
    if (lost := np.flatnonzero(reasons == "nan")).size:
        trial = dataset.lost_trial(int(looked_at[lost[0]])) if isinstance(dataset, TrialDataset) else ""
        where = f"voxel {looked_at[lost[0]]} first{trial and ', in '}{trial}"
        said.append(f"{len(lost):,} have responses that are no numbers ({where})")
    if (constant := np.flatnonzero(reasons == "constant")).size:
        said.append(f"{len(constant):,} have responses that do not vary (voxel {looked_at[constant[0]]} first)")
    if whole and len(lost) + len(constant) == len(voxels):
        raise BadInputError(f"Of {of_all}, none can be fitted: {' and '.join(said)}; look at the responses.")
    return f"Of {of_all}, {' and '.join(said)}; they are left out." if said else ""
