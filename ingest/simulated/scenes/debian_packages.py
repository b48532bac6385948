"""Debian packages unpacked into a folder of ours: no root needed, nothing installed."""

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

_TIMEOUT_S = 900


def package_root(package: str, probe: str, suffixes: Sequence[str], cache: Path) -> Path | None:
    """The folder under which a package's files lie, as under /: the system's own, or a copy that is fetched now.

    Args:
        package: name of a Debian (or Ubuntu) package, for example wordnet-base.
        probe: a path of the package, relative to /, that shows that it is there.
        suffixes: ends of the names of the files to keep; the copyright file is kept too.
        cache: folder for copies; each becomes a folder of the package's name, whole or not at all.

    Returns:
        None where the package is not installed and cannot be fetched: no apt, no network.
    """
    for root in (Path("/"), cache / package):
        if (root / probe).exists():
            return root
    return _fetch(package, tuple(suffixes), cache / package) if shutil.which("apt-get") else None


def _fetch(package: str, suffixes: tuple[str, ...], target: Path) -> Path | None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{package}.") as name:
        folder = Path(name)
        archive = _download(package, folder)
        if archive is None:
            return None
        _unpack(archive, suffixes, folder / "files")
        try:
            (folder / "files").rename(target)
        except OSError:
            # Another process was first, which is as good.
            if not target.exists():
                raise
    return target


def _download(package: str, folder: Path) -> Path | None:
    """The package's archive, by the system's package lists or, where those are empty, by lists of our own."""
    (folder / "partial").mkdir()
    # The lists of a user who is not root, or of a fresh container, go to this folder and are thrown away with it.
    own_lists = [f"-oDir::State::Lists={folder}", f"-oDir::Cache={folder}", "-oDebug::NoLocking=1"]
    if not _apt(["download", package], folder):
        _apt([*own_lists, "update"], folder)
        _apt([*own_lists, "download", package], folder)
    return next(folder.glob(f"{package}_*.deb"), None)


def _apt(arguments: Sequence[str], folder: Path) -> bool:
    # Root's downloads would go through a user who may not write to the folder; it belongs to this process alone.
    options = ["-qq", "-oAPT::Sandbox::User=", "-oAcquire::Retries=1", "-oAcquire::http::Timeout=20"]
    try:
        finished = subprocess.run(  # noqa: S603 - the arguments are constants of this module
            ["apt-get", *options, *arguments],  # noqa: S607 - apt-get of the user's own path
            cwd=folder,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return finished.returncode == 0


def _unpack(archive: Path, suffixes: tuple[str, ...], target: Path) -> None:
    target.mkdir()
    with (
        subprocess.Popen(  # noqa: S603 - as above
            ["dpkg-deb", "--fsys-tarfile", str(archive)],  # noqa: S607 - as above
            stdout=subprocess.PIPE,
        ) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as files,
    ):
        for member in files:
            content = files.extractfile(member) if member.name.endswith((*suffixes, "/copyright")) else None
            if content is not None:
                # Names are ./usr/share/…; nothing of an archive is written outside the folder.
                path = target.joinpath(*(part for part in PurePosixPath(member.name).parts if part not in ("/", "..")))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
