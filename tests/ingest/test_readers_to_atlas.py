"""Small trees of data sets, from their own files to fitted voxels: what `check` calls ready is ingested."""

from collections.abc import Callable
from pathlib import Path

import algonauts_tree
import laion_tree
import pytest
from tiny import tiny_config, tiny_parts

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.datasets import check_dataset
from voxel_atlas.ingest.run import Pipeline


@pytest.mark.parametrize(
    ("dataset", "subject", "write", "space", "regions"),
    [
        ("algonauts", "1", algonauts_tree.write_tree, "surface", {"FFA", "V1", "streams:early"}),
        ("laion-fmri", "3", lambda root: laion_tree.write_tree(root, newer=True), "volume", {"FFA", "RSC", "SPL"}),
    ],
)
def test_what_check_calls_ready_is_fitted(
    dataset: str, subject: str, write: Callable[[Path], object], space: str, regions: set[str], tmp_path: Path
) -> None:
    write(tmp_path / "data")
    config = tiny_config(dataset=dataset, subject=subject, root=str(tmp_path / "data"), dissect="none")
    ready = check_dataset(config, tmp_path, 8)
    assert ready.problems == ()
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        model_id = Pipeline(store=store, home=tmp_path).ingest(config, tiny_parts(config, tmp_path, dataset=None))
        fitted = store.frame("FROM encoding WHERE model_id = ?", [model_id])
        known = store.frame("FROM subject").row(0, named=True)
        assert set(store.frame("FROM roi")["roi"]) >= regions
    assert (fitted.height, known["space"], known["dataset"]) == (ready.size.n_voxels, space, dataset)
    assert fitted["r"].null_count() == 0
