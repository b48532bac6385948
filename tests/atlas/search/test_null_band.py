"""The vocabulary's band in each voxel and the scale of a model, against a loop over voxels and nouns."""

import numpy as np
import polars as pl
import pytest
from toy_atlas import SURFACE, VOLUME, Toy, put, random_weights, subject_rows
from toy_atlas import model_rows as rows_of

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.baseline import Vocabulary
from voxel_atlas.schemas.errors import BadInputError


@pytest.mark.parametrize("readout", ["weights", "half", "pattern"])
def test_the_band_holds_nine_in_ten_nouns_of_each_voxel(atlas: Atlas, readout: str) -> None:
    model = atlas.model(VOLUME)
    band = model.null_band(readout=readout)
    maps = [model.map(noun, readout=readout).frame for noun in Vocabulary.of(Toy()).words]
    similarity = np.stack([each["similarity"].to_numpy() for each in maps])
    low, high = np.quantile(similarity, [0.05, 0.95], axis=0)
    assert band.frame["voxel"].to_list() == maps[0]["voxel"].to_list()
    assert np.allclose(band.frame["low"], low, atol=1e-6)
    assert np.allclose(band.frame["high"], high, atol=1e-6)
    assert (band.n_words, band.readout, band.model_id) == (len(maps), readout, VOLUME)


def test_a_voxel_is_specific_only_above_the_band(atlas: Atlas) -> None:
    model = atlas.model(VOLUME)
    band = model.null_band()
    frame = model.map("cake").frame
    shuffled = frame.sample(fraction=1, shuffle=True, seed=0)
    inside = band.contains(shuffled["voxel"].to_numpy(), shuffled["similarity"].to_numpy())
    joined = shuffled.with_columns(inside=pl.Series(inside)).join(band.frame, on="voxel")
    assert (
        joined["inside"].to_list()
        == joined.select(pl.col("similarity").is_between("low", "high")).to_series().to_list()
    )
    assert not joined.filter("specific")["inside"].any()
    assert joined.filter("specific").height > 0


def test_the_band_follows_voxels_that_are_fitted_later(atlas: Atlas) -> None:
    model = atlas.model(VOLUME)
    before, reach = model.null_band(), model.reach()
    more = rows_of(VOLUME, "simulated/S1", random_weights(130))
    put(atlas.store, {"encoding": more["encoding"][120:]}, key="more")
    after = atlas.model(VOLUME).null_band()
    assert (len(before.frame), len(after.frame)) == (120, 130)
    assert atlas.model(VOLUME).reach() != reach
    assert after.frame.head(120).equals(before.frame)


def test_a_model_without_a_text_tower_has_no_band(atlas: Atlas) -> None:
    put(
        atlas.store,
        subject_rows("nod/01", 40, space="surface", shape=(25, 30)),
        rows_of(SURFACE, "nod/01", random_weights(40, 1), text=False),
        key="surface",
    )
    with pytest.raises(BadInputError, match="no text tower, so no word has a map"):
        atlas.model(SURFACE).null_band()
