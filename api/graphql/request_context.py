"""What every resolver is given: the atlas, the pictures and the loaders of one request."""

from dataclasses import dataclass, field
from typing import Any

import strawberry
from starlette.requests import HTTPConnection

from ...atlas.search.atlas import Atlas
from ..maps.picture_cache import PictureCache
from ..maps.slow_builds import SlowBuilds
from ..maps.subject_cortex import CortexCache
from .loaders import Loaders
from .watch import Watch


@dataclass
class RequestContext:
    """Lives for one HTTP request or one socket. Resolvers run in a worker thread and may call the atlas directly."""

    atlas: Atlas
    cortices: CortexCache
    pictures: PictureCache
    request: HTTPConnection
    loaders: Loaders
    watch: Watch
    builds: SlowBuilds = field(default_factory=SlowBuilds)
    # strawberry puts the payload of a socket's connection_init here.
    connection_params: dict[str, Any] = field(default_factory=dict)

    def path(self, path: str) -> str:
        """A path on this server as whoever asks has to write it: a proxy may offer the server below a path."""
        return f"{self.request.scope.get('root_path', '')}{path}"

    @property
    def over_socket(self) -> bool:
        """Whether the operation came over a WebSocket."""
        return bool(self.request.scope["type"] == "websocket")


Info = strawberry.Info[RequestContext, None]
"""What strawberry hands to resolvers."""
