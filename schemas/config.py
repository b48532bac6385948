"""Every setting of Voxel Atlas: name, default, unit and help. `voxel-atlas settings` prints this table.

`Settings` says where things are and how the server behaves; it never changes a result. `IngestConfig` is all that a
result depends on: its hash is part of the model's id, so two configurations never mix.
"""

import hashlib
import json
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .errors import BadInputError
from .limits import LIMITS
from .registry import BACKBONES, CAPTIONERS, DATASETS, GENERATORS, SCORERS, Registry

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(gt=0)]

FDR = 0.05
"""False discovery rate up to which a voxel is significant and semantic, a concept its own, and a label verified.

The views and macros of tables.sql have it, too.
"""
LOWEST_CEILING = 0.1
"""Noise ceiling below which R² is not divided by it; the view `voxel_quality` has it, too."""


def _listed(value: object) -> object:
    """Several values of one environment variable, between commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def expanded(path: str) -> str:
    """A path of a user's, in which ~ is the user's own folder wherever it is written: no shell has seen a .env file.

    Raises:
        ValueError: its ~ is nobody's, or it is no UTF-8; a sentence.
    """
    try:
        path.encode()
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except UnicodeEncodeError:  # a name of an old archive, which no table of the atlas can hold
        raise ValueError(f"{path!a} has bytes that are no UTF-8; rename it") from None
    except RuntimeError:
        raise ValueError(f"{path}: nothing says where ~ is; write the whole path") from None


def _default_home() -> Path:
    try:
        return Path(platformdirs.user_data_dir("voxel-atlas"))
    except RuntimeError:  # no HOME, and a user that the system does not know, as in containers
        raise BadInputError("Nothing says where your files are: set VOXEL_ATLAS_HOME to a folder.") from None


UserPath = Annotated[Path, AfterValidator(lambda path: Path(expanded(str(path))))]
UserPathText = Annotated[str, AfterValidator(expanded)]
PlaceText = Annotated[UserPathText, AfterValidator(lambda path: str(Path(path).absolute()) if path else "")]
"""A place that is kept, and means the same wherever one works."""


def _names(registry: Registry) -> str:
    return ", ".join(registry.names)


_AMOUNT = r"(0\.\d*[1-9]\d*|[1-9]\d*(\.\d+)?) ?([KMGTkmgt]i?)[Bb]"
Origin = Annotated[str, Field(pattern=r"^https?://[^\s/*,]+$")]
Network = Annotated[IPv4Network | IPv6Network, PlainSerializer(str)]


class Settings(BaseSettings):
    """Where the atlas lives and how it is served. Each setting is also an environment variable, VOXEL_ATLAS_NAME."""

    model_config = SettingsConfigDict(
        env_prefix="VOXEL_ATLAS_", env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

    home: UserPath = Field(
        default_factory=_default_home,
        description="Folder of the atlas, its pictures and its caches.",
    )
    atlas: UserPathText = Field("", description="Address of the atlas; empty means atlas.duckdb in the home folder.")
    host: str = Field("127.0.0.1", description="Address that the server binds to; anything but loopback needs a token.")
    port: int = Field(8765, ge=0, le=65535, description="Port of the server.")
    token: SecretStr = Field(
        SecretStr(""),
        description="A token that may do everything, of 16 letters or more; empty: those of `voxel-atlas token`, or "
        "loopback only.",
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/*,?#]+(/[\w.~-]+)*/?)?$",
        description="Address under which people reach the server through a proxy: https://lab.example/atlas. Everyone "
        "needs a token then.",
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: 127.0.0.1,10.0.0.0/8"
    )
    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Sites whose pages may ask, with a token of their own: https://lab.example,https://…"
    )
    rate_limit: str = Field(
        "3000/minute",
        description="Requests per token, or per address without one, where tokens are wanted; empty: any.",
    )
    pictures_mb: Count = Field(
        1000, description="Megabytes of rendered pictures that the server keeps; those not asked for longest go first."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="What the server logs, as JSON lines; info is a line for each request."
    )
    batch_images: Count = Field(16, description="Images that a network sees at once on a CPU.")
    device: str = Field("auto", description="Where networks run: auto, cpu, cuda, cuda:1 …")
    download: bool = Field(
        False,
        description="Whether weights that are not on this machine may be fetched from their publishers.",
    )
    memory_limit: str = Field(
        "2GB",
        pattern=rf"^{_AMOUNT}$",
        description="Memory that DuckDB may use: 500MB, 2GB, 1.5GiB.",
    )
    model_memory: str = Field(
        "",
        pattern=rf"^({_AMOUNT})?$",
        description="Memory that models may take which are kept to be asked: 8GB, 1.5GiB; those not asked for longest "
        "are let go. Empty means a fifth of the machine's, or of what the container, job or service has that it is in.",
    )
    workers: str = Field(
        "",
        description="Where the costly batches of an ingest are worked on: dask://HOST:PORT, dask:PROCESSES, slurm or "
        "slurm:JOBS; empty means in its own process.",
    )
    cortex_filestore: UserPath | None = Field(
        None, description="pycortex store with your own subjects; empty means the store that pycortex ships."
    )

    @field_validator("token")
    @classmethod
    def _long_enough(cls, token: SecretStr) -> SecretStr:
        if 0 < len(token) < LIMITS.token_letters:
            raise ValueError(f"it must have {LIMITS.token_letters} letters or more, or it could be guessed")
        return token

    @property
    def public_path(self) -> str:
        """Path under which a proxy offers the server, without a slash at its end; empty for the root."""
        return urlsplit(self.public_url).path.rstrip("/")

    @property
    def public_origin(self) -> str:
        """Scheme, host and port of `public_url`, as browsers name a page's site; empty where it is not set."""
        parts = urlsplit(self.public_url)
        return f"{parts.scheme}://{parts.netloc}".lower() if self.public_url else ""

    @property
    def address(self) -> str:
        """The atlas's address: `atlas` where it is set, else atlas.duckdb in the home folder."""
        return self.atlas or str(self.home / "atlas.duckdb")


