"""Names of parts: ours, those of an installed package, and names that nobody or that two packages have registered."""

import subprocess
import sys
from pathlib import Path

import pytest
from plugin_package import installed

from voxel_atlas.atlas.backbones import default_readout
from voxel_atlas.schemas.errors import BadInputError, NotFoundError
from voxel_atlas.schemas.registry import BACKBONES, Registry

COUNTERS = Registry("counter", "voxel_atlas.test_counters", {"ours": "schemas.errors:BadInputError"})


def test_a_name_of_ours_and_one_of_another_package_are_found(tmp_path: Path) -> None:
    with installed(tmp_path, "others", {COUNTERS.group: {"theirs": "collections:Counter"}}):
        assert COUNTERS.names == ("ours", "theirs")
        assert COUNTERS["ours"] is BadInputError
        assert COUNTERS["theirs"].__name__ == "Counter"
        assert "theirs" in COUNTERS
    assert "theirs" not in COUNTERS


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with (
        installed(tmp_path, "others", {COUNTERS.group: {"theirs": "collections:Counter"}}),
        pytest.raises(NotFoundError, match="There is no counter 'their'; there are ours, theirs"),
    ):
        COUNTERS["their"]


def test_another_package_does_not_take_the_place_of_ours(tmp_path: Path) -> None:
    with installed(tmp_path, "others", {COUNTERS.group: {"ours": "collections:Counter"}}):
        assert COUNTERS["ours"] is BadInputError
        assert COUNTERS.names == ("ours",)


def test_two_packages_of_one_name_and_a_broken_one_are_named(tmp_path: Path) -> None:
    parts = {COUNTERS.group: {"theirs": "collections:Counter", "broken": "no_such_module:Counter"}}
    with (
        installed(tmp_path / "one", "one", parts),
        installed(tmp_path / "two", "two", parts),
        pytest.raises(BadInputError, match="one and two both bring a counter 'theirs'; uninstall one"),
    ):
        COUNTERS["theirs"]
    with (
        installed(tmp_path / "three", "three", parts),
        pytest.raises(BadInputError, match=r"'broken' of three cannot be imported: No module.*; install three again"),
    ):
        COUNTERS["broken"]


def test_names_that_nobody_has_registered_may_stand_for_one_class() -> None:
    models = Registry("captioner", "voxel_atlas.test_models", {}, other="schemas.errors:NotFoundError")
    assert models["someone/some-model"] is NotFoundError
    assert "someone/some-model" not in models


def test_what_is_known_of_a_backbone_before_it_is_loaded_takes_no_network() -> None:
    code = (
        "import sys; from voxel_atlas.atlas.backbones import backbone_class, default_readout; "
        "from voxel_atlas.schemas.registry import BACKBONES; "
        "print({name: (backbone_class(name).dim, default_readout(name)) for name in BACKBONES.names}, "
        "sorted({'torch', 'open_clip', 'torchvision', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "{'lite': (384, 'half'), 'word-cards': (384, 'half'), 'clip-rn50': (1024, 'half'), "
        "'clip-vit-b32': (512, 'half'), 'clip-vit-b32-laion': (512, 'half'), 'clip-vit-b16': (512, 'half'), "
        "'resnet50': (2048, 'half'), 'resnet50-v2': (2048, 'half'), 'alexnet': (9216, 'half')} []"
    )


def test_a_model_of_a_backbone_that_is_not_installed_is_compared_by_half() -> None:
    assert "somebodys-network" not in BACKBONES
    assert default_readout("somebodys-network") == "half"
