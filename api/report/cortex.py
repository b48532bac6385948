"""Section on the cortex (Fig. 4): labels as colours, on the flat map and inflated, and maps of concepts."""

from dataclasses import replace

import polars as pl

from ...atlas.search.model import Model
from ...viz.render import png
from ...viz.surfaces.pixel_map import Outlines
from ..maps.subject_cortex import SubjectCortex
from ..maps.top_labels import colour_map
from ..maps.value_maps import MapRequest, ValueMap, value_map
from . import figures
from .section import Section, about_simulated
from .study import Study

WIDTH = 1024


def figure_4(study: Study) -> Section:
    """Colours of labels and maps of concepts, for each model."""
    section = Section("fig4", "Labels and concepts on the cortex (Fig. 4)")
    section.paragraphs.append(study.about_shown())
    tables: list[pl.DataFrame] = []
    for number, model in enumerate(study.models, 1):
        with section.may_lack():
            cortex = study.cortices.of(model.subject_id)
            with section.may_lack():
                _colours(section, study, model, cortex, number)
            tables.append(_concepts(section, study, model, cortex, number))
    if tables:
        section.tables["fig4_concept_maps"] = pl.concat(tables)
    return section


def _colours(section: Section, study: Study, model: Model, cortex: SubjectCortex, number: int) -> None:
    method = study.methods(model)[0]
    coloured = colour_map(
        study.atlas, model.model_id, study.settings.home, method, semantic=not study.options.all_voxels
    )
    picture = replace(coloured.picture(cortex), title="", note="")
    flat = png.render(replace(picture, outlines=_lines(cortex)), cortex.pixels(WIDTH))
    solid = png.render(replace(picture, legend=()), cortex.surface.view(WIDTH))
    section.draw(
        f"fig4_colours_{number}",
        figures.pictures({f"{model.model_id}, {method}": flat, "inflated": solid}, scales={}),
        f"Fig. 4: each voxel in the colour of its first label by {method}; labels near in meaning have near colours "
        f"(UMAP of {model.label_backbone}'s space in three dimensions, trustworthiness "
        f"{coloured.colours.trustworthiness:.2f}). Named: the {len(coloured.legend)} commonest labels. "
        f"n = {len(coloured.top.voxels):,} voxels.{about_simulated(model)}",
    )
    rgb = coloured.colours.of(coloured.top.labels)
    section.tables[f"fig4_colours_{number}"] = pl.DataFrame(
        {
            "model_id": [model.model_id] * len(rgb),
            "label": coloured.top.labels,
            "n_voxels": coloured.top.counts,
            **{name: rgb[:, part] for part, name in enumerate(("red", "green", "blue"))},
        }
    )


def _concepts(section: Section, study: Study, model: Model, cortex: SubjectCortex, number: int) -> pl.DataFrame:
    by = "weights" if model.has_text else "labels"
    frames, flat, scales = [], dict[str, bytes](), {}
    for concept in study.options.concepts:
        request = MapRequest(concept=concept, model=model.model_id, by=by, semantic=not study.options.all_voxels)
        similarity = value_map(study.atlas, request)
        frames.append(
            pl.DataFrame({"voxel": similarity.voxels, "similarity": similarity.values}).select(
                pl.lit(model.model_id).alias("model_id"), pl.lit(concept).alias("concept"), "voxel", "similarity"
            )
        )
        scales[concept] = similarity.scale, f"similarity to {concept} (cosine)"
        flat[concept] = bare_map(similarity, cortex, names=False)
        section.paragraphs += similarity.warnings
    section.draw(
        f"fig4_concepts_{number}",
        figures.pictures(flat, scales=scales, columns=2),
        f"Similarity of voxels to concepts, {model.model_id}, by {by}; n = {frames[0].height:,} voxels. Each map "
        f"has a range of its own, centred on 0. Lines: regions.{about_simulated(model)}",
    )
    return pl.concat(frames)


def bare_map(values: ValueMap, cortex: SubjectCortex, *, names: bool = True) -> bytes:
    """A flat map with the regions that the subject has in the atlas, and without title and colour bar, as PNG."""
    picture = replace(values.picture(cortex), title="", unit="", outlines=_lines(cortex), names=names)
    return png.render(picture, cortex.pixels(WIDTH))


def _lines(cortex: SubjectCortex) -> Outlines:
    return {name: paths for name, paths in cortex.outlines.items() if name in cortex.rois}
