"""Networks that go to other processes as the calls that loaded them."""

import pickle
from pathlib import Path

import cloudpickle
import pytest

from voxel_atlas.atlas.backbones.reloading import reloadable
from voxel_atlas.schemas.errors import BadInputError

loaded: list[str] = []


class Network:
    """One whose weights cannot be pickled."""

    def __init__(self, name: str, fingerprint: str) -> None:
        self.name, self.fingerprint = name, fingerprint
        self.run = lambda image: image


@reloadable
def load(name: str, *, home: Path, beside: Network | None = None) -> Network:
    loaded.append(name)
    file = home / name
    return Network(name, file.read_text() if file.exists() else "same")


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_network_is_loaded_again_and_only_once(dumps, tmp_path: Path) -> None:
    network = load("clip", home=tmp_path)
    loaded.clear()
    first, second = pickle.loads(dumps((network, network)))
    assert first is second is not network
    assert pickle.loads(dumps(network)) is first
    assert loaded == ["clip"]
    assert first.name == "clip"


def test_a_network_that_another_was_loaded_with_is_loaded_first(tmp_path: Path) -> None:
    network = load("captioner", home=tmp_path, beside=load("lite", home=tmp_path))
    loaded.clear()
    pickle.loads(pickle.dumps(network))
    assert loaded == ["lite", "captioner"]


def test_other_weights_by_the_same_name_are_refused(tmp_path: Path) -> None:
    sent = pickle.dumps(load("clip", home=tmp_path))
    (tmp_path / "clip").write_text("other")
    with pytest.raises(BadInputError, match="has other weights or settings of clip than the machine that asks it"):
        pickle.loads(sent)


class Plain:
    """One that can be pickled as it is."""

    def __init__(self, name: str) -> None:
        self.name = name


@reloadable
def load_plain(name: str) -> Plain:
    return Plain(name)


def test_one_that_was_not_loaded_goes_as_it_is_beside_one_of_its_class_that_was() -> None:
    load_plain("loaded")
    assert pickle.loads(pickle.dumps(Plain("made"))).name == "made"
