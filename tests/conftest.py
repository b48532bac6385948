"""What all tests share: no network, and a home folder that is not the user's."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine makes nothing wrong: how long an example takes is for the benchmarks. Fixtures that examples share are
# servers and folders, which none of them changes.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("patient")

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """VOXEL_ATLAS_HOME of this test; a test that needs the calibrated networks takes `demo_home`."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("VOXEL_ATLAS_HOME", str(home))
    return home
