"""`voxel-atlas doctor`: what is installed, found and writable, how fast this machine is, and what would help."""

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ... import __version__
from ...schemas.errors import AtlasError, NotFoundError, redacted
from .console import FOR_PEOPLE, Output, say, waiting
from .options import AtlasOption, open_atlas, settings_of

if TYPE_CHECKING:
    from ...schemas.config import Settings

_DISK_GB = 9
"""What a first atlas takes, its environment included."""
_EXTRAS = {
    "anywidget": "pip install 'voxel-atlas[notebook]' shows the explorer in a notebook's cell",
    "autoflatten": "pip install 'voxel-atlas[flatten]' makes flat maps of FreeSurfer subjects that have none",
    "dask": "pip install 'voxel-atlas[cluster]' spreads an ingest over many machines",
    "mkdocs": "pip install 'voxel-atlas[docs]' builds the manual",
}
_PROBE_MB = 16


class Finding(NamedTuple):
    """Something that was looked at."""

    what: str
    state: str
    """ok; note, where something would help; wrong, where something will not work."""
    found: str
    advice: str = ""


def doctor(*, output: Output = FOR_PEOPLE, atlas: AtlasOption = "") -> None:
    """Tell what is installed, found and writable, how fast this machine is, and what would help."""
    import polars as pl

    settings = settings_of(atlas)
    with waiting("Looking at this machine"):
        findings = [*_programs(), *_folders(settings), *_atlas(settings, atlas), *_speed()]
    output.show(pl.DataFrame([finding._asdict() for finding in findings]))
    wrong = [finding for finding in findings if finding.state == "wrong"]
    if output.for_people:
        say(
            f"{len(wrong)} of {len(findings)} {'is' if len(wrong) == 1 else 'are'} wrong."
            if wrong
            else "Nothing is wrong."
        )
    if wrong:
        raise SystemExit(2)


def _programs() -> Iterator[Finding]:
    yield Finding("voxel-atlas", "ok", f"{__version__}, Python {platform.python_version()}, {platform.system()}")
    needed = {"duckdb": "duckdb", "torch": "torch", "pycortex": "cortex", "faiss": "faiss", "mcp": "mcp"}
    missing = [name for name, module in needed.items() if find_spec(module) is None]
    versions = ", ".join(f"{name} {_version(name)}" for name in needed if name not in missing)
    advice = f"install {', '.join(missing)}; for faiss: pip install 'voxel-atlas[cpu]'" if missing else ""
    yield Finding("libraries", "wrong" if missing else "ok", versions, advice)
    bundles = Path(__file__).parents[1] / "web" / "vendor"
    built = bundles.is_dir() and any(bundles.iterdir())
    yield Finding("page", "ok" if built else "note", "built" if built else "not built", "" if built else "make setup")
    for module, advice in _EXTRAS.items():
        if find_spec(module) is None:
            yield Finding(f"extra: {module}", "note", "not installed", advice)
    if shutil.which("nvidia-smi") is None:
        yield Finding("GPU", "note", "none", "networks run on the processor; see the manual's page Hardware")
    else:
        yield Finding("GPU", "ok", "there is one")


def _version(name: str) -> str:
    from importlib import metadata  # here, as all commands import this module

    for distribution in (name, f"{name}-cpu", f"{name}-gpu-cu12"):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return "of unknown version"


def _folders(settings: "Settings") -> Iterator[Finding]:
    home = settings.home
    nearest = next(path for path in (home.absolute(), *home.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free / 1e9
    if not os.access(nearest, os.W_OK) or not nearest.is_dir():
        yield Finding("home folder", "wrong", f"{home} cannot be written", "set VOXEL_ATLAS_HOME to another folder")
    else:
        little = free < _DISK_GB
        advice = f"an atlas wants {_DISK_GB} GB at first; set VOXEL_ATLAS_HOME to a larger disk" if little else ""
        yield Finding("home folder", "note" if little else "ok", f"{home}, {free:,.0f} GB free", advice)
        yield Finding("disk", "ok", f"writes {_written_per_second(nearest):,.0f} MB/s")
    store = settings.cortex_filestore
    if store is not None and not store.is_dir():
        yield Finding("surfaces", "wrong", f"{store} is not there", "set VOXEL_ATLAS_CORTEX_FILESTORE to a folder")


def _written_per_second(folder: Path) -> float:
    """MB that are written to a folder and flushed in a second."""
    start = time.perf_counter()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_PROBE_MB * 10**6))
        file.flush()
        os.fsync(file.fileno())
    return _PROBE_MB / (time.perf_counter() - start)


def _atlas(settings: "Settings", atlas: str) -> Iterator[Finding]:
    address, start = redacted(settings.address), time.perf_counter()
    try:
        with open_atlas(atlas) as opened:
            models = opened.models()
            seconds = time.perf_counter() - start
    except NotFoundError:
        yield Finding("atlas", "note", f"none at {address}", "voxel-atlas demo fills one with a simulated subject")
    except AtlasError as error:
        yield Finding("atlas", "wrong", str(error))
    else:
        n_finished = int(models["finished"].sum())
        held = f"{n_finished} finished {'model' if n_finished == 1 else 'models'}"
        yield Finding("atlas", "ok", f"{address}: {held}, opened in {seconds:.1f} s")


def _speed() -> Iterator[Finding]:
    import numpy as np

    from ...atlas.backbones.cores import n_cores
    from ...atlas.machine_memory import free_memory, total_memory

    small = total_memory() < 4 * 2**30
    found = f"{total_memory() / 2**30:.0f} GiB, {free_memory() / 2**30:.0f} free"
    yield Finding("memory", "note" if small else "ok", found, "an ingest of NSD wants 4 GiB" if small else "")
    matrix = np.ones((1024, 1024), np.float32)
    start = time.perf_counter()
    for _ in range(5):
        matrix @ matrix
    rate = 5 * 2 * 1024**3 / (time.perf_counter() - start) / 1e9
    yield Finding("processor", "ok", f"{n_cores()} cores, {rate:,.0f} GFLOP/s in a product of matrices")
    encoding = getattr(sys.stdout, "encoding", None) or "none"
    plain = encoding.lower().replace("-", "") != "utf8"
    yield Finding("terminal", "note" if plain else "ok", encoding, "LC_ALL=C.UTF-8 shows all letters" if plain else "")
