"""What tests of studies share: made data of 40 subjects, a study.yaml about some of them, and rows of an atlas."""

from pathlib import Path

import numpy as np
import polars as pl
import yaml
from PIL import Image

from voxel_atlas.atlas.store.store import Store

N_IMAGES, N_VOXELS = 40, 6


def write_data(folder: Path) -> None:
    """Write 40 pictures, and responses of subjects 01 to 40 to their colours, in a file each."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (N_IMAGES, 3)).astype(np.uint8)
    for number, colour in enumerate(colours):
        Image.new("RGB", (8, 8), tuple(colour.tolist())).save(folder / f"{number:02}.png")
    pl.DataFrame({"image": [f"{number:02}.png" for number in range(N_IMAGES)]}).write_csv(folder / "stimuli.csv")
    for subject in range(1, 41):
        answers = colours / 255 @ rng.standard_normal((3, N_VOXELS))
        np.save(folder / f"{subject:02}.npy", answers + 0.1 * rng.standard_normal((N_IMAGES, N_VOXELS)))


def entries(*names: str) -> list[dict[str, str]]:
    """Subjects as a study lists them."""
    return [{"subject": name, "responses": f"{name}.npy"} for name in names]


def write_study(file: Path, data: Path, **settings: object) -> Path:
    """Write a study of three subjects by one network; what is given goes before that, and empty text leaves out."""
    shared = {
        "dataset": "folder", "root": str(data), "subjects": entries("01", "02", "03"), "backbones": ["toy"],
        "label_backbone": "toy", "dissect": "none", "n_bootstrap": 20, "n_alphas": 5,
    }  # fmt: skip
    file.write_text(yaml.safe_dump({name: value for name, value in {**shared, **settings}.items() if value != ""}))
    return file


def frame(address: object, sql: str) -> pl.DataFrame:
    """Rows of an atlas."""
    with Store.open(str(address), read_only=True) as store:
        return store.frame(sql)
