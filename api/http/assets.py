"""The files of the explorer and of GraphiQL, read once. Only names that were found at the start can be asked for."""

import mimetypes
from pathlib import Path
from types import MappingProxyType

from starlette.requests import Request

from ...schemas.errors import NotFoundError
from .responses import Content

WEB = Path(__file__).parents[1] / "web"
BUILD = "npm --prefix api/web ci && node api/web/build.mjs"
"""The command that makes web/vendor."""

_TYPES = {".js": "text/javascript; charset=utf-8", ".html": "text/html; charset=utf-8", ".svg": "image/svg+xml"}
_SERVED = (".js", ".css", ".html", ".svg")


class Assets:
    """Everything under web/ that a browser may load."""

    def __init__(self, folder: Path = WEB) -> None:
        found = [path for path in sorted(folder.glob("*")) + sorted(folder.glob("vendor/*")) if path.suffix in _SERVED]
        self._files = MappingProxyType({path.relative_to(folder).as_posix(): _content(path) for path in found})

    @property
    def has_vendor(self) -> bool:
        """Whether the bundled third-party code is there."""
        return "vendor/graphiql.js" in self._files

    def answer(self, request: Request) -> Content:
        """A file of the explorer, or the explorer itself where none is named."""
        return self.get(request.path_params.get("name", "index.html"))

    def get(self, name: str) -> Content:
        """A file by its path below web/.

        Raises:
            NotFoundError: there is none; for bundled code the message says how to make it.
        """
        if name not in self._files:
            hint = f": run `{BUILD}` to build it" if name.startswith("vendor/") else ""
            raise NotFoundError(f"This server has no file {name[:80]!r}{hint}.")
        return self._files[name]


def _content(path: Path) -> Content:
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Content(path.read_bytes(), media_type)
