"""A study: every subject by every network of one file of settings, of which one that is bad stops no other."""

import errno
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ....schemas.config import IngestConfig, Settings
from ....schemas.errors import (
    AtlasError,
    BadInputError,
    MissingWeightsError,
    NotFoundError,
    NoWorkersError,
    SpaceMismatchError,
    StoreError,
    StoreLockedError,
    redacted,
)
from ....schemas.registry import BACKBONES
from ..console import Output, duration, say
from ..options import open_store
from .making import Maker, on_its_surface

if TYPE_CHECKING:
    from ....atlas.backbones.interface import Backbone
    from ....atlas.store.store import Store
    from ....ingest.datasets.interface import Dataset
    from ....ingest.datasets.inventory import Disk, Size

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_TURNS: tuple[Literal["leave", "wait"], ...] = "leave", "wait"
"""What is done with models that others are at: at first, and when all else is made."""


@dataclass(frozen=True)
class _Outcome:
    """What has become of one model."""

    config: IngestConfig
    model_id: str = ""
    state: str = "failed"
    seconds: float = 0.0
    """How long it took, where anything was done."""
    error: Exception | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return self.model_id or f"{self.config.dataset} subject {self.config.subject} by {self.config.backbone}"

    @property
    def reason(self) -> str:
        """Why it is not in the atlas, in one sentence."""
        kind = "" if isinstance(self.error, AtlasError | OSError) else f"{type(self.error).__name__}: "
        return kind + " ".join(str(self.error).split()) if self.error else ""


def bring_study(maker: Maker, configs: Sequence[IngestConfig], output: Output) -> None:
    """Bring every model of a study into the atlas, or go on with that: those that are there cost seconds.

    What another process or machine is at work on is left to it, and looked at again at the end: then a process of this
    home folder is waited for.

    Args:
        maker: makes one model.
        configs: the models' settings.
        output: how to answer.

    Raises:
        BadInputError: some models are not in the atlas; the others are.
        NotFoundError: nobody has registered one of the networks.
        NoWorkersError: no worker is left.
        StoreError: the atlas cannot be opened, or written.
        OSError: nor can files beside it.
    """
    for config in configs:
        BACKBONES.require(config.backbone)
    with suppress(NotFoundError):  # nothing has been ingested yet
        open_store(maker.settings).close()  # what keeps it from every model is said once
    outcomes, waiting = dict[int, _Outcome](), list(enumerate(configs))
    with maker.bars.stage("models", len(configs)) as advance:
        for others in _TURNS:
            put_off = list[tuple[int, IngestConfig]]()
            for place, config in waiting:
                outcome = _make(maker, config, others)
                if others == "leave" and isinstance(outcome.error, StoreLockedError):
                    put_off.append((place, config))
                    continue
                outcomes[place] = outcome
                advance(1)
                _say(outcome, list(outcomes.values()), len(configs))
            waiting = put_off
    _conclude([outcomes[place] for place in range(len(configs))], redacted(maker.settings.address), output)


def _make(maker: Maker, config: IngestConfig, others: Literal["leave", "wait"]) -> _Outcome:
    start = time.monotonic()
    try:
        with maker.bars.part():
            model_id, was_whole = maker.model(config, others=others)
    except Exception as error:  # of whatever kind: the others of the study go on, and it is raised at the end
        of_store = isinstance(error, StoreError) and not isinstance(error, StoreLockedError)
        if of_store or isinstance(error, NoWorkersError) or getattr(error, "errno", None) in _OF_THE_DISK:
            raise
        return _Outcome(config, error=error)
    return _Outcome(config, model_id, *(("was there", 0.0) if was_whole else ("made", time.monotonic() - start)))


def _say(outcome: _Outcome, outcomes: Sequence[_Outcome], n_models: int) -> None:
    """Say what has become of a model, and how far the study is."""
    took = [each.seconds for each in outcomes if each.seconds]
    left = n_models - len(outcomes)
    ahead = f"; about {duration(left * sum(took) / len(took))} for the other {left}" if took and left else ""
    how = f" in {duration(outcome.seconds)}" if outcome.seconds else ""
    said = f"failed: {outcome.reason}" if outcome.error else f"{outcome.state}{how}"
    say(f"{len(outcomes)} of {n_models}: {outcome.name} {said.rstrip('.')}{ahead}.")


