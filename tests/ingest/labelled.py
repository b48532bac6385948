"""A tiny model with labels, and its rows."""

from pathlib import Path

import polars as pl
from tiny import TinyBackbone, TinyDataset, tiny_config

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest import run as pipeline


def ingest(home: Path, **changes) -> str:
    backbone = TinyBackbone()
    with Store.open(str(home / "atlas.duckdb")) as store:
        return pipeline.ingest(store, TinyDataset(), tiny_config(**changes), backbone, backbone, home=home)


def rows(home: Path, table: str, model_id: str) -> pl.DataFrame:
    """A model's rows of a table, without its id."""
    with Store.open(str(home / "atlas.duckdb")) as store:
        return store.frame(f"SELECT * EXCLUDE (model_id) FROM {table} WHERE model_id = ? ORDER BY ALL", [model_id])
