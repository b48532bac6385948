"""Where subjects' surfaces come from: a user's pycortex store, the one that pycortex ships, or a standard cortex.

This is the one place that imports pycortex. It takes seconds to import, writes a configuration file into the user's
home on its first import, and its installed configuration bears the paths of the environment in which its wheel was
built. So it is imported here only, with a configuration of ours, and only to build what is not cached yet.
"""

import contextlib
import hashlib
import importlib
import importlib.metadata
import io
import os
import sys
import sysconfig
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, NotFoundError
from ...schemas.files import replacing
from .locked_files import locked
from .standard import STANDARD, Meshes

SIDES = ("lh", "rh")
_CURVATURE_SMOOTHING = 20.0
_CURVATURE_LIMIT = 0.5  # per mm; pycortex draws curvature between minus and plus this
_import_lock = threading.Lock()
_own_stores = set[str]()
"""Stores that pycortex was imported with here: those of our own caches."""


def shipped_store() -> Path:
    """The store with subject S1 that pip installed beside pycortex, wherever that is."""
    usual = Path(sysconfig.get_path("data")) / "share" / "pycortex" / "db"
    if (usual / "S1" / "surfaces").is_dir():
        return usual
    distribution = importlib.metadata.distribution("pycortex")
    for file in distribution.files or ():
        if file.parts[-3:] == ("S1", "surfaces", "flat_lh.gii"):
            return Path(str(distribution.locate_file(file))).resolve().parents[2]
    raise NotFoundError("pycortex is installed without its subject S1; install it again: pip install --force pycortex")


def find(surface: str, cache: Path, filestore: Path | None) -> Path:
    """Folder of the pycortex subject `surface`: the user's store first, then the cache's, then the shipped one.

    Raises:
        NotFoundError: no store has it; the message lists the subjects that there are.
    """
    if surface in STANDARD:
        _make_standard(surface, cache)
    stores = [store for store in (filestore, cache / "subjects", shipped_store()) if store is not None]
    for store in stores:
        if surface == Path(surface).name and (store / surface / "surfaces").is_dir():
            return store / surface
    known = {path.parent.name for store in stores for path in store.glob("*/surfaces")} | set(STANDARD)
    where = filestore or "the setting cortex_filestore, which is empty"
    raise NotFoundError(
        f"There is no surface named {surface!r} in {where}; known are {', '.join(sorted(known))}. "
        "Import one with `voxel-atlas surface import`."
    )


def fingerprint(subject: Path) -> str:
    """Ten hexadecimal digits that change when a file of the subject that pictures depend on does."""
    digest = hashlib.sha256()
    paths = sorted(path for part in ("surfaces", "transforms") for path in subject.glob(f"{part}/**/*"))
    for path in paths:
        if not path.is_file() or path.name.startswith("."):  # locks of transforms that are being written
            continue
        state = path.stat()
        digest.update(f"{path.relative_to(subject)} {state.st_size} {state.st_mtime_ns}\n".encode())
    overlays = subject / "overlays.svg"
    if overlays.exists():
        digest.update(f"{overlays.stat().st_size} {overlays.stat().st_mtime_ns}".encode())
    return digest.hexdigest()[:10]