def _conclude(outcomes: Sequence[_Outcome], atlas: str, output: Output) -> None:
    """Show all, and raise what kept some of them from the atlas."""
    import polars as pl

    rows = [
        {
            "subject": outcome.config.subject,
            "backbone": outcome.config.backbone,
            "state": outcome.state,
            "model_id": outcome.model_id,
            "reason": outcome.reason,
        }
        for outcome in outcomes
    ]
    output.show(pl.DataFrame(rows))
    failed = [outcome for outcome in outcomes if outcome.error]
    for outcome in failed:
        if outcome.error and not isinstance(outcome.error, AtlasError | OSError):
            raise outcome.error  # a fault of ours, with its traceback
    if failed:
        others = f" ({len(failed) - 1} more: see the list)" if len(failed) > 1 else ""
        raise BadInputError(
            f"{len(failed)} of {len(outcomes)} models are not in {atlas}: {failed[0].name}: "
            f"{failed[0].reason.rstrip('.')}{others}. Mend that and give the same command again: the other models stay."
        )
    say(f"All {len(outcomes)} models are in {atlas}.")


def check_study(
    configs: Sequence[IngestConfig],
    settings: Settings,
    output: Output,
    problems_of: Callable[[IngestConfig, "Dataset | None"], list[str]],
) -> None:
    """List how big each model of a study is, the disk of all of them, and what would stop some.

    Args:
        configs: the models' settings.
        settings: where the atlas is.
        output: how to answer.
        problems_of: why an ingest of a data set that can be opened would not start.

    Raises:
        BadInputError: some models cannot be made.
    """
    import polars as pl

    rows = []
    sizes: list[tuple[IngestConfig, Size]] = []
    for config in configs:
        size, dataset, problems = _looked_at(config, settings)
        problems += problems_of(config, dataset)
        if size:
            sizes.append((config, size))
        rows.append(
            {
                "subject": config.subject,
                "backbone": config.backbone,
                "images": size and size.n_images,
                "voxels": size and size.n_voxels,
                "memory_gib": size and size.ram_bytes / 2**30,
                "disk_gib": size and size.disk.total / 2**30,
                "problem": " ".join(dict.fromkeys(problems)),
            }
        )
    output.show(pl.DataFrame(rows))
    if sizes:
        say(disk_cost(disk_of_study(sizes), settings))
    _refuse(rows)
    say(f"All {len(rows)} models are ready to ingest.")


def _looked_at(config: IngestConfig, settings: Settings) -> tuple["Size | None", "Dataset | None", list[str]]:
    """How big a job is, its data set, and what is wrong with it, where it can be opened or cannot."""
    from ....atlas.backbones import backbone_class
    from ....ingest.datasets import check_dataset

    try:
        contents = check_dataset(config, settings.home, backbone_class(config.backbone).dim)
    except AtlasError as error:
        return None, None, [str(error)]
    return contents.size, contents.dataset, list(contents.problems)


def plan_study(
    configs: Sequence[IngestConfig], settings: Settings, output: Output, *, weights: Path | None, download: bool
) -> None:
    """Say which models of a study the atlas has, and what time and disk the others take.

    Models take what those of the same network and kind of labels in the atlas took for each voxel, in the median. Where
    there is none yet, encoding and fitting are measured here, and labels are not counted.

    Args:
        configs: the models' settings.
        settings: where the atlas is.
        output: how to answer.
        weights: file of the network's weights, where one is named.
        download: fetch weights that are not on this machine.

    Raises:
        BadInputError: some models cannot be made: weights that are not on this machine, say.
        StoreError: the atlas cannot be read.
    """
    import polars as pl

    from ....atlas.backbones import load
    from ....ingest.stages.model_split import split_of
    from ....ingest.study_plan import kind_of, seconds_per_voxel, seconds_to_fit

    with _store_if_there(settings) as store:
        took = seconds_per_voxel(store) if store else {}
    networks: dict[str, Backbone] = {}

    def seconds_of(config: IngestConfig, size: "Size") -> float:
        name, kind = config.backbone, kind_of(config)
        if kind in took:
            return took[kind] * size.n_voxels
        if name not in networks:
            networks[name] = load(name, weights=weights, device=settings.device, home=settings.home, download=download)
        return seconds_to_fit(config, size, networks[name])

    rows, total = [], 0.0
    sizes: list[tuple[IngestConfig, Size]] = []
    for config in configs:
        size, dataset, problems = _looked_at(config, settings)
        there, seconds = False, 0.0
        try:
            there = dataset is not None and _is_there(config, dataset, settings, weights)
            if size and dataset is not None and not there and not problems:
                split_of(config, dataset)  # which may be a file that is not there
                seconds = seconds_of(config, size)
                sizes.append((config, size))
                total += seconds
        except (BadInputError, MissingWeightsError, NotFoundError, SpaceMismatchError) as error:
            problems.append(str(error))
        rows.append(
            {
                "subject": config.subject,
                "backbone": config.backbone,
                "state": "is there" if there else "cannot be made" if problems else "to make",
                "voxels": size and size.n_voxels,
                "seconds": seconds,
                "disk_gib": size.disk.total / 2**30 if size and not there else 0.0,
                "problem": " ".join(dict.fromkeys(problems)),
            }
        )
    output.show(pl.DataFrame(rows))
    say(f"{len(sizes)} of {len(rows)} models are to be made: about {duration(total)} in one process.")
    if networks:
        say(f"Without labels for {', '.join(networks)}, of which no such model is there: make one, and plan again.")
    if sizes:
        say(disk_cost(disk_of_study(sizes), settings))
    _refuse(rows)