class DataConfig(BaseModel):
    """Which responses of which subject are modelled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str = Field(description=f"Which reader to use: {_names(DATASETS)}.")
    subject: str = Field(description="The subject, as the data set counts: 5, 01, S1 …")
    root: PlaceText = Field("", description="Folder of the data set; none: for data sets that lie in no folder.")
    rois: tuple[str, ...] = Field((), description="Only voxels of these ROIs; none means all that the reader offers.")
    space: str = Field(
        "",
        description="NSD: func1pt8mm (the default), func1mm, nativesurface or fsaverage. folder: the standard space of "
        "the responses, fs_LR, fsaverage5, fsaverage6, fsaverage or MNI152, where their file does not say it.",
    )
    betas: str = Field("betas_fithrf_GLMdenoise_RR", description="NSD: which of its three versions of the betas.")
    tasks: tuple[Literal["imagenet", "coco"], ...] = Field(
        ("imagenet", "coco"), description="NOD: the experiments whose images are used (paper: both)."
    )
    stimuli: str = Field("stimuli.csv", description="folder: the table that joins images to responses, within root.")
    responses: str = Field(
        "",
        description="folder: the responses within root: a file, FILE:ARRAY, or a folder or pattern of NIfTI files, one "
        "a trial; empty means the one responses.* that is there.",
    )
    axes: str = Field(
        "",
        description="folder: axes of an array of responses, where its sizes do not tell: tv for trials and voxels, vt, "
        "or t, x, y and z in their order, as xyzt; none: they tell.",
    )
    zscore: Literal["auto", "session", "run", "none"] = Field(
        "auto",
        description="Trials that are z-scored together; auto is the run on NSD and NOD (paper), the session on "
        "LAION-fMRI, which the model's settings then say, and on a folder the finest that its table names.",
    )
    localizer_t: float | None = Field(
        None,
        description="Localiser t (z on LAION-fMRI) that a voxel must exceed to be in a category's ROI (paper: 0 on "
        "NSD, 2.3 on NOD); none: the paper's.",
    )
    food: UserPathText = Field(
        "",
        description="NSD: NIfTI mask or list of voxels of a food region; it joins the ROI `selective`; none: no mask.",
    )
    food_labels: tuple[str, ...] = Field(
        (),
        description="NSD: what images show, from which FOOD is made where no `food` is given: COCO's instances_*.json "
        "(train and val), or one CSV of image, category; none: no FOOD.",
    )
    skip_sessions: tuple[str, ...] = Field(
        (), description="Sessions to leave out, as the data set names them: 7, coco …; none: all are taken."
    )
    allow_missing: bool = Field(False, description="Go on without the sessions, runs or images that are not there.")
    parcellation: Literal["", "mmp"] = Field(
        "",
        description="Subjects on fs_LR: areas that are listed, drawn and can be asked for beside the subject's own "
        "regions: mmp, HCP-MMP1.0's as MMP-V1, MMP-FFC …",
    )
    surface: str = Field("", description="pycortex subject whose surfaces show this subject; empty when there is none.")
    transform: str = Field(
        "", description="pycortex transform from the volume to those surfaces; empty when there is none."
    )

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, name: str) -> str:
        return DATASETS.require(name)

    @field_validator("axes")
    @classmethod
    def _known_axes(cls, axes: str) -> str:
        if axes and "".join(sorted(axes)) not in ("tv", "txyz"):
            raise ValueError(f"{axes!r} are no axes; write tv or vt, or t, x, y and z in their order, as xyzt")
        return axes


class FitConfig(BaseModel):
    """How a subject's voxels are fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str = Field("lite", description=f"Network whose features the model uses: {_names(BACKBONES)}.")
    seed: int = Field(42, description="Seed of the split, of cross-validation and of the bootstrap.")
    split: str = Field(
        "",
        description="Images to test on: a CSV of image, part (train or test), a split JSON of LAION-fMRI, or on NSD "
        "shared515, shared907 or shared1000; empty for a share of the images, drawn by the seed (paper).",
    )
    test_share: Share = Field(0.15, description="Share of the images that the model is tested on (paper: 15 %).")
    n_alphas: Count = Field(100, description="Ridge penalties that are tried.")
    log10_alpha_min: float = Field(-8.0, description="Smallest penalty, as a power of ten (paper: 1e-8).")
    log10_alpha_max: float = Field(10.0, description="Largest penalty, as a power of ten (paper: 1e10).")
    selection: Literal["kfold", "holdout", "released"] = Field(
        "holdout",
        description="How alpha is chosen per voxel: one 15 % hold-out of the training images, k folds, or as the "
        "released code does (34 of 40 shuffled blocks train, hold-out, penalties up to sqrt(features) * 1e8).",
    )
    n_folds: int = Field(5, ge=2, description="Folds of kfold selection.")
    n_bootstrap: Count = Field(2000, description="Bootstrap resamples of the test images (paper: 2,000).")
    significance: Literal["bootstrap", "correlation"] = Field(
        "bootstrap",
        description="Test behind p: the paper's bootstrap of R2, or the one-sided t test of the correlation, which is "
        "calibrated.",
    )
    batch_voxels: Count = Field(2000, description="Voxels that are fitted or scored, and committed, at once.")


