"""Small batches for the tests of the store."""

import numpy as np
import pyarrow as pa

from voxel_atlas.atlas.store.store import Store


def labels(*lemmas: str) -> dict[str, pa.Table]:
    return {"label": pa.table({"label_id": [abs(hash(x)) for x in lemmas], "lemma": list(lemmas)})}


def append(store: Store, batch: dict[str, pa.Table], key: str = "k") -> bool:
    return store.append(batch, run_id="r", stage="s", key=key)


def encoding(weights: np.ndarray, first: int = 0) -> dict[str, pa.Table]:
    n, dim = weights.shape
    one = np.ones(n, np.float32)
    return {
        "encoding": pa.table(
            {
                "model_id": ["m"] * n,
                "voxel": np.arange(first, first + n, dtype=np.int32),
                "weights": pa.ListArray.from_arrays(np.arange(0, n * dim + 1, dim, dtype=np.int32), weights.ravel()),
                **dict.fromkeys(("bias", "r2", "r", "p"), one),
                "alpha": one.astype(np.float64),
            }
        )
    }
