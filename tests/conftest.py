"""What all tests share: no network, and a home folder that is not the user's."""

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, settings

from voxel_atlas.atlas.store import address

# A busy machine makes nothing wrong: how long an example takes is for the benchmarks. Fixtures that examples share are
# servers and folders, which none of them changes.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("patient")

# What tests import stays: looking for garbage among it takes as long as the imports.
gc.disable()

os.environ["HF_HUB_OFFLINE"] = "1"
# What is printed is as wide as each test says; readline hands the width of pytest's own terminal on to its workers.
for variable in ("COLUMNS", "LINES"):
    os.environ.pop(variable, None)
# Where several processes run tests, the cores are theirs: threads of numeric libraries would wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

ROOT = Path(__file__).parents[1]
NOT_COPIED = (".*", "__pycache__", "node_modules", "build", "dist", "docs", "screenshots", "*.egg-info")


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """VOXEL_ATLAS_HOME of this test; a test that needs the calibrated networks takes `demo_home`."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("VOXEL_ATLAS_HOME", str(home))
    return home


@pytest.fixture(autouse=True, scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The first empty atlas of a process is made; later ones are copies of it, which take a quarter of the time."""
    made, write = tmp_path_factory.mktemp("empty") / "atlas.duckdb", address.write_empty

    def copied(path: Path, config: address.Config) -> None:
        if not made.exists():
            write(made, config)
        shutil.copyfile(made, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(address, "write_empty", copied)
        yield


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout with its links and its built page, and with what earlier work may have left about."""
    if not (ROOT / "api" / "web" / "vendor").exists():
        pytest.skip("the page's third-party code is not built: see api/web/README.md")
    copied = tmp_path_factory.mktemp("checkout") / "voxel-atlas"
    shutil.copytree(ROOT, copied, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for left in ("api/web/node_modules/three/three.js", "build/lib/voxel_atlas/gone.py", "build/lib/schemas/gone.py"):
        (copied / left).parent.mkdir(parents=True, exist_ok=True)
        (copied / left).touch()
    (copied / "voxel_atlas.egg-info").mkdir()
    (copied / "voxel_atlas.egg-info" / "SOURCES.txt").write_text("api/__init__.py\n", encoding="utf-8")
    return copied


def build(kind: Literal["wheel", "sdist"], source: Path, folder: Path) -> Path:
    """Build of a source tree as pip does it: by the functions of its build backend, in its folder."""
    program = f"import build_backend; print(build_backend.build_{kind}({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build("wheel", checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of this checkout."""
    return build("sdist", checkout, tmp_path_factory.mktemp("sdist"))
