"""A lake whose rows are in a bucket: the keys are the environment's, and nothing is lost when either side dies."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from batches import append
from buckets import PROGRAM, Bucket, bucket, killed_ingests

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError, StoreError

pytestmark = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not on the PATH: see buckets.py")

WORDS = [f"word {n}" for n in range(1000)]
MANY = {"label": pa.table({"label_id": range(1000), "lemma": WORDS})}
"""So many rows that DuckLake does not keep them in its catalog."""


@pytest.fixture(scope="module")
def running() -> Iterator[Bucket]:
    with bucket() as store:
        yield store


@pytest.fixture
def with_keys(running: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in running.keys.items():
        monkeypatch.setenv(name, value)
    return running


def test_rows_go_to_the_bucket_and_come_back(with_keys: Bucket, tmp_path: Path) -> None:
    address = with_keys.address(tmp_path)
    with Store.open(address) as store:
        assert append(store, MANY)
        assert not append(store, MANY)
    with Store.open(address, read_only=True) as store:
        assert store.query("SELECT lemma FROM label ORDER BY label_id")["lemma"].to_list() == WORDS
        with pytest.raises(BadInputError, match="disabled by configuration"):
            store.query("FROM read_text('s3://lake/other/secret')")


def test_wrong_keys_are_told_as_such(with_keys: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = with_keys.address(tmp_path)
    with Store.open(address) as store:
        append(store, MANY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-and-secret")
    with Store.open(address) as store:
        with pytest.raises(StoreError, match="keys are refused; set AWS_ACCESS_KEY_ID") as refused:
            append(store, MANY, key="dog")
        assert "wrong-and-secret" not in str(refused.value)
        assert store.committed("s") == {"k"}


def test_a_bucket_that_goes_away_in_the_midst_costs_no_committed_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bucket() as going:
        for name, value in going.keys.items():
            monkeypatch.setenv(name, value)
        with Store.open(going.address(tmp_path)) as store:
            append(store, MANY)
            going.process.kill()
            going.process.wait()
            for _ in range(2):
                with pytest.raises(StoreError, match=r"cannot be reached.*committed batches are safe"):
                    append(store, MANY, key="dog")
            assert store.committed("s") == {"k"}


def test_killed_ingests_lose_and_double_nothing(with_keys: Bucket, tmp_path: Path) -> None:
    done = killed_ingests(with_keys.address(tmp_path), 2, with_keys.keys)
    assert (done.lost, done.doubled) == (0, 0)
