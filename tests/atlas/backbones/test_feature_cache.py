"""Features that are kept: asked for in any order, by several processes, and after files have gone."""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voxel_atlas.atlas.backbones.feature_cache import FeatureCache


class Mean:
    """A network whose features are an image's mean colours."""

    name, dim, fingerprint = "mean", 3, "a" * 64

    def features(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return np.stack([image.mean(axis=(0, 1)) for image in images]).astype(np.float32)


def image(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (4, 5, 3), np.uint8)


def sha256s(numbers: Sequence[int]) -> list[str]:
    return [hashlib.sha256(image(number).tobytes()).hexdigest() for number in numbers]


class Reading:
    """Gives images of some numbers, and keeps which were read."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers, self.read = numbers, list[int]()

    def __call__(self, index: int) -> NDArray[np.uint8]:
        self.read.append(self.numbers[index])
        return image(self.numbers[index])


def ask(home: Path, numbers: Sequence[int], batch_images: int = 16) -> tuple[NDArray[np.float32], list[int]]:
    """Features of images, and the images that were read for them."""
    reading = Reading(numbers)
    return FeatureCache(home, Mean(), batch_images).get(sha256s(numbers), reading), reading.read


def expected(numbers: Sequence[int]) -> NDArray[np.float32]:
    return np.array([image(number).mean(axis=(0, 1)) for number in numbers], np.float32)


def test_a_shuffled_subset_of_what_is_kept_needs_no_image(tmp_path: Path) -> None:
    found, read = ask(tmp_path, range(200))
    assert read == list(range(200))
    np.testing.assert_array_equal(found, expected(range(200)))
    shuffled = np.random.default_rng(0).permutation(200)[:90].tolist()
    found, read = ask(tmp_path, shuffled)
    assert read == []
    np.testing.assert_array_equal(found, expected(shuffled))


@pytest.mark.parametrize("batch_images", [1, 7, 64, 1000])
def test_only_what_is_not_kept_is_read_and_each_image_once(tmp_path: Path, batch_images: int) -> None:
    ask(tmp_path, range(0, 100, 2), batch_images)
    numbers = [3, *range(100), 5]
    found, read = ask(tmp_path, numbers, batch_images)
    assert sorted(read) == list(range(1, 100, 2))
    np.testing.assert_array_equal(found, expected(numbers))


def test_progress_is_told_of_every_image(tmp_path: Path) -> None:
    ask(tmp_path, range(10))
    done: list[int] = []
    numbers = [*range(5, 80), 7]
    FeatureCache(tmp_path, Mean(), 16).get(sha256s(numbers), Reading(numbers), done.append)
    assert sum(done) == len(numbers)


def test_another_network_has_features_of_its_own(tmp_path: Path) -> None:
    class Doubled(Mean):
        fingerprint = "b" * 64

        def features(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
            return 2 * super().features(images)

    ask(tmp_path, range(5))
    reading = Reading(range(5))
    found = FeatureCache(tmp_path, Doubled(), 16).get(sha256s(range(5)), reading)
    assert reading.read == list(range(5))
    np.testing.assert_array_equal(found, 2 * expected(range(5)))


def test_a_run_that_is_stopped_keeps_the_groups_it_has_finished(tmp_path: Path) -> None:
    reading = Reading(range(200))

    def stopped(index: int) -> NDArray[np.uint8]:
        if index == 150:
            raise KeyboardInterrupt
        return reading(index)

    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path, Mean(), 16).get(sha256s(range(200)), stopped)
    found, read = ask(tmp_path, range(200))
    assert read == list(range(128, 200))
    np.testing.assert_array_equal(found, expected(range(200)))


def test_files_that_another_process_has_written_or_taken_away_are_seen(tmp_path: Path) -> None:
    ask(tmp_path, range(30))
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_feature_cache import ask; from pathlib import Path; "
        "ask(Path(sys.argv[2]), range(30, 60))"
    )
    subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)], check=True)
    found, read = ask(tmp_path, range(60))
    assert read == []
    np.testing.assert_array_equal(found, expected(range(60)))
    for path in (tmp_path / "features").rglob("*.npz"):
        path.unlink()
    found, read = ask(tmp_path, range(60))
    assert read == list(range(60))
    np.testing.assert_array_equal(found, expected(range(60)))


def test_processes_that_encode_the_same_images_at_once_agree(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_feature_cache import ask; from pathlib import Path; "
        "numbers = [int(x) for x in sys.argv[3].split(',')]; ask(Path(sys.argv[2]), numbers)"
    )
    orders = [np.random.default_rng(seed).permutation(150).tolist() for seed in range(3)]
    here = str(Path(__file__).parent)
    running = [
        subprocess.Popen([sys.executable, "-c", code, here, str(tmp_path), ",".join(map(str, order))])
        for order in orders
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    found, read = ask(tmp_path, range(150))
    assert read == []
    np.testing.assert_array_equal(found, expected(range(150)))
