"""Whether voxels are described and labelled as the paper and its codes have it, checked on what an ingest gives.

Rows of the paper's table, each against loops on a part of the simulated subject: 16 voxels, 200 images that it saw and
100 that it did not. Beside them `split_leaks`, stimuli that a split has on both sides of a folder with duplicates under
other names, and `ceiling_from_repeats_r`, Pearson's r of ceilings from three repeats with the known ones.
"""

import math
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from voxel_atlas.api.cli import demo
from voxel_atlas.atlas.backbones import load
from voxel_atlas.atlas.backbones.interface import Backbone, Floats
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.datasets import open_dataset
from voxel_atlas.ingest.datasets.interface import Images
from voxel_atlas.ingest.dissection.crops import cut
from voxel_atlas.ingest.dissection.nouns import NounExtractor
from voxel_atlas.ingest.run import Pipeline, open_parts
from voxel_atlas.ingest.simulated.subject import Simulated
from voxel_atlas.ingest.stages.model_split import split_of
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.files import file_sha256

N_SEEN, N_ALL, N_VOXELS = 200, 300, 16
CONCEPTS = ("face", "body", "place", "food", "word")
METHODS = ("brainlmm-eq2", "brainlmm-released", "clip-msm")


class _Pictures:
    """The first of a subject's images; see `Images`."""

    def __init__(self, whole: Simulated, n: int) -> None:
        self.stimuli, self._whole = whole.stimuli[:n], whole

    def image(self, index: int) -> NDArray[np.uint8]:
        return self._whole.image(index)


class _Part(_Pictures):
    """A subject of few voxels, who saw some of the images; see `Dataset`."""

    n_all_images = N_ALL

    def __init__(self, whole: Simulated) -> None:
        super().__init__(whole, N_SEEN)
        self.subject, self.fingerprint = whole.subject, f"part of {whole.fingerprint}"
        self.n_repeats = whole.n_repeats[:N_SEEN]
        ffa = whole.voxel_rois.filter(roi="FFA")["voxel"][:N_VOXELS].to_numpy()
        self._chosen = ffa
        self.voxels = whole.voxels[ffa.tolist()].with_columns(pl.Series("voxel", range(len(ffa)), pl.Int32))
        self.rois, self.voxel_rois = whole.rois[:0], whole.voxel_rois[:0]

    def all_images(self) -> Images:
        return _Pictures(self._whole, N_ALL)

    def responses_of(self, voxels: NDArray[np.intp]) -> NDArray[np.float32]:
        return self._whole.responses_of(self._chosen[voxels])[:N_SEEN]


def rows_of_labels(home: Path) -> dict[str, bool]:
    """Row of the paper's table → whether an ingest on the simulated subject of `home` gives what it asks for."""
    part, lite = _Part(demo.subject(home, None)), load("lite", home=home)
    settings = {"probe": "all", "dissect": "all", "methods": METHODS, "concepts": CONCEPTS, "n_bootstrap": 100}
    config = IngestConfig.model_validate({**demo.CONFIG.model_dump(), **settings})
    with tempfile.TemporaryDirectory() as folder, Store.open(str(Path(folder) / "atlas.duckdb"), create=True) as store:
        parts = open_parts(config, home=home, dataset=part, backbone=lite)
        Pipeline(store=store, home=home).ingest(config, parts)
        fitted = store.frame("SELECT voxel, weights FROM encoding ORDER BY voxel")
        top = store.frame("SELECT * EXCLUDE (model_id) FROM top_image ORDER BY voxel, rank")
        captions = store.frame("SELECT stimulus_id, box, text FROM caption")
        scores = store.frame("SELECT s.*, lemma FROM label_score s JOIN label USING (label_id)")
        drawn = store.frame("SELECT lemma, uri FROM synthetic_image JOIN label USING (label_id) ORDER BY ordinal")
        seen = set(part.stimuli["stimulus_id"])
    images = part.all_images()
    place = {name: row for row, name in enumerate(images.stimuli["stimulus_id"])}
    features = lite.features([images.image(row) for row in range(N_ALL)])
    unit = _unit(features)
    pictures = {str(lemma): _encoded(lite, own["uri"].to_list()) for (lemma,), own in drawn.group_by("lemma")}
    described, candidates, released = [], [], []
    measured_where_seen = (top["measured"].is_not_null() == top["stimulus_id"].is_in(list(seen))).all()
    for voxel, weights in fitted.iter_rows():
        w = np.array(weights)
        mine = top.filter(pl.col("voxel") == voxel)
        strongest = np.argsort(-(features @ w), kind="stable")[:10]
        described.append({place[name] for name in mine["stimulus_id"]} <= set(strongest.tolist()))
        texts = mine.join(captions, on=["stimulus_id", "box"])["text"].to_list()
        nouns = {noun for own in NounExtractor().nouns(texts) for noun in own}
        own = scores.filter(pl.col("voxel") == voxel)
        eq2 = own.filter(method="brainlmm-eq2")
        without = eq2.filter(pl.col("score").is_null())
        candidates.append(set(eq2["lemma"]) == nouns and without["reason"].null_count() == 0)
        regions = [
            cut(images.image(place[name]), tuple(box)) if box else images.image(place[name])
            for name, box in mine.select("stimulus_id", "box").iter_rows()
        ]
        likeness = _unit(lite.features(regions))
        stored = dict(own.filter(method="brainlmm-released").drop_nulls("score").select("lemma", "score").iter_rows())
        labels = {label: pictures[label] for label in stored}
        expected = _released(w, labels, likeness)
        released.append(all(math.isclose(stored[label], expected[label], abs_tol=1e-3) for label in stored))
    soft = _clip_msm(features, unit @ lite.text(CONCEPTS).T, np.array(fitted["weights"].to_list()))
    stored_soft = scores.filter(method="clip-msm").sort("voxel", "lemma")
    order = np.argsort(CONCEPTS)
    return {
        "probe images": all(described) and bool(measured_where_seen) and not set(top["stimulus_id"]) <= seen,
        "candidates": all(candidates),
        "labels without a picture": all(candidates),
        "brainlmm-released": all(released),
        "CLIP-MSM": np.allclose(stored_soft["probability"].to_numpy(), soft[:, order].ravel(), atol=1e-4),
    }


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _encoded(lite: Backbone, uris: list[str]) -> Floats:
    return lite.features([np.asarray(Image.open(uri).convert("RGB")) for uri in uris])


