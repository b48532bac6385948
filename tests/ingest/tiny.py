"""A subject, a network, a captioner and a generator that are real but tiny: pictures are coloured squares."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.datasets.interface import Subject
from voxel_atlas.ingest.run import Parts, open_parts
from voxel_atlas.schemas.config import IngestConfig

_RGB = {"rose": (230, 40, 60), "leaf": (40, 200, 60), "lake": (40, 70, 230), "lemon": (230, 220, 40)}


def picture(colour: str, seed: int) -> np.ndarray:
    """A grey field with a square of the colour's RGB at a random place."""
    rng = np.random.default_rng(seed)
    image = np.full((32, 32, 3), 110, np.uint8) + rng.integers(0, 25, (32, 32, 3), dtype=np.uint8)
    top, left = rng.integers(2, 14, 2)
    image[top : top + 14, left : left + 14] = np.clip(np.array(_RGB[colour]) + rng.integers(-10, 10, 3), 0, 255)
    return image


class TinyBackbone:
    """Features: red, green, blue and yellow excess, averaged over the picture; local features before the average."""

    name, dim, has_text, fingerprint = "tiny", 4, True, hashlib.sha256(b"tiny").hexdigest()
    preprocessing, default_readout = "8 × 8 cells", "weights"

    @classmethod
    def load(cls, name: str, **_: object) -> "TinyBackbone":
        return cls()

    def local_features(self, images: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([self._local(image) for image in images])

    def _local(self, image: np.ndarray) -> np.ndarray:
        height, width = (side // 8 * 8 for side in image.shape[:2])
        if min(height, width) < 8:
            cells = image.reshape(-1, 3).mean(axis=0)[None, None] * np.ones((8, 8, 1))
        else:
            rows = image[:height, :width].reshape(8, height // 8, -1).sum(axis=1, dtype=np.int64)
            cells = rows.reshape(8, 8, width // 8, 3).sum(axis=2) / (height // 8 * (width // 8))
        r, g, b = np.moveaxis(cells / 255, -1, 0)
        return np.stack([r - g, g - r, b - r, np.minimum(r, g) - b]).clip(0).astype(np.float32)

    def features(self, images: Sequence[np.ndarray]) -> np.ndarray:
        return self.local_features(images).mean(axis=(2, 3))

    def activation_maps(self, local: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.einsum("vc,chw->vhw", weights, local)

    def seen(self, width: int, height: int) -> tuple[int, int, int, int]:
        return 0, 0, width, height

    def text(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.stack([self.features([picture(text, 0)])[0] if text in _RGB else np.ones(4) for text in texts])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class TinyCaptioner:
    """Names the strongest colour."""

    name = "tiny@1"

    @classmethod
    def load(cls, name: str, **_: object) -> "TinyCaptioner":
        return cls()

    def caption(self, images: Sequence[np.ndarray], features: np.ndarray | None = None) -> list[str]:
        rows = TinyBackbone().features(list(images)) if features is None else features
        return [f"a photo of a {list(_RGB)[int(row.argmax())]}" for row in rows]


class TinyGenerator:
    """Draws squares of a label's colour, and nothing else."""

    name = "tiny@1"

    @classmethod
    def load(cls, name: str, **_: object) -> "TinyGenerator":
        return cls()

    def generate(self, requests: Sequence[tuple[str, Sequence[int]]]) -> list[list[np.ndarray] | None]:
        return [self.draw(label, seeds) for label, seeds in requests]

    def draw(self, label: str, seeds: Sequence[int]) -> list[np.ndarray] | None:
        return [picture(label, seed) for seed in seeds] if label in _RGB else None


class TinyDataset:
    """180 pictures; voxel v answers to colour v mod 4, voxel 10 is NaN, voxel 11 is constant."""

    COLOURS = tuple(_RGB)
    subject = Subject("tiny/1", "tiny", True, "volume", None, None, (1, 3, 4), "A tiny simulated subject.")
    fingerprint = hashlib.sha256(b"tiny data").hexdigest()
    n_repeats = np.ones(180, np.int64)

    def __init__(self) -> None:
        self._colours = [self.COLOURS[i] for i in np.random.default_rng(0).integers(0, 4, 180)]
        ids = [f"tiny/{i:02}" for i in range(180)]
        hashes = [hashlib.sha256(self.image(i).tobytes()).hexdigest() for i in range(180)]
        self.stimuli = pl.DataFrame({"stimulus_id": ids, "dataset": "tiny", "uri": ids, "sha256": hashes})
        self.rois = pl.DataFrame({"roi": ["even", "odd"], "source": "user", "description": "by number"})
        voxels = list(range(12))
        parity = ["odd" if voxel % 2 else "even" for voxel in voxels]
        self.voxel_rois = pl.DataFrame({"voxel": voxels, "roi": parity, "t": [3.0] * 12})

    @property
    def voxels(self) -> pl.DataFrame:
        return self._voxels()

    def _voxels(self) -> pl.DataFrame:
        voxels = list(range(12))
        return pl.DataFrame(
            {
                "voxel": voxels,
                "i": [v % 4 for v in voxels],
                "j": [v // 4 for v in voxels],
                "k": [0] * 12,
                "hemisphere": ["left"] * 12,
                "vertex": pl.Series([None] * 12, dtype=pl.Int32),
                "noise_ceiling": [0.8] * 12,
            }
        )

    def image(self, index: int) -> np.ndarray:
        return picture(self._colours[index], index)

    def responses_of(self, voxels: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(1)
        noise = rng.normal(0, 0.3, (180, 12))
        signal = np.array([[colour == self.COLOURS[v % 4] for v in range(12)] for colour in self._colours])
        responses = (signal + noise).astype(np.float32)
        responses[3, 10], responses[:, 11] = np.nan, 1.0
        return responses[:, voxels]


def tiny_config(**changes: object) -> IngestConfig:
    settings = {
        "dataset": "folder",
        "subject": "1",
        "backbone": "tiny",
        "label_backbone": "tiny",
        "n_bootstrap": 200,
        "batch_voxels": 4,
        "block_voxels": 6,
        "images_per_label": 4,
        "best_ranked": 2,
        "test_share": 0.25,
    }
    return IngestConfig.model_validate({**settings, **changes})


def tiny_parts(config: IngestConfig, home: Path, **parts: object) -> Parts:
    """The tiny parts, some of which a test may give or have opened by their names (None)."""
    tiny = {
        "dataset": TinyDataset(),
        "backbone": TinyBackbone(),
        "captioner": TinyCaptioner(),
        "generator": TinyGenerator(),
    }
    return open_parts(config, home=home, **{**tiny, **parts})


CONTENT_TABLES = (
    "subject",
    "roi",
    "voxel",
    "voxel_roi",
    "stimulus",
    "caption",
    "model",
    "split",
    "encoding",
    "beyond_low_level",
    "dropped",
    "significance",
    "semantic",
    "top_image",
    "label",
    "label_embedding",
    "synthetic_image",
    "label_score",
    "label_evidence",
)
"""Tables whose rows an ingest gives; `run` and `ledger` say when it did."""


def digest(home: Path) -> dict[str, str]:
    """A hash of every table's rows, whatever their order and whatever the folder of the pictures."""
    with Store.open(str(home / "atlas.duckdb")) as store:
        digests = {}
        for table in CONTENT_TABLES:
            rows = store.frame(f"SELECT * FROM {table}").to_dicts()
            lines = sorted(repr({**row, "uri": Path(str(row.get("uri", ""))).name}) for row in rows)
            digests[table] = f"{len(lines)} {hashlib.sha256(chr(10).join(lines).encode()).hexdigest()}"
        return digests
