"""Bringing models into an atlas: fitting a subject's voxels and labelling them, anew or going on with it.

encode → fit → describe → nouns → generate → score → embed labels: every stage appends batches that the ledger knows, so
a run that was stopped anywhere goes on where it was, and one that is complete does nothing.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atlas.backbones import load
from ..atlas.backbones.feature_cache import features_folder
from ..atlas.backbones.interface import Backbone
from ..atlas.search.atlas import Atlas
from ..atlas.search.contrasts.region_vectors import region_vectors
from ..atlas.store.address import Address
from ..atlas.store.store import Store
from ..schemas.config import IngestConfig
from ..schemas.errors import BadInputError
from ..schemas.stage import Stage
from .datasets import open_dataset
from .datasets.interface import Dataset
from .datasets.probe import probe_bytes, probe_of, require_room, with_probe
from .datasets.readable import without_unreadable
from .dissection import load_captioner, load_generator
from .dissection.interface import Captioner, Generator
from .encoding.memory import bytes_to_fit, require_memory
from .identity import model_id_of, of_data, of_network
from .plan import Plan, plan, probe_job
from .progress import Progress, Silent
from .run_record import new_run_id, only_one, recorded
from .stages.append_images import append_images
from .stages.append_subject import append_subject
from .stages.context import Context
from .stages.encode import encode
from .stages.fit.append_learning_curve import append_learning_curve
from .stages.fit.fit import fit, say_result
from .stages.fit.low_level_control import append_semantic
from .stages.inherit import inherit_fit, inherit_top_images
from .stages.labels.label import label_voxels, require_sense, scorers_of
from .stages.model_split import split_of
from .stages.voxel_batches import voxels_to_fit, voxels_to_label
from .workers import InProcess, WorkerPool


@dataclass(frozen=True)
class Parts:
    """What a model is made with; see `open_parts`."""

    dataset: Dataset
    backbone: Backbone
    label_backbone: Backbone
    """Its text tower embeds the labels."""
    captioner: Captioner | None = None
    generator: Generator | None = None
    """None where nothing needs them."""
    spaces: tuple[Backbone, ...] = ()
    """Further networks, in whose spaces scorers compare pictures."""


def open_parts(
    config: IngestConfig,
    *,
    home: Path,
    device: str = "auto",
    weights: Path | None = None,
    dataset: Dataset | None = None,
    backbone: Backbone | None = None,
    label_backbone: Backbone | None = None,
    captioner: Captioner | None = None,
    generator: Generator | None = None,
    download: bool = False,
) -> Parts:
    """Open or load by their names in the settings what is not given; what is missing is not to be missed after hours.

    Args:
        config: the settings.
        home: the atlas's home folder.
        device: where networks run: auto, cpu, cuda, cuda:1 …
        weights: file of the backbone's weights; None takes those that it finds by itself.
        dataset: the subject.
        backbone: the network whose features the model uses.
        label_backbone: the network whose text tower embeds the labels.
        captioner: captions images and crops.
        generator: draws labels.
        download: fetch weights that are not on this machine; nothing is fetched otherwise.

    Raises:
        BadInputError: settings that label nothing; files of the data set that are damaged or disagree; a disk without
            room for the features of all images.
        NotFoundError: a name that nobody has registered, or a file of the data set.
        MissingWeightsError: weights are not on this machine.
    """
    dataset = dataset or open_dataset(config, home)
    how: dict[str, Any] = {"home": home, "device": device, "download": download}
    backbone = backbone or load(config.backbone, weights=weights, **how)
    # The settings of a model that is there say themselves what its voxels are described by.
    settled = config if config.data_sha256 else with_probe(config, dataset)
    require_room(probe_bytes(settled, dataset, backbone.dim), home, features_folder(home, backbone))
    if label_backbone is None:
        same = config.label_backbone == config.backbone
        label_backbone = backbone if same else load(config.label_backbone, **how)
    require_sense(config, backbone, label_backbone)
    scorers, loaded = scorers_of(config).values(), (backbone, label_backbone)
    spaces = {scorer.space(config) for scorer in scorers} - {"", backbone.name, label_backbone.name}
    drawn = any(scorer.from_candidates for scorer in scorers)
    captioned = drawn or (bool(scorers) and config.shown_by == "caption")
    if captioned:
        captioner = captioner or load_captioner(config.captioner, loaded=loaded, **how)
    if drawn:
        generator = generator or load_generator(config.generator, loaded=loaded, **how)
    return Parts(
        dataset,
        backbone,
        label_backbone,
        captioner if captioned else None,
        generator if drawn else None,
        tuple(load(name, **how) for name in sorted(spaces)),
    )


def prepared(config: IngestConfig, parts: Parts) -> tuple[IngestConfig, NDArray[np.int32]]:
    """What an ingest works out before its work starts: its settings with all fingerprints, and the voxels to fit.

    Raises:
        BadInputError: too few images, no voxel, a split that leaves too little, or too little memory.
        NotFoundError: an ROI that the subject has not, or a file that the settings name.
    """
    dataset, backbone = parts.dataset, parts.backbone
    config = of_data(config, dataset).model_copy(update=of_network(backbone))
    voxels = voxels_to_fit(dataset, config)
    split_of(config, dataset)
    require_memory(bytes_to_fit(dataset.stimuli.height, backbone.dim, min(len(voxels), config.batch_voxels)))
    return config, voxels


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Where models are made: the atlas that they go to, and what the work may use.

    Methods raise, beside what is said there:
        BadInputError: too few images, or no voxel; an unreadable image; too little memory.
        NotFoundError: an ROI that the subject has not.
        LedgerConflictError: the atlas says something else of the subject or of an image.
        StoreLockedError: another process works on the same model.
        StoreError: the atlas or a picture cannot be written.
        WorkersError: no worker is left.
    """

    store: Store
    home: Path
    """Folder for features, generated pictures and weights."""
    device: str = "auto"
    """Where networks run."""
    batch_images: int = 16
    """Images that a network sees at once."""
    progress: Progress = field(default_factory=Silent)
    workers: WorkerPool = field(default_factory=InProcess)
    """Where the costly batches are worked on."""
    skip_bad: bool = False
    """Go on without images that cannot be read and labels that cannot be drawn; they stop the run otherwise."""

    def ingest(self, config: IngestConfig, parts: Parts, *, learning_curve: bool = False, wait: bool = False) -> str:
        """Bring one model of one subject into the atlas, or go on with it.

        Args:
            config: the settings; the fingerprints of data and network are filled in here.
            parts: as `open_parts` gives them.
            learning_curve: also fit every voxel on fewer images; a model that is complete gets it added.
            wait: for another process that works on the same model, and say so; it is an error otherwise.

        Returns:
            The model's id.
        """
        if self.skip_bad:
            parts = replace(parts, dataset=without_unreadable(parts.dataset, self.progress))
        config, voxels = prepared(config, parts)
        context = self._context(parts, config, model_id_of(self.store, parts.dataset, config))
        with only_one(self.home, context.model_id, self.progress.note if wait else None), recorded(context):
            append_subject(context)
            append_images(context, context.dataset)
            features = encode(context)
            fit(context, features, voxels)
            self._index(context)
            if learning_curve:
                append_learning_curve(context, features)
            label_voxels(context, features)
            say_result(context)
        return context.model_id

    def dissect(self, source: str, config: IngestConfig, parts: Parts) -> str:
        """Label the voxels of a fitted model with settings of one's own, or go on with that.

        Other settings than the model's make a model of their own, which takes over the fit, and what else they leave as
        it was.

        Args:
            source: the model's id.
            config: the model's settings, of which those of the dissection may be changed.
            parts: as for `ingest`.

        Returns:
            The id of the model that has the labels: `source`, or the new one.

        Raises:
            BadInputError: the data or the network are not those that the model was fitted with; the model is not fitted
                to the end, or came with a release.
        """
        old = self._require_fitted(source, parts)
        voxels = voxels_to_fit(parts.dataset, config)
        config = with_probe(config, parts.dataset, probe_of(config, parts.dataset)) if config.probe else config
        # Older versions had fewer settings, so that equal settings may have another hash now.
        model_id = source if config == old else model_id_of(self.store, parts.dataset, config)
        context = self._context(parts, config, model_id)
        with only_one(self.home, model_id), recorded(context):
            if model_id != source:
                inherit_fit(context, source, voxels)
                self._index(context)
                inherit_top_images(context, source, old, voxels_to_label(context))
            features = encode(context)
            append_semantic(context, features)
            label_voxels(context, features)
        return model_id

    def plan(self, source: str, config: IngestConfig, parts: Parts, *, n_sample: int = 100) -> Plan:
        """What `dissect` with the same arguments would cost; nothing is stored but features of images.

        Args:
            source: the model's id.
            config: the settings of the dissection.
            parts: as for `ingest`.
            n_sample: images that the numbers are estimated from; 0 for all, which makes them exact.

        Raises:
            BadInputError: no method captions or draws; and as for `dissect`.
        """
        self._require_fitted(source, parts)
        voxels_to_fit(parts.dataset, config)
        context = self._context(parts, config, source)
        if context.captioner is None or context.generator is None:
            raise BadInputError(
                f"{', '.join(config.methods)} captions and draws nothing, so that there is nothing to plan."
            )
        jobs = [] if context.probe is parts.dataset else [probe_job(context)]
        # Where others have yet to be encoded, the images that were seen stand for all.
        to_do = bool(jobs) and jobs[0].done < jobs[0].number
        looked_at = replace(context, probe=parts.dataset) if to_do else context
        features = encode(looked_at, images=looked_at.probe)
        planned = plan(looked_at, features, context.captioner, context.generator, n_sample)
        return replace(planned, jobs=(*jobs, *planned.jobs))

    def _index(self, context: Context) -> None:
        """Keep a fitted model's index and regions' means, so that no reader waits for them; a server keeps its own."""
        if Address.parse(self.store.address).kind != "http":
            with self.progress.stage("index voxels", 1) as advance:
                # Whatever the setting is: nothing is kept here to be asked.
                model = Atlas(self.store, home=self.home, model_memory="").model(context.model_id)
                model.unit_vectors()
                if model.has_text:
                    region_vectors(model.tables, model.readout(), significant=True, semantic=True)
                advance(1)

    def _context(self, parts: Parts, config: IngestConfig, model_id: str) -> Context:
        return Context(
            **vars(self),
            **vars(parts),
            config=config,
            model_id=model_id,
            run_id=new_run_id(),
            probe=probe_of(config, parts.dataset),
            split=split_of(config, parts.dataset),
        )

    def _require_fitted(self, model_id: str, parts: Parts) -> IngestConfig:
        """The settings of a model, if it is fitted to the end, on this data and with this network.

        Raises:
            BadInputError: it is not.
        """
        row = self.store.arrow(
            "SELECT config, len(feature_mean) AS dim, EXISTS (FROM significance s WHERE s.model_id = m.model_id) AS "
            "tested, EXISTS (FROM ledger WHERE stage = ? AND batch_key = m.model_id) AS ours FROM model m "
            "WHERE model_id = ?",
            [Stage.MODEL, model_id],
        ).to_pylist()[0]
        config, backbone = IngestConfig.model_validate_json(row["config"]), parts.backbone
        if not row["ours"]:
            raise BadInputError(
                f"{model_id} came with a release, which its labels are part of; ingest its data to label it."
            )
        if not row["tested"]:
            raise BadInputError(f"{model_id} is not fitted to the end; let `voxel-atlas ingest` go on with it first.")
        if backbone.dim != row["dim"]:
            raise BadInputError(
                f"{model_id} has weights in {row['dim']} dimensions and {backbone.name} has {backbone.dim}; pass the "
                "--weights that it was fitted with."
            )
        if backbone.fingerprint != config.backbone_sha256:
            raise BadInputError(
                f"{model_id} was fitted with other weights of {backbone.name} than these; pass the --weights of then."
            )
        if parts.dataset.fingerprint != config.data_sha256:
            raise BadInputError(f"The data of {model_id} have changed since it was fitted; ingest them as a new model.")
        return config
