"""A tiny model with labels, and its rows."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
from tiny import tiny_config, tiny_parts

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.run import Pipeline

Begin = Callable[[Path], str]
"""Makes a home folder with a model, whose id it gives."""


def ingest(home: Path, **changes: object) -> str:
    config = tiny_config(**changes)
    with Store.open(str(home / "atlas.duckdb")) as store:
        return Pipeline(store=store, home=home).ingest(config, tiny_parts(config, home))


def rows(home: Path, table: str, model_id: str) -> pl.DataFrame:
    """A model's rows of a table, without its id."""
    with Store.open(str(home / "atlas.duckdb")) as store:
        return store.frame(f"SELECT * EXCLUDE (model_id) FROM {table} WHERE model_id = ? ORDER BY ALL", [model_id])
