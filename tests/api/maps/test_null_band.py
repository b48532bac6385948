"""The null band and a model's own scale at the doors, against `Model.null_band`."""

from pathlib import Path

import numpy as np
import pytest
from toy_server import Serve, Server

from tests.api.maps.test_page_geometry import unpacked
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.api.maps.value_maps import MapRequest, value_map
from voxel_atlas.atlas.client import RemoteAtlas
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import BadInputError


def test_the_page_is_told_which_voxels_are_within_the_band(atlas: Atlas, server: Server) -> None:
    band = atlas.model().null_band()
    own = atlas.model().map("cake").frame
    inside = band.contains(own["voxel"].to_numpy(), own["similarity"].to_numpy())
    header, arrays = unpacked(server.client.get("/values?concept=cake&band=1&semantic=0").content)
    assert header["n_words"] == band.n_words
    assert (header["lo"], header["hi"]) == (-atlas.model().reach(), atlas.model().reach())
    assert np.array_equal(arrays["inside"], inside.astype(np.float32))
    assert 0 < inside.sum() < len(inside)
    _, parts = unpacked(server.client.get("/values?concept=cake&metric=z&band=1").content)
    assert np.array_equal(parts["inside"], arrays["inside"])
    for question in ("concept=cake - face", "concept=cake&by=labels", "concept=cake&baseline=none", "metric=r2"):
        header, parts = unpacked(server.client.get(f"/values?{question}&band=1").content)
        assert header["n_words"] is None
        assert "inside" not in parts
    assert "inside" not in unpacked(server.client.get("/values?concept=cake").content)[1]


def test_pictures_leave_voxels_bare_within_the_band(atlas: Atlas, server: Server) -> None:
    band = atlas.model().null_band()
    drawn = value_map(atlas, MapRequest(concept="cake", null_band=True))
    similarity = atlas.model().map("cake").frame["similarity"].to_numpy()
    shown = ~band.contains(drawn.voxels, similarity) & np.isfinite(value_map(atlas, MapRequest(concept="cake")).values)
    assert np.array_equal(np.isfinite(drawn.values), shown)
    told = server.data('{ flatmap(concept: "cake", nullBand: true, width: 200) { nValues heldTo } }')["flatmap"]
    assert told == {"nValues": shown.sum(), "heldTo": "only outside the null band"}


def test_a_band_is_the_same_from_afar(atlas: Atlas, server: Server) -> None:
    own = atlas.model().null_band(readout="weights")
    with RemoteAtlas(server.url) as remote:
        band = remote.model().null_band(readout="weights")
    assert band.frame.equals(own.frame)
    assert {**vars(band), "frame": 0} == {**vars(own), "frame": 0}
    told = server.data("{ nullBand(readout: WEIGHTS) { modelId nWords reach reachZ simulated } }")["nullBand"]
    reach = [atlas.model().reach(readout="weights", z=z) for z in (False, True)]
    assert list(told.values()) == [own.model_id, own.n_words, *reach, True]


def test_a_server_that_is_ready_has_the_scale_of_its_newest_model(
    home: Path, settings: Settings, serve: Serve, surfaces: LoadSurface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxel_atlas.api.http.warm_up.READY_S", 120)
    opened = Atlas.open(str(home / "atlas.duckdb"), home=home)
    with opened, serve(create_app(opened, settings, load=surfaces)) as own:
        own.ready()
        query = '{ flatmap(concept: "cake", width: 200) { lo hi } }'
        answer = own.client.post("/graphql", json={"query": query}).json()
    assert "loaded" not in answer.get("extensions", {})
    assert answer["data"]["flatmap"]["hi"] > 0


@pytest.mark.parametrize(
    "given",
    [
        {"metric": "r2"},
        {"concept": "cake", "by": "labels"},
        {"concept": "cake - face"},
        {"concept": "cake", "baseline": "none"},
    ],
)
def test_where_there_is_no_band_it_is_not_asked_for(given: dict[str, str]) -> None:
    with pytest.raises(BadInputError, match="The null band is of the similarities of voxels' weights to one word"):
        MapRequest(null_band=True, **given)  # type: ignore[arg-type] - a test's own choice
