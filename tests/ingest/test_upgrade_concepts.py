"""An upgrade gives models of before there were contrasts what follows from their weights, and says what does not."""

from pathlib import Path

import numpy as np
from toy_atlas import Toy, label_rows, model_rows, put, random_weights, run_rows, subject_rows, words_rows

from voxel_atlas.atlas.backbones import load
from voxel_atlas.atlas.backbones.interface import Backbone
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.upgrade_concepts import upgrade_concepts
from voxel_atlas.schemas.errors import MissingWeightsError

MODEL = "simulated/S1/toy/old"


def add_old(store: Store, model_id: str, backbone: str = "toy") -> None:
    rows = model_rows(model_id, "simulated/S1", random_weights(30), covariance=np.diag(np.geomspace(0.1, 10, 8)))
    for row in rows["model"]:
        row["backbone"] = backbone
    for row in rows["encoding"]:
        row["residual_variance"] = None
    labels = label_rows(model_id, {0: [("cake", 1.0)]})
    put(store, rows, labels, run_rows(model_id), key=model_id)


def old_atlas(folder: Path) -> Store:
    store = Store.open(str(folder / "atlas.duckdb"))
    words = {name: words_rows()[name] for name in ("label", "label_embedding")}
    put(store, subject_rows("simulated/S1", 30), words, key="old")
    add_old(store, MODEL)
    return store


def test_sql_compares_concepts_after_an_upgrade_as_python_does(tmp_path: Path) -> None:
    with old_atlas(tmp_path) as store:
        said = upgrade_concepts(store, tmp_path, "run", lambda name, home: Toy())
        assert [MODEL in sentence for sentence in said] == [True, True]
        assert "worked out from its weights" in said[0]
        assert "need the responses" in said[1]
        model = Atlas(store, home=tmp_path, load_backbone=lambda name, home: Toy()).model()
        for word in ("cake", "school"):
            for readout in ("weights", "half", "pattern"):
                sql = "SELECT voxel, similarity FROM concept_map($1, readout := $2) ORDER BY voxel"
                expected = model.map(word, readout=readout).frame["similarity"]
                np.testing.assert_allclose(store.frame(sql, [word, readout])["similarity"], expected, atol=1e-6)
        again = upgrade_concepts(store, tmp_path, "again", lambda name, home: Toy())
        assert again == said[1:]


def test_what_needs_a_network_that_is_elsewhere_is_said(tmp_path: Path) -> None:
    def missing(name: str, home: Path) -> Toy:
        raise MissingWeightsError(f"The weights of {name} are not on this machine.")

    with old_atlas(tmp_path) as store:
        said = upgrade_concepts(store, tmp_path, "run", missing)
        assert said[0].endswith("is not worked out. The weights of toy are not on this machine.")
        assert store.frame("FROM readout_norm").is_empty()


def test_models_of_a_network_that_is_not_installed_hold_up_no_others(tmp_path: Path) -> None:
    def installed(name: str, home: Path) -> Backbone:
        return Toy() if name == "toy" else load(name, home=home)

    with old_atlas(tmp_path) as store:
        add_old(store, "simulated/S1/gone/old", backbone="gone")
        said = upgrade_concepts(store, tmp_path, "run", installed)
        assert [sentence.partition(":")[0] for sentence in said] == ["simulated/S1/gone/old"] * 2 + [MODEL] * 2
        assert "is not worked out. There is no backbone 'gone'; there are lite, " in said[0]
        assert "worked out from its weights" in said[2]
        assert store.frame("SELECT DISTINCT model_id FROM readout_norm")["model_id"].to_list() == [MODEL]
