"""The container's files fit the program: what they copy is there, and what they set and ask for exists."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import yaml

from voxel_atlas.api.http.access.guard import OPEN_PATHS
from voxel_atlas.schemas.config import Settings

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["atlas"]


COPIED = [name for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]]


def test_what_is_copied_is_there_and_let_into_the_build() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in COPIED:
        assert (ROOT / name).exists(), name
        assert name.split("/")[0] in allowed, name


def test_what_is_copied_is_enough_to_build_the_wheel(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    for name in COPIED:
        if (checkout / name).is_dir():
            shutil.copytree(checkout / name, tmp_path / name, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy(checkout / name, tmp_path)
    program = "import build_backend; print(build_backend.build_wheel('dist'))"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={"PATH": ""}, check=True, capture_output=True)
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(tmp_path / "dist" / wheel.name) as other:
        assert one.namelist() == other.namelist()


def test_every_setting_that_is_set_is_one() -> None:
    names = set(re.findall(r"VOXEL_ATLAS_(\w+)=", DOCKERFILE)) | {
        name.removeprefix("VOXEL_ATLAS_") for name in SERVICE["environment"]
    }
    assert names
    assert {name.lower() for name in names} <= Settings.model_fields.keys()


def test_the_server_runs_without_privileges_and_its_health_is_asked_where_no_token_is_wanted() -> None:
    assert re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)[-1] != "0"
    assert SERVICE["read_only"] is True
    assert SERVICE["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in SERVICE["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICE["ports"])
    (asked,) = re.findall(r"http://127\.0\.0\.1:\d+(/\w+)", DOCKERFILE)
    assert asked in OPEN_PATHS
    assert f"EXPOSE {Settings().port}\n" in DOCKERFILE
