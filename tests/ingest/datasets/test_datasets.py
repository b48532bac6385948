"""What the readers share: z-scoring, averaging over repeats, fingerprints, pictures and regions."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from voxel_atlas.ingest.datasets.fingerprint import data_sha256
from voxel_atlas.ingest.datasets.rois import Region, region_frames, union, voxels_in
from voxel_atlas.ingest.datasets.trials import LEFT_OUT, Block, mean_responses, repeats, zscored
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import BadInputError, NotFoundError
from voxel_atlas.schemas.files import file_sha256
from voxel_atlas.schemas.image_files import read_picture


@given(
    hnp.arrays(np.float32, (9, 3), elements=st.floats(-100, 100, width=32)),
    st.lists(st.integers(1, 8), max_size=3, unique=True),
)
def test_scores_are_those_of_scipy_in_every_group(values: NDArray[np.float32], cuts: list[int]) -> None:
    stops = [*sorted(cuts), 9]
    groups = [slice(start, stop) for start, stop in zip([0, *stops], stops, strict=False)]
    found = zscored(values.copy(), groups)
    for group in groups:
        for column in range(3):
            part = values[group, column].astype(np.float64)
            if part.min() == part.max():
                assert np.isnan(found[group, column]).all()
            else:
                np.testing.assert_allclose(
                    found[group, column], (part - part.mean()) / part.std(), rtol=1e-4, atol=1e-5
                )


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-30, 12345.678])
def test_a_constant_is_nan_whatever_its_rounding(value: float) -> None:
    constant = np.full((750, 1), value, np.float32)
    assert np.isnan(zscored(constant, [slice(None)])).all()


def test_nan_and_infinity_stay_in_their_voxel_and_group() -> None:
    values = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    values[1, 0], values[4, 1] = np.nan, np.inf
    found = zscored(values.copy(), [slice(0, 3), slice(3, 6)])
    assert np.isnan(found[:3, 0]).all()
    assert not np.isnan(found[3:, 0]).any()
    assert np.isnan(found[3:, 1]).all()
    assert not np.isnan(found[:, 2]).any()


@given(st.data())
def test_means_are_those_of_a_loop(data: st.DataObject) -> None:
    n_images = data.draw(st.integers(1, 6))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    # Every image once at least, some more often, also within a block, and trials of none.
    extra = rng.integers(LEFT_OUT, n_images, data.draw(st.integers(0, 20)))
    shown = rng.permutation(np.concatenate([np.arange(n_images), extra]))
    values = rng.standard_normal((len(shown), 4)).astype(np.float32)
    cut = data.draw(st.integers(0, len(shown)))
    blocks = [
        Block(str(part), shown[part], {}, lambda voxels, part=part: values[part][:, voxels])
        for part in (slice(0, cut), slice(cut, None))
    ]
    voxels = np.array([2, 0])
    found = mean_responses(blocks, n_images, voxels)
    expected = [values[shown == image][:, voxels].astype(float).mean(axis=0) for image in range(n_images)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert repeats(blocks, n_images).tolist() == [int((shown == image).sum()) for image in range(n_images)]


def test_only_one_block_is_read_at_a_time() -> None:
    read: list[str] = []

    def block(name: str) -> Block:
        def values(voxels: NDArray[np.intp]) -> NDArray[np.float32]:
            read.append(name)
            return np.ones((2, len(voxels)), np.float32)

        return Block(name, np.array([0, 1]), {}, values)

    np.testing.assert_array_equal(mean_responses([block("a"), block("b")], 2, np.arange(3)), np.ones((2, 3)))
    assert read == ["a", "b"]


def test_scores_agree_with_scipy_to_single_precision() -> None:
    values = (np.random.default_rng(1).standard_normal((750, 20)) * 3 + 500).astype(np.float32)
    expected = scipy.stats.zscore(values.astype(np.float64), axis=0)
    np.testing.assert_allclose(zscored(values, [slice(None)]), expected, atol=1e-6)


def test_small_files_are_known_by_every_byte_and_large_ones_by_size_and_samples(tmp_path: Path) -> None:
    path = tmp_path / "betas"
    path.write_bytes(b"abc")
    assert data_sha256(path) == file_sha256(path)
    content = bytearray(33 << 20)
    path.write_bytes(content)
    known = {data_sha256(path)}
    path.write_bytes(content[:-1])
    known.add(data_sha256(path))
    for place in (0, len(content) - 1, len(content) // 63 * 5):
        changed = content.copy()
        changed[place] = 1
        path.write_bytes(changed)
        known.add(data_sha256(path))
    assert len(known) == 5


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_pictures_of_every_kind_become_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("picture.tiff" if mode == "CMYK" else "picture.png")
    Image.new("RGB", (5, 4), (255, 255, 255)).convert(mode).save(path)
    pixels = read_picture(path)
    assert pixels.shape == (4, 5, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == 255).all()


def test_a_cut_picture_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadInputError, match=r"picture.png: not a readable image"):
        read_picture(path)


def region(name: str, *inside: bool, t: NDArray[np.float32] | None = None) -> Region:
    return Region(name, "localiser", f"about {name}", np.array(inside), t)


def test_regions_become_the_two_tables_and_empty_ones_are_left_out() -> None:
    t = np.array([1, np.nan, 3], np.float32)
    rois, members = region_frames([region("A", True, True, False, t=t), region("B", False, False, False)])
    assert rois.rows() == [("A", "localiser", "about A")]
    assert members.rows() == [(0, "A", 1.0), (1, "A", None)]


def test_a_union_keeps_a_t_that_all_share() -> None:
    t = np.array([1, 2, 3], np.float32)
    first, second = region("A", True, False, False, t=t), region("B", False, True, False, t=t)
    both = union("AB", [first, second], "")
    assert both.inside.tolist() == [True, True, False]
    assert both.t is t
    assert union("AC", [first, region("C", True, False, False)], "").t is None


class Regional:
    """A subject of three voxels and two regions."""

    subject = SimpleNamespace(subject_id="toy/1")
    voxels = pl.DataFrame({"voxel": pl.Series([0, 1, 2], dtype=pl.Int32)})
    rois, voxel_rois = region_frames([region("A", True, False, False), region("B", True, True, False)])


def test_wanted_regions_select_their_voxels_each_once() -> None:
    dataset = Regional()
    assert voxels_in(dataset, ("A", "B")).tolist() == [0, 1]
    assert voxels_in(dataset, ("A",)).tolist() == [0]
    assert voxels_in(dataset, ()).tolist() == [0, 1, 2]
    with pytest.raises(NotFoundError, match="toy/1 has no ROI 'C'; it has A, B"):
        voxels_in(dataset, ("A", "C"))
    dataset.voxels = dataset.voxels.clear()
    with pytest.raises(BadInputError, match="toy/1 has no voxel in its mask"):
        voxels_in(dataset, ())


def test_an_unknown_data_set_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match=r"There is no data set 'nsdd'; there are nsd, nod, .*folder, simulated"):
        IngestConfig(dataset="nsdd", subject="1")
