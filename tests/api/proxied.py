"""The manual's settings of proxies, run as they stand there before a server of a test's own."""

import getpass
import os
import random
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from doc_blocks import blocks
from starlette.applications import Starlette
from toy_server import Server, serving

PROGRAMS = {"nginx": "nginx", "apache": "apache2", "caddy": "caddy"}
CERTIFICATE = "lab.org.crt"
_APACHE_MODULES = "mpm_event authz_core socache_shmcb ssl headers alias proxy proxy_http"


@dataclass(frozen=True)
class Proxied:
    """A server and the proxy before it."""

    url: str
    """Where people find it, with a slash at the end."""
    server: Server
    """Asked without the proxy."""
    certificate: Path
    """That of the proxy, which whoever asks it has to trust."""


def needed(kind: str) -> None:
    """Skip a test whose proxy is not installed.

    Args:
        kind: one of `PROXIES`.
    """
    for program in (PROGRAMS[kind], "openssl"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}: apt-get install {'nginx-light' if program == 'nginx' else program}")


@contextmanager
def proxied(kind: str, path: str, folder: Path, app: Callable[[str], Starlette]) -> Iterator[Proxied]:
    """Run a proxy before a server until the block ends, both on free ports of the loopback address.

    Args:
        kind: one of `PROXIES`.
        path: where the proxy offers the server: /, or a path between slashes.
        folder: for what the proxy writes.
        app: the application for a public address.
    """
    port = _free_port()
    url, certificate = f"https://127.0.0.1:{port}{path}", folder / CERTIFICATE
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=lab.org", "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate,
         "-keyout", certificate.with_suffix(".key")],
        check=True, capture_output=True,
    )  # fmt: skip
    with serving(app(url)) as server:
        (settings,) = (block.code for block in blocks() if block.page == "proxies.md" and block.language == kind)
        asked = server.url.removeprefix("http://")
        written = _at(path, settings).replace("127.0.0.1:8765", asked).replace("/etc/ssl", str(folder))
        command = {"nginx": _nginx, "apache": _apache, "caddy": _caddy}[kind](written, port, folder)
        with (folder / "proxy.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HOME": str(folder)})
        try:
            _await(port, process, folder / "proxy.log")
            yield Proxied(url, server, certificate)
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    """One that no connection of this machine's gets meanwhile: the system gives those from above."""
    for port in random.sample(range(10_000, 30_000), 100):
        with socket.socket() as free, suppress(OSError):
            free.bind(("0.0.0.0", port))
            return port
    raise AssertionError("no free port")


def _at(path: str, settings: str) -> str:
    """The settings for another path, as the manual says to change them."""
    if path == "/":
        settings = re.sub(r" *# Below a path only:\n.*\n", "", settings)
    return re.sub(r"/atlas\b", path.rstrip("/"), settings)


def _nginx(settings: str, port: int, folder: Path) -> list[str | Path]:
    kept = " ".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return _command(
        folder,
        f"daemon off; pid {folder}/nginx.pid; events {{}} http {{ access_log off; {kept}\n"
        f"{settings.replace('listen 443', f'listen 127.0.0.1:{port}')} }}\n"
        + (f"user {getpass.getuser()};" if os.geteuid() == 0 else ""),
        "nginx", "-e", "stderr", "-c",
    )  # fmt: skip


def _apache(settings: str, port: int, folder: Path) -> list[str | Path]:
    modules = "".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in _APACHE_MODULES.split()
    )
    user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
    head = f"Listen 127.0.0.1:{port}\nServerName lab.org\nPidFile {folder}/pid\nErrorLog /dev/stderr\n{user}"
    return _command(folder, modules + head + settings.replace(":443", f":{port}"), "apache2", "-X", "-f")


def _caddy(settings: str, port: int, folder: Path) -> list[str | Path]:
    keys = f"tls {folder}/{CERTIFICATE} {folder}/lab.org.key"
    settings = settings.replace("lab.org {", f"https://127.0.0.1:{port} {{\n    {keys}")
    options = "{\n    admin off\n    auto_https disable_redirects\n    skip_install_trust\n}\n"
    return _command(folder, options + settings, "caddy", "run", "--adapter", "caddyfile", "--config")


def _command(folder: Path, settings: str, *command: str) -> list[str | Path]:
    file = folder / "proxy.conf"
    file.write_text(settings, encoding="utf-8")
    return [*command, file]


def _await(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
