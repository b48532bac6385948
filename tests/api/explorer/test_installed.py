"""The wheel in an environment of its own, outside the checkout: a small demo runs, and its whole page is there."""

import os
import socket
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from browser_page import Visit

SMALL_DEMO = """
from pathlib import Path
import voxel_atlas
from voxel_atlas.api.cli import demo
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.progress import Silent
from voxel_atlas.schemas.config import Settings

settings = Settings()
config = demo.CONFIG.model_copy(update={"n_bootstrap": 200, "images_per_label": 4, "min_voxels_per_label": 20})
with Store.open(str(settings.home / "atlas.duckdb")) as store:
    demo.run(store, settings, Silent(), config=config, n_calibration=150, n_scenes=160, n_voxels=3600)
print(Path(voxel_atlas.__file__).parent)
"""


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that has the wheel; what it depends on is this environment's."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    python = folder / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel],
        check=True,
    )
    packages = sysconfig.get_path("purelib", vars={"base": str(folder)})
    # A folder that a .pth names is searched last, and the .pth files in it, an editable install's say, do nothing.
    Path(packages, "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return folder


@contextmanager
def serving(program: Path, home: Path) -> Iterator[str]:
    """The installed command serves an atlas; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([program, "serve", "--port", str(port)], cwd=home, env=variables(home))
    try:
        while not answers(url):
            assert process.poll() is None
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def variables(home: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**own, "VOXEL_ATLAS_HOME": str(home)}


@pytest.mark.slow
def test_the_installed_wheel_runs_a_demo_and_serves_the_page_with_3d_and_graphiql(
    environment: Path, tmp_path: Path, visit_at: Visit
) -> None:
    done = subprocess.run(
        [environment / "bin" / "python", "-c", SMALL_DEMO], cwd=tmp_path, env=variables(tmp_path), capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[-1]).is_relative_to(environment)
    with serving(environment / "bin" / "voxel-atlas", tmp_path) as url:
        page = visit_at(url).open("/?concept=cake")
        page.wait_for_selector("#top tbody tr")
        page.click("#view-3d")
        page.wait_for_function("() => performance.getEntriesByName('painted-3d').length")
        page.goto(f"{url}/graphql")
        page.click(".graphiql-execute-button")
        page.wait_for_function("() => document.querySelector('.result-window')?.textContent.includes('similarity')")
        page.close()
