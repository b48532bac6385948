"""The container's files fit the program, and the image's steps, run without Docker, give a server that answers."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from serving import random_atlas

from voxel_atlas.api.http.access.guard import OPEN_PATHS
from voxel_atlas.schemas.config import Settings

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
SERVICE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["atlas"]


COPIED = [name for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]]


def test_what_is_copied_is_there_and_let_into_the_build() -> None:
    allowed = {line[1:] for line in IGNORED if line.startswith("!")}
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


class Image:
    """What the Dockerfile's steps make below a folder, run by a user without privileges on this machine's Debian.

    Each stage has folders of its own but for /opt, whose programs know where they lie. What a Debian is asked for,
    packages and a user, is looked for and not installed: this machine stands for the images of FROM.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._stage, self._at = folder, "", "/"
        self._user: dict[str, Any] = {"user": 10001, "group": 10001, "extra_groups": []} if os.geteuid() == 0 else {}
        self.said: dict[str, str] = {}
        """The last line of each instruction that makes nothing."""
        tools = folder / "tools"
        tools.mkdir()
        (tools / "python").symlink_to(self._python())
        kept = {name: os.environ[name] for name in os.environ if name.startswith("PIP_")}
        self._outside = {**kept, "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)}
        self.environment = dict(self._outside)

    def _python(self) -> str:
        """A Python that any user of this machine can run, and that makes environments."""
        for python in (getattr(sys, "_base_executable", sys.executable), "/usr/bin/python3"):
            asked = f"{python} -c 'import ensurepip, sys; assert sys.version_info >= (3, 11)'"
            if subprocess.run(["sh", "-c", asked], cwd="/", capture_output=True, **self._user).returncode == 0:
                return str(python)
        pytest.skip("needs a Python with ensurepip for every user: apt-get install python3-venv")

    def place(self, path: str) -> Path:
        """Where a path of the image is here."""
        inside = Path(self._at, path)
        return self._folder / ("" if inside.is_relative_to("/opt") else self._stage) / inside.relative_to("/")

    def mapped(self, text: str) -> str:
        """Text with the paths of the image as they are here."""
        return re.sub(r"(?<![\w.:/])/(?:opt|build|data)\b", lambda path: str(self.place(path[0])), text)

    def run(self, command: str | Sequence[str], **given: Any) -> "subprocess.CompletedProcess[str]":
        """Run a command in the image, to its end."""
        given = {"cwd": self.place("."), "env": self.environment, "text": True, **self._user, **given}
        return subprocess.run(command, shell=isinstance(command, str), **given)

    def start(self, log: Path) -> "subprocess.Popen[bytes]":
        """Start what the image starts."""
        command = [*json.loads(self.said["ENTRYPOINT"]), *json.loads(self.said["CMD"])]
        with log.open("wb") as file:
            return subprocess.Popen(command, cwd=self.place("/data"), env=self.environment, stderr=file, **self._user)

    def build(self) -> None:
        """Follow every step."""
        lines = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
        for word, rest in (line.split(None, 1) for line in lines if line.strip()):
            match word:
                case "FROM":
                    self._stage, self._at = rest.partition(" AS ")[2] or "image", "/"
                case "WORKDIR":
                    self._at = rest
                    self.place(".").mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(*rest.split())
                case "RUN" if rest.startswith("apt-get"):
                    named = re.findall(r"(?<=install )[^&]*", rest)[0].split()
                    wanted = [name for name in named if not name.startswith("-")]
                    subprocess.run(["dpkg-query", "--status", *wanted], check=True, capture_output=True)
                case "RUN" if rest.startswith("useradd"):
                    self.place(re.findall(r"--home-dir (\S+)", rest)[0]).mkdir(parents=True)
                case "RUN":
                    self.give()
                    self.run(self.mapped(rest), check=True)
                case "ENV":
                    parts = (part.partition("=")[::2] for part in shlex.split(rest))
                    self.environment |= {
                        name: self.mapped(value.replace("$PATH", self._outside["PATH"])) for name, value in parts
                    }
                case _:
                    self.said[word] = rest
        self.give()

    def _copy(self, *words: str) -> None:
        """COPY: a file into a folder, or what is in a folder."""
        *names, target = (word for word in words if not word.startswith("--"))
        stage = dict(word.split("=") for word in words if word.startswith("--")).get("--from")
        left_out = shutil.ignore_patterns(*(line.split("/")[-1] for line in IGNORED[1:] if not line.startswith("!")))
        to = self.place(target)
        for name in names:
            here, self._stage = self._stage, stage or self._stage
            source, self._stage = self.place(name) if stage else ROOT / name, here
            if source.is_dir() and source != to:
                shutil.copytree(source, to, symlinks=True, dirs_exist_ok=True, ignore=None if stage else left_out)
            elif source != to:
                to.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, to)

    def give(self) -> None:
        """Everything to the user who runs the steps."""
        if self._user:
            subprocess.run(["chown", "--recursive", "10001:10001", self._folder], check=True)


@pytest.fixture
def image() -> Iterator[Image]:
    """Built in a folder that the image's user may look into."""
    if not shutil.which("npm") or not shutil.which("dpkg-query"):
        pytest.skip("needs Debian, with npm and build-essential")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        made = Image(folder)
        made.build()
        yield made


@pytest.mark.slow
def test_the_steps_of_the_image_make_a_server_that_answers_without_privileges_and_stops(image: Image) -> None:
    data = image.place("/data")
    with socket.socket() as free:
        free.bind(("0.0.0.0", 0))
        port = free.getsockname()[1]
    image.environment["VOXEL_ATLAS_PORT"] = str(port)
    random_atlas(data, 300)
    image.give()
    token = image.run(["voxel-atlas", "token", "make", "lab"], capture_output=True, check=True).stdout.strip()
    health = json.loads(image.said["HEALTHCHECK"].partition("CMD ")[2].replace("8765", str(port)))
    before = sorted(image.place("/opt").rglob("*"))
    server = image.start(data / "log")
    try:
        while image.run(health, capture_output=True).returncode:
            assert server.poll() is None, (data / "log").read_text(encoding="utf-8")
            time.sleep(0.5)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client:
            query = {"query": "{ atlas { nVoxels } }"}
            assert client.post("/graphql", json=query).status_code == 401
            client.headers["authorization"] = f"Bearer {token}"
            assert client.post("/graphql", json=query).json() == {"data": {"atlas": {"nVoxels": 300}}}
            assert client.get("/assets/vendor/graphiql.js").status_code == 200
    finally:
        server.send_signal(getattr(signal, image.said["STOPSIGNAL"]))
    assert server.wait() == 0
    # A root that is read-only loses nothing.
    assert sorted(image.place("/opt").rglob("*")) == before