class LabelConfig(BaseModel):
    """How voxels are labelled. No fit depends on it: a fitted model can be labelled anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label_backbone: str = Field("lite", description="Network whose text tower embeds the labels.")
    fdr: Share = Field(FDR, description="False discovery rate at which a voxel counts as significant (paper: 0.05).")
    block_voxels: Count = Field(20_000, description="Voxels that are dissected together and share maps and crops.")
    dissect: str = Field(
        "significant",
        pattern="^(significant|all|none|roi=[^,]+(,[^,]+)*)$",
        description="Voxels that get labels: significant, all, none, or roi=FFA,EBA for those of these ROIs.",
    )
    probe: str = Field(
        "",
        description="Images that voxels are described by: all of the data set's (NSD's default, as in the paper), seen "
        "by the subject (the others'), or a folder of one's own; none: the data set's default.",
    )
    top_images: Count = Field(10, description="Most driving images per voxel that are cropped (paper: 10).")
    candidate_images: Literal["strongest", "diverse"] = Field(
        "strongest",
        description="Which images voxels are described by: the most driving ones (paper), or as many of the 100 most "
        "driving that differ from each other.",
    )
    crops_per_image: int = Field(4, ge=0, description="Crops per image at most (released code: 4); 0 for none.")
    crop_iou: Share = Field(0.5, description="Crops that overlap a larger one by more are left out (released: 0.5).")
    crop_cover: Share = Field(0.8, description="Crops that cover this share of the image are left out (released: 0.8).")
    crop_grid: int = Field(
        0,
        ge=0,
        description="Snap crops to a grid of so many cells a side, so that voxels share them; 0 for exact.",
    )
    n_captions: Count = Field(10, description="Top images and crops per voxel that are captioned (paper: 10).")
    captioner: str = Field(
        "lite", description=f"{_names(CAPTIONERS)}, or the id or folder of a Hugging Face image-to-text model."
    )
    min_voxels_per_label: Count = Field(1, description="Candidate labels of fewer voxels are not scored.")
    max_candidates: int = Field(
        0, ge=0, description="Candidate labels per voxel at most, those named by most captions first (paper: 0, all)."
    )
    candidates_from: Literal["captions", "depictable"] = Field(
        "captions",
        description="Nouns of captions that are candidates: all (paper), or those of things that a picture can show.",
    )
    labels_per_voxel: Count = Field(15, description="clip-msm: concepts that are kept per voxel, best first.")
    generator: str = Field(
        "collage", description=f"{_names(GENERATORS)}, or the id or folder of a Hugging Face text-to-image model."
    )
    images_per_label: Count = Field(10, description="Generated images per label (paper: 10).")
    best_ranked: Count = Field(5, description="Best-ranked images of a label that eq2 averages over (paper: 5).")
    temperature: float = Field(0.05, gt=0, description="Temperature of the softmax over a voxel's scaled scores.")
    methods: tuple[str, ...] = Field(
        ("brainlmm-eq2",),
        description=f"Scores that are computed; the first is the one that is shown by default: {_names(SCORERS)}.",
    )
    similarity_backbone: str = Field(
        "",
        description="brainlmm-released: network in whose space pictures are compared (released code: clip-vit-b16); "
        "empty means the label backbone.",
    )
    shown_by: Literal["detector", "caption"] = Field(
        "detector",
        description="What says that a test image shows a label, when labels are held against responses: the tenth that "
        "its text vector answers to most, or the noun in its caption.",
    )
    concepts: tuple[str, ...] = Field(
        (),
        description="clip-msm: the fixed list of concepts that it chooses from; as an option, a file of one a line; "
        "none: for other methods.",
    )

    @field_validator("methods")
    @classmethod
    def _known_methods(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(SCORERS.require, names))


class IngestConfig(LabelConfig, FitConfig, DataConfig):
    """All that the results of one model depend on."""

    data_sha256: str = Field("", description="Fingerprint of the data; filled in by the reader.")
    split_sha256: str = Field("", description="Fingerprint of the file of the split; filled in when it is read.")
    probe_sha256: str = Field("", description="Fingerprint of a probe folder's pictures; filled in when they are read.")
    backbone_sha256: str = Field("", description="Fingerprint of the network's weights; filled in when it is loaded.")
    preprocessing: str = Field("", description="How images are prepared for the network; filled in when it is loaded.")

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical JSON of all settings but those that say where files lie: see `LOCATED_BY`."""
        names = [name for name in LOCATED_BY if getattr(self, _CONTENT_OF.get(name, name))]
        if self.dataset == "folder":  # of NSD it names the files that are read; here it only says what they lie on
            names.append("space")
        located = {name: type(self).model_fields[name].default for name in names}
        return hashlib.sha256(self.model_copy(update=located).canonical_json().encode()).hexdigest()

    def canonical_json(self) -> str:
        """All settings as JSON with sorted keys and no spaces: equal configurations give equal text."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


_CONTENT_OF = {"split": "split_sha256", "probe": "probe_sha256"}
"""Settings that may name a file or folder, and its fingerprint, where they do."""
LOCATED_BY = ("root", "stimuli", "responses", "surface", "transform", *_CONTENT_OF)
"""The fields of IngestConfig that say where data lie and what shows them, and not what they are: fingerprints do."""
LABELLED_BY = tuple(LabelConfig.model_fields)
"""The fields of IngestConfig that no fit depends on."""