def _released(w: NDArray[np.float64], pictures: dict[str, Floats], likeness: Floats) -> dict[str, float]:
    """c · w of each label, as the released code has it: the strongest of all pictures has rank 0."""
    responses = {label: [float(x @ w) for x in own] for label, own in pictures.items()}
    everything = sorted((value for own in responses.values() for value in own), reverse=True)
    rank = {value: everything.index(value) for value in everything}
    v = {label: -sum(sorted(rank[x] ** 2 for x in own)[:5]) / 5 for label, own in responses.items()}
    found = {}
    for label, own in responses.items():
        c = len(v) - sum(other > v[label] for other in v.values())
        best = [x for x, value in zip(_unit(pictures[label]), own, strict=True) if rank[value] < 10]
        cosines = [float(np.mean(likeness @ x)) for x in best]
        found[label] = c * (sum(cosines) / len(cosines) if cosines else -1)
    return found


def _clip_msm(features: Floats, cosines: Floats, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Soft labels, (n_voxels, n_concepts)."""
    p = [0.998 - 0.028 * place / 100 for place in range(100)]
    values = np.zeros((len(weights), cosines.shape[1]))
    for voxel, w in enumerate(weights):
        for place, image in enumerate(np.argsort(-(features @ w), kind="stable")[:100]):
            shares = np.exp(cosines[image]) / np.exp(cosines[image]).sum()
            values[voxel] += np.log(1 + p[place] * (shares - 1) + 1e-7)
    values -= np.log(np.exp(values).mean(axis=0))
    soft = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(soft / soft.sum(axis=1, keepdims=True))


def split_leaks() -> int:
    """Pictures that are in training and test of a folder, half of whose files are there again by other names."""
    rng, leaks = np.random.default_rng(0), 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        files = [f"{n:03}.png" for n in range(100)] + [f"again/{n}.png" for n in range(50)]
        (root / "again").mkdir()
        for n, file in enumerate(files[:100]):
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(root / file)
            if n < 50:
                (root / files[100 + n]).write_bytes((root / file).read_bytes())
        table = [*files, *(f"./{file}" for file in files[:100:2])]
        pl.DataFrame({"image": table}).write_csv(root / "stimuli.csv")
        np.save(root / "responses.npy", rng.standard_normal((len(table), 2)).astype(np.float32))
        for seed in range(10):
            config = IngestConfig(dataset="folder", subject="1", root=name, seed=seed, test_share=0.5)
            dataset = open_dataset(config, root)
            train, test = split_of(config, dataset)
            sides = [{file_sha256(Path(dataset.stimuli["uri"][int(row)])) for row in part} for part in (train, test)]
            leaks += len(sides[0] & sides[1])
    return leaks


def ceiling_from_repeats_r() -> float:
    """Pearson's r over 300 voxels of ceilings from 400 pictures with three repeats each with the known ones."""
    rng, n_images, ncsnr = np.random.default_rng(0), 400, np.linspace(0.05, 1.5, 300)
    with tempfile.TemporaryDirectory() as name:
        root, shown = Path(name), np.repeat(np.arange(n_images), 3)
        for n in range(n_images):
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(root / f"{n:03}.png")
        pl.DataFrame({"image": [f"{n:03}.png" for n in shown], "repeat": [1, 2, 3] * n_images}).write_csv(
            root / "stimuli.csv"
        )
        signal = rng.standard_normal((n_images, len(ncsnr))) * ncsnr
        np.save(root / "responses.npy", (signal[shown] + rng.standard_normal((len(shown), len(ncsnr)))).astype("f4"))
        dataset = open_dataset(IngestConfig(dataset="folder", subject="1", root=name), root)
        found = dataset.ceiling_of(np.arange(len(ncsnr)))  # type: ignore[attr-defined]
    known = ncsnr**2 / (ncsnr**2 + 1 / 3)
    return float(np.corrcoef(found, known)[0, 1])
