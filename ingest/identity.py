"""What a model's id depends on, and whether an atlas has that model whole: known before any network is loaded."""

import hashlib
import importlib.metadata
import json
from pathlib import Path

from ..atlas.backbones.interface import Backbone
from ..atlas.store.address import Address
from ..atlas.store.store import Store
from ..atlas.writers import ingest_lock
from ..schemas.config import IngestConfig
from ..schemas.files import write_atomically
from ..schemas.stage import Stage
from .datasets.interface import Dataset, ZScored
from .datasets.probe import probe_of, with_probe
from .run_record import new_run_id
from .stages.append_images import append_images
from .stages.append_subject import append_subject
from .stages.context import DataContext
from .stages.model_split import located_split, say_where, split_of, split_rows

_MODELS = (
    "SELECT model_id, config FROM model m WHERE subject_id = ? AND backbone = ? "
    "AND EXISTS (FROM ledger WHERE stage = ? AND batch_key = m.model_id) ORDER BY model_id"
)
_WHOLE = (
    "SELECT max_by(state = 'finished' AND message = '' AND code_version = $version, recorded_at) "
    "AND (NOT $curve OR EXISTS (FROM learning_curve WHERE model_id = $model)) AS whole FROM run WHERE model_id = $model"
)


def of_data(config: IngestConfig, dataset: Dataset) -> IngestConfig:
    """The settings of a model with all that its data say; what says which network it has is left as it is.

    Raises:
        BadInputError: a picture of the folder of `--probe` cannot be read.
        NotFoundError: a file that the settings name is not there.
    """
    zscore = dataset.zscore if isinstance(dataset, ZScored) else config.zscore
    config = config.model_copy(update={"zscore": zscore, "data_sha256": dataset.fingerprint, **located_split(config)})
    return with_probe(config, dataset, probe_of(config, dataset) if config.probe else None)


def of_network(backbone: Backbone) -> dict[str, str]:
    """The settings that say which network a model has."""
    return {"backbone_sha256": backbone.fingerprint, "preprocessing": backbone.preprocessing}


def model_id_of(store: Store, dataset: Dataset, config: IngestConfig) -> str:
    """The id of the model that these settings make; they name the fingerprints of data and network.

    A model that is here is known by what its settings mean now: older versions had fewer, and hashed more of them.
    """
    subject_id = dataset.subject.subject_id
    for row in store.arrow(_MODELS, [subject_id, config.backbone, Stage.MODEL]).to_pylist():
        if IngestConfig.model_validate_json(row["config"]).sha256 == config.sha256:
            return str(row["model_id"])
    return f"{subject_id}/{config.backbone}/{config.sha256[:6]}"


def claim(store: Store, home: Path, config: IngestConfig, dataset: Dataset, backbone: Backbone) -> bool:
    """Take a model for this machine, unless another one is at it: has begun it in another home folder and not ended.

    In a lake that is written down where nobody is at the model: of several machines that look at the same moment, the
    ledger lets one have it.

    Args:
        store: the atlas.
        home: the atlas's home folder here.
        config: the model's settings; the fingerprints of data and network are filled in here.
        dataset: the subject.
        backbone: the network.

    Returns:
        Whether this machine has it.
    """
    model_id = model_id_of(store, dataset, of_data(config, dataset).model_copy(update=of_network(backbone)))
    if Path(ingest_lock(home, model_id).lock_file).exists():
        return True
    sql = "SELECT max_by(state, recorded_at) AS state, count(DISTINCT run_id) AS n FROM run WHERE model_id = ?"
    (runs,) = store.arrow(sql, [model_id]).to_pylist()
    if runs["state"] == "started":
        return False
    if Address.parse(store.address).kind != "ducklake":
        return True
    return store.append({}, run_id=new_run_id(), stage=Stage.RUN, key=f"{model_id}/{runs['n']}")


def whole(
    store: Store, home: Path, config: IngestConfig, dataset: Dataset, weights: Path | None, *, learning_curve: bool
) -> tuple[str, IngestConfig] | None:
    """Id and settings of the model that an ingest would find whole; None where there may be work for it. Only reads.

    Args:
        store: the atlas.
        home: the atlas's home folder.
        config: the model's settings; the fingerprints of data and network are filled in here.
        dataset: the subject.
        weights: file of the backbone's weights, where one is named.
        learning_curve: whether the model is to have one.

    Raises:
        BadInputError: as for `of_data`.
        NotFoundError: likewise.
    """
    if (network := _remembered(home, config.backbone, weights)) is None:
        return None
    config = of_data(config, dataset).model_copy(update=network)
    model_id = model_id_of(store, dataset, config)
    asked = {"model": model_id, "version": importlib.metadata.version("voxel-atlas"), "curve": learning_curve}
    return (model_id, config) if store.arrow(_WHOLE, asked)["whole"].to_pylist() == [True] else None


def finished(context: DataContext, home: Path, weights: Path | None, *, learning_curve: bool) -> str | None:
    """Id of the model that is `whole`, of which is said what an ingest says anew: where data are, what shows a subject.

    Args:
        context: the ingest.
        home: the atlas's home folder.
        weights: file of the backbone's weights, where one is named.
        learning_curve: whether the model is to have one.

    Raises:
        BadInputError: as for `of_data`.
        NotFoundError: likewise.
        LedgerConflictError: the atlas says something else of the subject or of an image.
    """
    store, dataset = context.store, context.dataset
    found = whole(store, home, context.config, dataset, weights, learning_curve=learning_curve)
    if found is None:
        return None
    model_id, config = found
    append_subject(context)
    append_images(context, dataset)
    if config.dissect != "none" and (probe := probe_of(config, dataset)) is not dataset:
        append_images(context, probe)
    model = store.arrow("SELECT * FROM model WHERE model_id = ?", [model_id])
    rows = split_rows(model_id, dataset, split_of(config, dataset))
    say_where(context, config, {"model": model, "split": rows})
    return model_id


def remember(home: Path, name: str, weights: Path | None, backbone: Backbone) -> None:
    """Note which network a name stood for, so that `finished` need not load it; of those that tell their file."""
    if (file := getattr(backbone, "weights_file", None)) is not None:
        note = json.dumps(
            {"file": str(file.absolute()), "state": _state(file), "network": of_network(backbone)}
        ).encode()
        write_atomically(_note(home, name, weights), lambda opened: opened.write(note))


def _remembered(home: Path, name: str, weights: Path | None) -> dict[str, str] | None:
    """The settings that name a network, if the file that it was loaded from is as it was then."""
    try:
        note = json.loads(_note(home, name, weights).read_bytes())
        known: dict[str, str] = note["network"]
        return known if note["state"] == _state(Path(note["file"])) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _state(file: Path) -> list[int]:
    found = file.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def _note(home: Path, name: str, weights: Path | None) -> Path:
    asked = hashlib.sha256(json.dumps([name, str(weights.absolute()) if weights else ""]).encode()).hexdigest()
    return home / "cache" / "networks" / f"{asked[:16]}.json"
