"""An atlas and its models in a notebook: as `Atlas` and `Model`, with maps and voxels that show themselves."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ...atlas.backbones.interface import Image
from ...atlas.client import RemoteAtlas, RemoteModel
from ...atlas.search.atlas import Atlas
from ...atlas.search.model import Model
from ...atlas.search.tables.model_row import ModelRow
from ...schemas.config import Settings
from ...schemas.errors import BadInputError
from ...schemas.image_files import read_picture
from ..maps.group.group_maps import GroupRequest
from ..maps.value_maps import MapRequest
from .answer_pictures import DRAWN, FLAT_WIDTH, pictured
from .brain_group import BrainGroup
from .brain_map import BrainMap
from .desk import Desk, LocalDesk, ServedDesk
from .voxel_page import VoxelPage

if TYPE_CHECKING:
    from .explorer import CellExplorer


@dataclass(frozen=True, eq=False, kw_only=True)
class ShownModel(ModelRow):
    """What a notebook asks of a model further, wherever its atlas is."""

    desk: Desk = field(repr=False)

    def map(
        self,
        concept: str | None = None,
        *,
        metric: str | None = None,
        label: str | None = None,
        picture: Image | Path | str | None = None,
        by: str = "weights",
        readout: str | None = None,
        baseline: str = "vocabulary",
        method: str | None = None,
        significant: bool = False,
        semantic: bool = True,
        min_z: float | None = None,
        max_q: float | None = None,
        specific: bool = False,
        opacity: str | None = None,
        colormap: str | None = None,
        limits: tuple[float, float] | None = None,
        null_band: bool = False,
    ) -> BrainMap:
        """A value for every voxel, which a notebook shows on the flat cortex.

        >>> model.map("face").plot()
        >>> model.map("cake - kitchen", min_z=2)
        >>> model.map(metric="r2")

        Args:
            concept: words, which "+" and "-" between spaces add and take away.
            metric: instead, r2, r, q, noise_ceiling, r2_of_ceiling, food_t or food_q; with a concept, z.
            label: instead, the probability of this label.
            picture: instead, an image file or RGB, (height, width, 3): the response that is predicted to it.
            by: weights (cosine with the voxel's readout vector) or labels.
            readout: weights (the paper's), half or pattern; None for the backbone's own.
            baseline: vocabulary makes a concept a contrast to the mean of many nouns; none is the paper's way.
            method: whose labels are compared, by labels; None for the model's first.
            significant: show only voxels whose encoding model is significant.
            semantic: leave out voxels that contrast and edges may explain; False shows them on maps of concepts, too.
            min_z: show only voxels at least so many standard errors from no association.
            max_q: show only voxels with at most this false discovery rate of the association.
            specific: show only voxels to which the concept is specific.
            opacity: a metric by which voxels are opaque, r2 say.
            colormap: matplotlib's name; None for the one that suits the quantity.
            limits: values of the first and the last colour; None for those that suit the quantity: by weights, one
                scale for all concepts of the model.
            null_band: leave out voxels in which the concept is as similar as nine in ten of the vocabulary's nouns.

        Raises:
            BadInputError: not exactly one of concept, metric, label and picture, or what makes no sense for this model.
            NotFoundError: no such label or colormap.
        """
        lo, hi = limits or (None, None)
        request = MapRequest(
            concept=concept,
            metric=metric,
            label=label,
            picture=read_picture(Path(picture)) if isinstance(picture, Path | str) else picture,
            model=self.model_id,
            by=by,
            readout=readout,
            baseline=baseline,
            method=method,
            significant=significant,
            semantic=semantic,
            min_z=min_z,
            max_q=max_q,
            specific=specific,
            alpha=opacity,
            colormap=colormap,
            lo=lo,
            hi=hi,
            null_band=null_band,
        )
        return BrainMap.of(request, self.desk)

    def voxel(self, voxel: int) -> VoxelPage:
        """What is known of a voxel: quality, labels and how they hold, images that drive it. A notebook shows its card.

        Args:
            voxel: its number.

        Raises:
            NotFoundError: the model has not fitted that voxel.
        """
        return VoxelPage.of(self.desk, self.model_id, voxel)

    @cached_property
    def _picture(self) -> bytes:
        return self.map(metric="r2").picture(width=FLAT_WIDTH)

    def _repr_png_(self) -> bytes | None:
        return self._picture or None

    def explore(self, concept: str = "") -> "CellExplorer":
        """The explorer in this cell: hover, zoom, brush; what is brushed comes back as `selected` and `voxels`.

        >>> explorer = model.explore("face")
        >>> explorer
        >>> explorer.voxels

        Args:
            concept: what is shown first; "" for how well voxels are predicted. The cell has a field for others.

        Raises:
            BadInputError: anywidget is not installed.
        """
        try:
            from .explorer import CellExplorer
        except ImportError as error:
            raise BadInputError(
                f"The explorer in a cell needs {error.name}: pip install 'voxel-atlas[notebook]', and load the "
                "notebook again. Meanwhile map(…).plot() draws, and `voxel-atlas serve` shows the whole page."
            ) from None
        return CellExplorer(self.desk, self.model_id, self.subject_id, concept)


class ShownGroups:
    """What a notebook asks of several subjects together, wherever their atlas is."""

    desk: Desk

    def group(
        self,
        concept: str,
        *models: str,
        by: str = "weights",
        readout: str | None = None,
        baseline: str = "vocabulary",
        significant: bool = False,
        semantic: bool = True,
        smooth: float = 0.0,
        min_z: float | None = None,
        max_q: float | None = None,
        specific: bool = False,
        show: str = "mean",
        group_q: float | None = None,
        colormap: str | None = None,
        limits: tuple[float, float] | None = None,
    ) -> BrainGroup:
        """A concept over subjects on the surface that they share: mean, t and q, with subjects as the unit.

        >>> atlas.group("face", smooth=8).plot()

        Args:
            concept: words, as in `model.map`.
            *models: a model of each subject; none: its newest one of the newest model's network.
            by: as in `model.map`.
            readout: as there.
            baseline: as there.
            significant: take only voxels whose encoding model is significant.
            semantic: as there.
            smooth: smooth each subject's map along the cortex over so many mm (full width at half maximum), up to 30.
            min_z: who agrees at a vertex has at least this z there, and a similarity above 0.
            max_q: and at most this false discovery rate of the concept.
            specific: and the concept is specific there.
            show: mean, t, q or agree, in how many subjects it is so.
            group_q: show only vertices with at most this false discovery rate over subjects.
            colormap: matplotlib's name; None for the one that suits.
            limits: values of the first and the last colour; None for those that suit.

        Raises:
            BadInputError: one subject, two models of one, or models that are not comparable.
            SpaceMismatchError: a model that was named meets no other one; the message names the files that would help.
            NotFoundError: no such model or colormap.
        """
        lo, hi = limits or (None, None)
        request = GroupRequest(
            concept=concept,
            models=models,
            by=by,
            readout=readout,
            baseline=baseline,
            significant=significant,
            semantic=semantic,
            smooth=smooth,
            min_z=min_z,
            max_q=max_q,
            specific=specific,
            show=show,
            group_q=group_q,
            colormap=colormap,
            lo=lo,
            hi=hi,
        )
        return BrainGroup.of(request, self.desk)


@dataclass(frozen=True, eq=False, kw_only=True)
class NotebookModel(ShownModel, Model):
    """A model of an atlas that is open in this process."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ServedModel(ShownModel, RemoteModel):
    """A model of a server's atlas."""


for _of, _asked in ((NotebookModel, Model), (ServedModel, RemoteModel)):
    for _question in DRAWN:
        setattr(_of, _question, pictured(getattr(_asked, _question)))


class NotebookAtlas(ShownGroups, Atlas):
    """An atlas that is open in this process, as `voxel_atlas.open` gives it.

    >>> import voxel_atlas as va
    >>> atlas = va.open()
    >>> atlas.model().map("face").plot()
    """

    @classmethod
    def at(cls, address: str, settings: Settings, *, home: Path | None = None, token: str = "") -> Self:
        """Open one; see `voxel_atlas.open`.

        Args:
            address: as there.
            settings: where surfaces are kept, and how much memory DuckDB may use.
            home: folder of weights and indexes; None for that of `settings`.
            token: as there.
        """
        atlas = cls.open(address, home=home or settings.home, token=token, memory_limit=settings.memory_limit)
        atlas.desk = desk = LocalDesk(atlas, settings)
        atlas.located.told_by(desk.millimetres)
        return atlas

    def model(self, model_id: str | None = None) -> NotebookModel:
        """One encoding model, to be asked; it stays valid while the atlas grows.

        Args:
            model_id: its id, or a part of it that only one model has; None for the newest finished model.

        Raises:
            NotFoundError: no such model; the message lists those that there are.
        """
        return NotebookModel(**vars(super().model(model_id)), desk=self.desk)

    def _repr_png_(self) -> bytes | None:
        return self.model()._repr_png_() if len(self.models()) else None


class ServedAtlas(ShownGroups, RemoteAtlas):
    """An atlas that a server answers for over HTTP, as `voxel_atlas.open` gives it."""

    def __init__(self, url: str, settings: Settings, *, token: str = "") -> None:
        """Connect; see `RemoteAtlas`."""
        super().__init__(url, token=token)
        self.desk = ServedDesk(self, settings)

    def model(self, model_id: str | None = None) -> ServedModel:
        """One encoding model, to be asked; it stays valid while the atlas grows.

        Args:
            model_id: its id, or a part of it that only one model has; None for the newest finished model.

        Raises:
            NotFoundError: no such model; the message lists those that there are.
        """
        return ServedModel(**vars(super().model(model_id)), desk=self.desk)

    def _repr_png_(self) -> bytes | None:
        return self.model()._repr_png_() if len(self.models()) else None
