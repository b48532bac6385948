"""Pictures of a label, made by a generator: Stable Diffusion, or collages where no diffusion model is at hand."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ...atlas.backbones.interface import Backbone, Image
from ...atlas.backbones.reloading import reloadable
from ...schemas.errors import BadInputError
from .captioners import settings_name

if TYPE_CHECKING:
    from ..simulated.scenes.scene_maker import SceneMaker


class Generator(Protocol):
    """Makes pictures for labels."""

    name: str
    """Kind and a hash of the settings, for example collage@77c0de: another name means other pictures."""

    def generate(self, label: str, seeds: Sequence[int]) -> list[Image] | None:
        """Make a picture of a label for each seed; None where the generator can make none of this label.

        Raises:
            BadInputError: The label is empty.
        """
        ...

    def generate_batch(self, requests: Sequence[tuple[str, Sequence[int]]]) -> list[list[Image] | None]:
        """The same for several labels with their seeds at once, which a GPU does faster; the pictures are equal."""
        ...


def seed_of(label: str, generator: str, ordinal: int) -> int:
    """Seed of a picture: it depends on the label, the generator's name and the picture's number, and on nothing else.

    In the released code the pictures of a label depend on the labels that came before it.

    Returns:
        63 bits, 0 to 2**63 - 1.
    """
    digest = hashlib.sha256(f"{label}\0{generator}\0{ordinal}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def drawable(label: str) -> str:
    """The label, when it is one that can be drawn at all.

    Raises:
        BadInputError: It is empty.
    """
    if not label.strip():
        raise BadInputError("A label to draw is empty; leave it out of the vocabulary.")
    return label


class CollageGenerator:
    """Scenes of the cut-outs whose descriptions are nearest to a label: no diffusion model, as its name says."""

    def __init__(self, maker: "SceneMaker") -> None:
        self.name = settings_name("collage", {"pictures": maker.fingerprint})
        self._maker = maker

    def generate(self, label: str, seeds: Sequence[int]) -> list[Image] | None:
        """See Generator; None where no cut-out is near the label."""
        return self.generate_batch([(label, seeds)])[0]

    def generate_batch(self, requests: Sequence[tuple[str, Sequence[int]]]) -> list[list[Image] | None]:
        """See Generator."""
        return self._maker.collages([(drawable(label), seeds) for label, seeds in requests])


@reloadable
def load_generator(name: str, home: Path, device: str = "auto", lite: Backbone | None = None) -> Generator:
    """Load the generator of a name.

    Args:
        name: collage; sd15; or a Hugging Face text-to-image model id or a folder that holds one.
        home: The atlas's home folder.
        device: auto, cpu, cuda, cuda:1 …
        lite: The network that collages are chosen by, where it is loaded already.

    Raises:
        MissingWeightsError: The weights are not on this machine.
    """
    # What one generator needs takes seconds to import, and the others do without it.
    if name == "collage":
        from ..simulated.scenes.scene_maker import SceneMaker

        return CollageGenerator(SceneMaker(home, lite))
    from .diffusion import DiffusionGenerator

    return DiffusionGenerator(name, device)