def _store_if_there(settings: Settings) -> AbstractContextManager["Store | None"]:
    """The atlas to be read, or None where nothing has been ingested yet."""
    try:
        return open_store(settings, read_only=True)
    except NotFoundError:
        return nullcontext()


def _is_there(config: IngestConfig, dataset: "Dataset", settings: Settings, weights: Path | None) -> bool:
    """Whether the atlas has a model whole.

    Raises:
        BadInputError: the settings make no sense for the data set.
        NotFoundError: what they name is not there.
        SpaceMismatchError: the responses are of another space than the surface.
    """
    from ....ingest.identity import whole

    on_surface = on_its_surface(dataset, settings)
    with _store_if_there(settings) as store:
        if store is None:
            return False
        return whole(store, settings.home, config, on_surface, weights, learning_curve=False) is not None


def _refuse(rows: Sequence[Mapping[str, object]]) -> None:
    """Raise the problems of models, where there are some."""
    if bad := [row for row in rows if row["problem"]]:
        raise BadInputError(
            f"{len(bad)} of {len(rows)} models cannot be made: subject {bad[0]['subject']} by {bad[0]['backbone']}: "
            f"{bad[0]['problem']}"
        )


def disk_of_study(sizes: Sequence[tuple[IngestConfig, "Size"]]) -> "Disk":
    """What all models take together: features of probe images once a network, copies of responses once a subject."""
    from ....ingest.datasets.inventory import Disk

    disks = [size.disk for _, size in sizes]
    probes, copies = dict[tuple[str, ...], int](), dict[tuple[str, ...], int]()
    for config, size in sizes:
        probe, subject = (config.backbone, config.dataset, config.probe), (config.dataset, config.root, config.subject)
        # A model without labels needs no probe images.
        probes[probe] = max(probes.get(probe, 0), size.probe_bytes)
        copies[subject] = max(copies.get(subject, 0), size.disk.copies)
    return Disk(
        sum(size.disk.features - size.probe_bytes for _, size in sizes) + sum(probes.values()),
        sum(disk.atlas for disk in disks),
        sum(disk.index for disk in disks),
        sum(disk.pictures for disk in disks),
        sum(copies.values()),
    )


def disk_cost(disk: "Disk", settings: Settings) -> str:
    """What is said of the disk that a whole job takes, and of what is free where it goes."""
    from ....atlas.store.address import Address
    from ....ingest.datasets.probe import existing, free_bytes

    parts = {
        "features": disk.features, "atlas": disk.atlas, "index": disk.index, "pictures of labels": disk.pictures,
        "copies": disk.copies,
    }  # fmt: skip
    listed = ", ".join(f"{name} {n_bytes / 2**30:.2f}" for name, n_bytes in parts.items() if n_bytes)
    home, rows = settings.home, Address.parse(settings.address).folder
    free = free_bytes(home)
    said = f"About {disk.total / 2**30:.2f} GiB of disk ({listed}); {free / 2**30:.2f} GiB are free at {home}"
    if rows is not None and existing(rows).stat().st_dev == existing(home).stat().st_dev:
        short = free < disk.total
    else:
        free_of_rows = free_bytes(rows) if rows else disk.atlas
        said += f", and {free_of_rows / 2**30:.2f} for the atlas at {rows}" if rows else "; the atlas lies elsewhere"
        short = free < disk.total - disk.atlas or free_of_rows < disk.atlas
    return said + (", which may not do." if short else ".")
