"""A whole report: all sections in their order, written as one folder."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from . import cortex, encoding, labels, models, page, truth
from .section import Section
from .study import Study


def sections(study: Study, command: list[str]) -> Iterator[Section]:
    """All sections of a report, or those of small multiples, each made when it is asked for.

    Args:
        study: what it is about.
        command: the command line that makes the report again.
    """
    parts = {
        "data and models": models.data_and_models,
        "encoding": encoding.encoding,
        "Fig. 2": labels.figure_2,
        "Fig. 3": labels.figure_3,
        "Fig. 4": cortex.figure_4,
        "Fig. 5": truth.figure_5,
        "verified labels": labels.verified,
        "spread of labels": labels.spread_of_labels,
        "declared categories": truth.declared_categories,
        "recovery": truth.recovery,
        "controls": encoding.controls,
    }
    if study.options.every_model:
        parts = {name: part for name, part in parts.items() if name == "data and models" or name.startswith("Fig.")}
    for name, part in parts.items():
        with study.progress.stage(name, len(study.models)) as study.advance:
            section = part(study)
        section.page_figures = [
            replace(figure, caption=f"{figure.caption}{study.about_simulated()}") for figure in section.page_figures
        ]
        yield section
    yield models.provenance(study, command)


def report(study: Study, out: Path, command: list[str]) -> None:
    """Write a report on a study into the folder `out`; see `page.write`."""
    names = ", ".join(dict.fromkeys(model.model_id for model in study.models))
    simulated = " (simulated)" if any(model.simulated for model in study.models) else ""
    page.write(out, f"Voxel Atlas report: {names}{simulated}", sections(study, command))
