"""Section on the cortex (Fig. 4): labels as colours, on the flat map and inflated, and maps of concepts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from ...atlas.search.model import Model
from ...schemas.config import FDR
from ...viz.render import png
from ...viz.render.colormaps import Scale, fit_scale
from ...viz.surfaces.pixel_map import Outlines
from ..maps.subject_cortex import SubjectCortex
from ..maps.top_labels import colour_map
from ..maps.value_maps import MapRequest, ValueMap, left_out, value_map
from . import figures, multiples
from .section import Section
from .study import Study

WIDTH = 1024


NULL_WORD = "zzqqx"
"""A word that means nothing: its map is what any word's would be like."""


def figure_4(study: Study) -> Section:
    """Colours of labels and maps of concepts, for each model."""
    section = Section("fig4", "Labels and concepts on the cortex (Fig. 4)")
    section.paragraphs += [
        study.about_shown(),
        f"{study.about_similarity()} All maps of concepts of a model have one scale. {NULL_WORD!r} is no word: what "
        "its map shows is what any text would.",
    ]
    tables: list[pl.DataFrame] = []
    maps: dict[str, dict[str, ValueMap]] = {}
    flat: dict[str, bytes] = {}
    for number, model in enumerate(study.each_model(), 1):
        with section.may_lack():
            cortex = study.cortices.of(model.subject_id)
            with section.may_lack():
                flat[model.model_id] = _colours(section, study, model, cortex, number)
            maps[model.model_id] = _concept_maps(section, study, model)
            tables += [
                pl.DataFrame({"voxel": drawn.voxels, "similarity": drawn.values}).select(
                    pl.lit(model.model_id).alias("model_id"), pl.lit(concept).alias("concept"), "voxel", "similarity"
                )
                for concept, drawn in maps[model.model_id].items()
            ]
            if not study.options.every_model:
                _concepts(section, study, model, cortex, number, maps[model.model_id])
    if study.options.every_model:
        about = "Fig. 4: first labels as colours (UMAP of each model by itself, so that colours are not comparable)."
        multiples.maps(section, study, "fig4_colours", flat, about)
        for number, concept in enumerate([*study.options.concepts, NULL_WORD] if maps else [], 1):
            own = {model_id: of[concept] for model_id, of in maps.items()}
            scale = _one_scale([drawn for of in maps.values() for drawn in of.values()])
            drawn = {
                model.model_id: bare_map(
                    replace(own[model.model_id], scale=scale),
                    study.cortices.of(model.subject_id),
                    names=False,
                    width=multiples.WIDTH,
                )
                for model in study.models
                if model.model_id in own
            }
            said = f"{concept} (no word)" if concept == NULL_WORD else concept
            about = f"Similarity of voxels to {said}, on one scale with the other concepts. Lines: regions."
            shared = scale, _quantity(list(own.values()), concept)
            multiples.maps(section, study, f"fig4_concept_{number}", drawn, about, shared)
    if tables:
        section.tables["fig4_concept_maps"] = pl.concat(tables)
    return section


def _colours(section: Section, study: Study, model: Model, cortex: SubjectCortex, number: int) -> bytes:
    """Draws first labels as colours, and gives the flat map."""
    method = study.methods(model)[0]
    coloured = colour_map(
        study.atlas, model.model_id, study.settings.home, method, semantic=not study.options.all_voxels
    )
    picture = replace(coloured.picture(cortex), title="", note="")
    rgb = coloured.colours.of(coloured.top.labels)
    section.tables[f"fig4_colours_{number}"] = pl.DataFrame(
        {
            "model_id": [model.model_id] * len(rgb),
            "label": coloured.top.labels,
            "n_voxels": coloured.top.counts,
            **{name: rgb[:, part] for part, name in enumerate(("red", "green", "blue"))},
        }
    )
    if study.options.every_model:
        bare = replace(picture, legend=(), outlines=_lines(cortex), names=False)
        return png.render(bare, cortex.pixels(multiples.WIDTH))
    flat = png.render(replace(picture, outlines=_lines(cortex)), cortex.pixels(WIDTH))
    solid = png.render(replace(picture, legend=()), cortex.surface.view(WIDTH))
    section.draw(
        f"fig4_colours_{number}",
        figures.pictures({f"{model.model_id}, {method}": flat, "inflated": solid}),
        f"Fig. 4: each voxel in the colour of its first label by {method}; labels near in meaning have near colours "
        f"(UMAP of {model.label_backbone}'s space in three dimensions, trustworthiness "
        f"{coloured.colours.trustworthiness:.2f}). Named: the {len(coloured.legend)} commonest labels. "
        f"n = {len(coloured.top.voxels):,} labelled voxels.",
    )
    return flat


def _concept_maps(section: Section, study: Study, model: Model) -> dict[str, ValueMap]:
    """The maps of the concepts and of a word that means nothing, on one scale."""
    by = "weights" if model.has_text else "labels"
    maps = {}
    for concept in (*study.options.concepts, NULL_WORD):
        request = MapRequest(concept=concept, model=model.model_id, by=by, semantic=not study.options.all_voxels)
        maps[concept] = value_map(study.atlas, request)
        if concept != NULL_WORD:
            section.paragraphs += maps[concept].warnings
    scale = _one_scale(list(maps.values()))
    return {concept: replace(drawn, scale=scale) for concept, drawn in maps.items()}


def _one_scale(maps: Sequence[ValueMap]) -> Scale:
    """The first one's colours over the range of all."""
    values = np.concatenate([drawn.values for drawn in maps])
    return fit_scale(values, maps[0].scale.colormap)


def _concepts(
    section: Section, study: Study, model: Model, cortex: SubjectCortex, number: int, maps: Mapping[str, ValueMap]
) -> None:
    panels = {
        f"{concept} (no word)" if concept == NULL_WORD else concept: bare_map(drawn, cortex, names=False)
        for concept, drawn in maps.items()
    }
    one = maps[NULL_WORD]
    there = np.isfinite(one.values)
    sql = "SELECT voxel FROM voxel_quality WHERE model_id = ? AND significant"
    significant = study.atlas.store.frame(sql, [model.model_id])["voxel"].to_numpy()
    section.draw(
        f"fig4_concepts_{number}",
        figures.pictures(panels, shared=(one.scale, _quantity([one], "the concept")), columns=2),
        f"Similarity of voxels to concepts, {model.model_id}: {one.how}; n = {there.sum():,} fitted voxels, "
        f"{np.isin(one.voxels[there], significant).sum():,} of them significant (q at most {FDR:g}). One scale for "
        "all. Lines: regions.",
    )


def _quantity(maps: Sequence[ValueMap], concept: str) -> str:
    """What a colour bar says: the quantity, how voxels were compared, and below it what the maps leave out."""
    bare = left_out(sum(one.bare for one in maps))
    said = f"similarity to {concept} (cosine; {'; '.join(dict.fromkeys(one.how for one in maps))})"
    return f"{said}\n{bare}" if bare else said


def bare_map(values: ValueMap, cortex: SubjectCortex, *, names: bool = True, width: int = WIDTH) -> bytes:
    """A flat map with the regions that the subject has in the atlas, and without title and colour bar, as PNG."""
    picture = replace(values.picture(cortex), title="", unit="", outlines=_lines(cortex), names=names)
    return png.render(picture, cortex.pixels(width))


def _lines(cortex: SubjectCortex) -> Outlines:
    return {name: paths for name, paths in cortex.outlines.items() if name in cortex.rois}
