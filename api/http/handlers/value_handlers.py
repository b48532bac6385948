"""What the page paints on a cortex: a number, a label or a colour for each voxel."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray  # noqa: TC002  used in an annotation that is read at run time
from starlette.requests import Request

from ....atlas.search.atlas import Atlas
from ....viz.render.colormaps import colours
from ...maps import packed_arrays
from ...maps.group.group_maps import group_map
from ...maps.packed_arrays import pack
from ...maps.slow_builds import SlowBuilds
from ...maps.subject_cortex import CortexCache
from ...maps.top_labels import colour_map, top_labels
from ...maps.value_maps import left_out, value_map
from ..responses import Content
from .query_strings import group_request, map_request, switch


class ValueHandlers:
    """Answers with packed arrays of the atlas's newest state."""

    def __init__(self, atlas: Atlas, cortices: CortexCache, builds: SlowBuilds) -> None:
        self._atlas, self._cortices, self._builds = atlas, cortices, builds

    def values(self, request: Request) -> Content:
        """One value per voxel and the colours for them; with `evidence=1` also z, q and specific of a concept.

        With `band=1` there is an array `inside` for a word by weights: 1 where it is as similar to the voxel as nine in
        ten nouns of the vocabulary are, else 0. The header has their number, or null where there is no band. A picture
        in the body is asked of the model in place of a concept; the header has the nouns that are nearest to it.
        """
        asked = map_request(request, "evidence", "band")
        mapped = value_map(self._atlas, asked)
        cortex, about = self._cortices.of(mapped.model.subject_id), mapped.about
        arrays: dict[str, NDArray[Any]] = {
            "value": cortex.by_number(mapped.voxels, mapped.values),
            "colour": colours(mapped.scale.colormap).ravel().astype(np.uint8),
        }
        if mapped.alpha is not None:
            arrays["alpha"] = cortex.by_number(mapped.voxels, mapped.alpha)
        if switch(request.query_params.get("evidence"), default=False):
            arrays |= {name: cortex.by_number(mapped.voxels, values) for name, values in mapped.evidence.items()}
        if switch(request.query_params.get("band"), default=False):
            about["n_words"] = None
            if mapped.request.has_band:
                band = mapped.model.null_band(readout=mapped.readout)
                inside = band.contains(mapped.voxels, mapped.frame["similarity"].to_numpy())
                arrays["inside"] = cortex.by_number(mapped.voxels, inside.astype(np.float32))
                about["n_words"] = band.n_words
        if asked.picture is not None:
            nearest = mapped.model.nearest_concepts(asked.picture) if mapped.model.has_text else None
            about["nearest"] = [] if nearest is None else nearest.to_dicts()
        # Floats hardly compress, and compressing them would cost more than sending them.
        return Content(pack(about, arrays), packed_arrays.MEDIA_TYPE, compressible=False)

    def group(self, request: Request) -> Content:
        """A concept over subjects at the vertices of a shared mesh, and the colours for what is shown."""
        found = group_map(self._atlas, group_request(request), self._cortices)
        scales = {"colour": found.scale, "colour_of_subjects": found.scale_of_subjects}
        tables = {name: colours(scale.colormap).ravel().astype(np.uint8) for name, scale in scales.items()}
        arrays: dict[str, NDArray[Any]] = {**found.arrays, **tables}
        return Content(pack(found.about, arrays), packed_arrays.MEDIA_TYPE, compressible=False)

    def top_labels(self, request: Request) -> Content:
        """The first label of every voxel, as a number in a list of labels; -1 for none."""
        model, method = (request.query_params.get(name) for name in ("model", "method"))
        top = top_labels(
            self._atlas, model, method, semantic=switch(request.query_params.get("semantic"), default=True)
        )
        label = np.full(self._cortices.of(top.model.subject_id).n_voxels, -1, np.int32)
        label[top.voxels] = top.label
        header = {
            "model": top.model.model_id,
            "method": top.method,
            "labels": top.labels,
            "counts": top.counts,
            "generation": top.generation,
        }
        return Content(pack(header, {"label": label}), packed_arrays.MEDIA_TYPE).prepare()

    def label_colours(self, request: Request) -> Content:
        """A colour for each label of `top_labels`, by meaning."""
        model, method = (request.query_params.get(name) for name in ("model", "method"))
        semantic = switch(request.query_params.get("semantic"), default=True)
        coloured = colour_map(self._atlas, model, self._atlas.home, method, semantic=semantic, run=self._builds.run)
        trust = coloured.colours.trustworthiness
        header = {
            "model": coloured.model.model_id,
            "simulated": coloured.model.simulated,
            "labels": coloured.top.labels,
            "legend": [text for text, _ in coloured.legend],
            "left_out": left_out(coloured.top.bare),
            "held_to": coloured.held_to,
            "trustworthiness": trust if math.isfinite(trust) else None,
        }
        rgb = np.rint(coloured.colours.of(coloured.top.labels) * 255).astype(np.uint8)
        return Content(pack(header, {"rgb": rgb.ravel()}), packed_arrays.MEDIA_TYPE).prepare()
