"""What does every voxel care about? Encoding models, label-free concepts and flatmaps in one queryable atlas.

>>> import voxel_atlas as va
>>> atlas = va.open()  # the home folder's; or a file, or http://HOST:PORT of a server
>>> atlas.model().map("face").plot()

The five packages are the folders beside this one, which are linked here, so that only this name is imported.
"""

from pathlib import Path

__version__ = "0.2.0"

for _part in ("schemas", "atlas", "ingest", "viz", "api"):
    if not (Path(__file__).parent / _part).is_dir():
        raise ImportError(
            f"{Path(__file__).parent / _part} should be a symbolic link and is a text file: this checkout was made "
            "without links. Run `git config core.symlinks true && git checkout -- voxel_atlas`, or install the wheel."
        )

from .api.notebook.opening import compare, demo, open  # noqa: A004, E402 - va.open(…) reads well; its parts are checked above

__all__ = ["__version__", "compare", "demo", "open"]