def pycortex(cache: Path) -> Any:
    """The module `cortex`, imported with our configuration and without touching the user's."""
    if "cortex" in sys.modules:
        return sys.modules["cortex"]
    import matplotlib as mpl  # first, or it would take our configuration folder for its own

    mpl.get_configdir()
    with _import_lock, locked(cache / "pycortex"):
        folder = _plain(cache) / "pycortex"
        store = shipped_store()
        options = f"[basic]\nfilestore = {folder / 'db'}\n\n[webgl]\ncolormaps = {store.parent / 'colormaps'}\n"
        (folder / "db").mkdir(parents=True, exist_ok=True)
        with replacing(folder / "options.cfg") as temporary:
            temporary.write_text(options.replace("%", "%%"), encoding="utf-8")
        with (
            _environment("XDG_CONFIG_HOME", str(_plain(cache))),
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            # Its import warns of its own escapes and prints that there is no Inkscape, which is not used.
            warnings.simplefilter("ignore")
            cortex = importlib.import_module("cortex")
        _own_stores.add(str(cortex.db.filestore))
        return cortex


def database(subject: Path, cache: Path) -> Any:
    """A pycortex `Database` of this subject alone that may write: links to its files in the cache folder."""
    cortex = pycortex(cache)
    store = _plain(cache) / "pycortex" / "db" / hashlib.sha256(str(subject.resolve()).encode()).hexdigest()[:10]
    mirror = store / subject.name
    with locked(store):
        for name in ("views", "cache"):
            (mirror / name).mkdir(parents=True, exist_ok=True)
        for name in ("surfaces", "transforms", "anatomicals", "overlays.svg"):
            if (subject / name).exists() and not (mirror / name).exists():
                (mirror / name).symlink_to((subject / name).resolve())
        (mirror / "transforms").mkdir(exist_ok=True)
    return cortex.database.Database(str(store))


def make_known(subject: Path, cache: Path) -> Any:
    """The module `cortex`, whose own store knows a subject of ours, so that its functions can show it.

    Raises:
        NotFoundError: it was imported with a user's configuration, whose store is not ours to write to.
    """
    cortex = pycortex(cache)
    store = Path(cortex.db.filestore)
    if str(cortex.db.filestore) in _own_stores:
        link, mirror = store / subject.name, Path(database(subject, cache).filestore) / subject.name
        with locked(link):
            # Another store of the user's may have a subject of that name.
            if not link.is_symlink() or link.readlink() != mirror:
                with replacing(link) as temporary:
                    temporary.symlink_to(mirror, target_is_directory=True)
                vars(cortex.db).pop("_memocache", None)  # in which pycortex keeps meshes by the subject's name
        cortex.db.reload_subjects()
    elif subject.name not in cortex.db.subjects:
        raise NotFoundError(
            f"pycortex's store {store} has no subject {subject.name!r}; import it after this map was made, or copy "
            f"{subject} there."
        )
    return cortex


def overlay(file: Path, cache: Path) -> Any:
    """The `SVGOverlay` of an overlays.svg, which is only read."""
    pycortex(cache)
    return importlib.import_module("cortex.svgoverlay").SVGOverlay(str(file))


def mesh(subject: Path, cache: Path, kind: str) -> dict[str, NDArray[Any]]:
    """Arrays points (n, 3) float64 in mm and faces (m, 3) int32: both hemispheres of one kind of surface, left first.

    Flat maps lie side by side, as pycortex nudges them.
    """
    points, faces = database(subject, cache).get_surf(subject.name, kind, merge=True, nudge=kind == "flat")
    return {"points": np.asarray(points, np.float64), "faces": np.asarray(faces, np.int32)}


def transform(subject: Path, cache: Path, name: str) -> dict[str, NDArray[Any]]:
    """The array matrix (4, 4): from mm on the surface to voxel indices (x, y, z)."""
    return {"matrix": np.asarray(database(subject, cache).get_xfm(subject.name, name, "coord").xfm, np.float64)}


def curvature(subject: Path, cache: Path) -> dict[str, NDArray[Any]]:
    """The array `curvature`: mean curvature at each vertex, half-way between white matter and pia."""
    cortex, hemispheres = pycortex(cache), []
    for points, faces in database(subject, cache).get_surf(subject.name, "fiducial"):
        hemisphere = cortex.polyutils.Surface(points, faces)
        with warnings.catch_warnings():
            # It hands scipy a matrix in a layout that scipy likes less, and divides by vertices without edges.
            warnings.simplefilter("ignore")
            hemispheres.append(hemisphere.smooth(hemisphere.mean_curvature(), _CURVATURE_SMOOTHING))
    scaled = np.concatenate(hemispheres) / (2 * _CURVATURE_LIMIT) + 0.5
    return {"curvature": np.rint(np.nan_to_num(scaled, nan=0.5).clip(0, 1) * 255).astype(np.uint8)}


def kinds(subject: Path) -> set[str]:
    """Kinds of surface that both hemispheres of the subject have: flat, inflated, pia, wm and so on."""
    left, right = (
        {path.name.rsplit("_", 1)[0] for path in (subject / "surfaces").glob(f"*_{side}.*")} for side in SIDES
    )
    both = left & right
    return both | {"fiducial"} if {"pia", "wm"} <= both else both


def write_surfaces(subject: Path, meshes: Meshes, cache: Path) -> None:
    """Write a new subject without transforms, whole or not at all: kind → left and right (points, faces)."""
    cortex = pycortex(cache)
    with replacing(subject) as temporary:
        for part in ("surfaces", "transforms"):
            (temporary / part).mkdir(parents=True)
        for kind, pair in meshes.items():
            for side, (points, faces) in zip(SIDES, pair, strict=True):
                file = temporary / "surfaces" / f"{kind}_{side}.gii"
                cortex.formats.write_gii(str(file), points.astype(np.float32), faces.astype(np.int32))


def _plain(cache: Path) -> Path:
    """The cache folder, by a link where its path has braces: pycortex takes paths for patterns of str.format."""
    if not {"{", "}"} & set(str(cache.absolute())):
        return cache
    digest = hashlib.sha256(str(cache.absolute()).encode()).hexdigest()
    link = Path(tempfile.gettempdir()) / f"voxel-atlas-{digest[:16]}"
    with contextlib.suppress(FileExistsError):
        link.symlink_to(cache.absolute(), target_is_directory=True)
    if link.is_symlink() and link.lstat().st_uid == os.getuid() and link.readlink() == cache.absolute():
        return link
    raise BadInputError(f"{cache}: pycortex takes no path with braces, and {link} is taken; move the home folder.")


def _make_standard(name: str, cache: Path) -> None:
    """Write a standard cortex as a pycortex subject, once."""
    folder = cache / "subjects" / name
    with locked(folder):
        if not (folder / "surfaces").is_dir():
            write_surfaces(folder, STANDARD[name](), cache)


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
