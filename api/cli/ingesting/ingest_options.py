"""Options of commands that make models: the fields of IngestConfig, and what else they are asked to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from ....schemas.config import DataConfig, FitConfig, IngestConfig, LabelConfig
from ....schemas.errors import BadInputError
from ..console import FOR_PEOPLE, Output
from ..options import DATA, FIT, LABELS, AtlasOption, DownloadOption, OnErrorOption, WeightsOption, WorkersOption

_REPEATED = {"rois": "roi", "skip_sessions": "skip-session", "methods": "method", "tasks": "task"}
"""Fields that hold several values, and the option that gives one of them and can be given again."""


def option_of(field: str) -> str:
    """The option of a field."""
    return _REPEATED.get(field, field.replace("_", "-"))


def fields(group: Group, option: Callable[[str], str]) -> Parameter:
    """An option for each field of a model."""
    return Parameter(name="*", group=group, name_transform=option)


def models_of_study(
    shared: Mapping[str, object], study: Sequence[Mapping[str, object]], weights: Path | None
) -> list[IngestConfig]:
    """The settings of each model of a study, its own before those that all share.

    Raises:
        BadInputError: a file of weights is given for several networks.
    """
    models = [IngestConfig.model_validate({**shared, **own}) for own in study]
    if weights and len({model.backbone for model in models}) > 1:
        raise BadInputError(
            "--weights is the file of one network, and the study has several; leave it out, or ingest what is of that "
            "network by its --backbone: the models of the others stay."
        )
    return models


DataOptions = Annotated[DataConfig, fields(DATA, option_of)]
FitOptions = Annotated[FitConfig, fields(FIT, option_of)]
LabelOptions = Annotated[LabelConfig, fields(LABELS, option_of)]
DEFAULT_FIT, DEFAULT_LABELS = FitConfig(), LabelConfig()

Study = Annotated[tuple[Mapping[str, object], ...], Parameter(show=False)]
"""The settings of each model of a study, which only a file of settings can give: see settings_file.models_of."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class IngestOptions:
    """What `ingest` and `check` are asked to do with data, so that one command line serves both."""

    config: Annotated[
        Path | None,
        Parameter(
            help="YAML file with settings, before which options go; with lists of subjects and backbones it is a study "
            "of every subject by every network; none: options alone."
        ),
    ] = None
    study: Study = ()
    fit: FitOptions = DEFAULT_FIT
    labels: LabelOptions = DEFAULT_LABELS
    weights: WeightsOption = None
    download: DownloadOption = False
    learning_curve: bool = False
    """Also fit every voxel on 5, 10, … 34 of 40 blocks of the images; can be added later."""
    on_error: OnErrorOption = "stop"
    workers: WorkersOption = ""
    output: Output = FOR_PEOPLE
    atlas: AtlasOption = ""

    def settings(self, data: DataConfig) -> IngestConfig:
        """All that the results will depend on."""
        return IngestConfig(**dict(data), **dict(self.fit), **dict(self.labels))

    def models(self, data: DataConfig) -> list[IngestConfig]:
        """The same for each model of a study.

        Raises:
            BadInputError: a file of weights is given for several networks.
        """
        return models_of_study(self.settings(data).model_dump(), self.study, self.weights)


DEFAULT_INGEST = IngestOptions()
