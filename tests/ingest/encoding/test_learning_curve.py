import numpy as np
import pytest

from voxel_atlas.ingest.encoding.learning_curve import LearningCurve
from voxel_atlas.ingest.encoding.metrics import r2
from voxel_atlas.ingest.encoding.ridge import Ridge
from voxel_atlas.ingest.encoding.split import split_by
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import BadInputError

CONFIG = IngestConfig(dataset="simulated", subject="S1", n_alphas=30)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((600, 40))
    return features, features @ rng.standard_normal((40, 30)) / 6 + rng.standard_normal((600, 30))


def test_last_point_is_the_model_itself(data: tuple[np.ndarray, np.ndarray]) -> None:
    features, responses = data
    train, test = split_by(CONFIG, 600)
    curve = LearningCurve(features, CONFIG, (train, test))
    fit = Ridge.from_config(features[train], CONFIG).fit(responses[train])
    assert curve.n_blocks == (5, 10, 15, 20, 25, 30, 34)
    assert curve.n_train == (75, 150, 225, 300, 375, 450, 510)
    np.testing.assert_allclose(curve.fit(responses).r2[-1], r2(responses[test], fit.predict(features[test])))


def test_more_images_predict_better_where_there_is_signal(data: tuple[np.ndarray, np.ndarray]) -> None:
    scores = LearningCurve(data[0], CONFIG, split_by(CONFIG, 600)).fit(data[1])
    assert scores.r2.shape == scores.r.shape == (7, 30)
    for metric in (scores.r2, scores.r):
        assert np.all(np.diff(metric.mean(axis=1)[[0, 2, 4, 6]]) > 0)


def test_points_can_be_chosen(data: tuple[np.ndarray, np.ndarray]) -> None:
    curve = LearningCurve(data[0], CONFIG, split_by(CONFIG, 600), blocks=(17, 34))
    assert curve.n_train == (255, 510)
    assert curve.fit(data[1][:, :3]).r2.shape == (2, 3)


def test_too_few_images_for_a_point_are_an_error(data: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(BadInputError, match="3 training images are too few"):
        LearningCurve(data[0][:40], CONFIG, split_by(CONFIG, 40), blocks=(3,))
