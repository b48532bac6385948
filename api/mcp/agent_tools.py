"""What an assistant may ask of an atlas: five tools, their arguments and limits. It knows nothing of the protocol."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, NamedTuple

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ...atlas.backbones.interface import Readout
from ...atlas.search.atlas import Atlas
from ...atlas.search.concepts import Baseline
from ...atlas.search.similarity import By
from ...atlas.store.statements import one_select, unique_names
from ...schemas.errors import BadInputError
from ...schemas.json_values import json_text
from ...schemas.limits import LIMITS
from ..maps.rendering import RenderOptions, render
from ..maps.subject_cortex import CortexCache
from ..maps.value_maps import MapRequest, value_map
from ..maps.voxel_card import card_row


class Asked(NamedTuple):
    """Of what a tool asks."""

    atlas: Atlas
    cortices: CortexCache
    is_gone: Callable[[], bool] = lambda: False
    """Whether who asked has gone."""


class ToolAnswer(NamedTuple):
    """What a tool says."""

    text: str
    """JSON, or a sentence about the picture."""
    png: bytes = b""


class AgentTool(BaseModel, ABC):
    """A tool: its fields are its arguments, and its docstring is what the assistant is told of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: ClassVar[str]

    @abstractmethod
    def answer(self, asked: Asked) -> ToolAnswer:
        """What the tool finds.

        Raises:
            AtlasError: what the assistant can do otherwise, in a sentence.
        """


class _OfModel(AgentTool):
    model: str | None = Field(
        None, description="Model id, or a part of it that only one has; none: the newest finished one.", max_length=300
    )


class _OfConcept(_OfModel):
    baseline: Baseline = Field(
        "vocabulary", description="What a concept is a contrast to: the mean of many nouns, or nothing (paper)."
    )
    by: By = Field("weights", description="Compare with the voxels' weights or their labels.")
    readout: Readout | None = Field(None, description="Which vector of a voxel; none: the network's own.")
    min_z: float | None = Field(None, description="Only voxels at least so many standard errors from no association.")
    max_q: float | None = Field(None, description="Only voxels with at most this false discovery rate, 0 to 1.")
    specific: bool = Field(False, description="Only voxels to which the concept is specific.")
    all_voxels: bool = Field(False, description="Also voxels that contrast and edges of the images may explain.")


class DescribeAtlas(AgentTool):
    """What the atlas holds: subjects, models, regions, and the tables that run_sql reads. Ask this first.

    With `table`, that table's columns with their types and meanings. Subjects marked simulated are not measured.
    """

    name: ClassVar[str] = "describe_atlas"
    table: str = Field("", description="A table or view, to be told its columns.", max_length=100)

    def answer(self, asked: Asked) -> ToolAnswer:
        """Subjects, models, regions and tables; or the columns of one."""
        if self.table:
            return ToolAnswer(json_text({self.table: self._columns(asked.atlas)}))
        atlas = asked.atlas
        models = atlas.models().select(
            "model_id", "subject_id", "simulated", "backbone", "has_text", "n_voxels", "n_significant", "state"
        )
        tables = atlas.store.frame(_TABLES)
        found = {
            "subjects": atlas.subjects()
            .select("subject_id", "dataset", "simulated", "space", "n_voxels", "description")
            .to_dicts(),
            "models": models.to_dicts(),
            "regions": {
                str(subject): dict(rois.select("roi", "n_voxels").iter_rows())
                for (subject,), rois in atlas.rois().group_by("subject_id", maintain_order=True)
            },
            "tables": dict(tables.iter_rows()),
            "macros": "voxels_like('cake'), concept_map('cake'), roi_labels('FFA'); concept('any text') for 'cake'",
        }
        return ToolAnswer(json_text(found))

    def _columns(self, atlas: Atlas) -> list[dict[str, object]]:
        columns = atlas.store.frame(_COLUMNS, [self.table])
        if columns.is_empty():
            raise BadInputError(f"There is no table {self.table!r}; describe_atlas without a table lists them.")
        return columns.to_dicts()


_TABLES = (
    "SELECT table_name AS name, comment FROM duckdb_tables() WHERE NOT internal "
    "UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY ALL"
)
_COLUMNS = (
    "SELECT column_name AS name, data_type AS type, comment AS meaning FROM duckdb_columns() "
    "WHERE NOT internal AND table_name = ? ORDER BY column_index"
)


class SearchVoxels(_OfConcept):
    """The voxels most similar to a concept, best first, with their regions, evidence and first labels.

    `z` and `concept_q` tell whether there is an association, `specific` whether the concept is among the twentieth of
    many nouns that fit the voxel best, `r2` how well its responses are predicted.
    """

    name: ClassVar[str] = "search_voxels"
    concept: str = Field(description='Words, with + and - between spaces: "cake", "cake - kitchen".', max_length=300)
    rois: list[str] = Field([], description="Only voxels in one of these regions.", max_length=100)
    first: int = Field(20, ge=1, le=LIMITS.first, description="How many voxels.")
    significant: bool = Field(True, description="Only voxels whose encoding model is significant.")
    min_r2: float | None = Field(None, description="Only voxels that are predicted at least so well.")

    def answer(self, asked: Asked) -> ToolAnswer:
        """Rows of voxels, and what was compared."""
        owner = asked.atlas.model(self.model)
        hits = owner.similar(
            self.concept,
            semantic=not self.all_voxels,
            **self.model_dump(exclude={"concept", "model", "all_voxels"}),
        )
        labels = owner.voxel_labels(hits.frame["voxel"].to_list(), first=5)
        named = labels.group_by("voxel", maintain_order=True).agg(pl.col("label").alias("labels"))
        rows = hits.frame.join(named, on="voxel", how="left", maintain_order="left")
        placed = asked.cortices.placed(rows, owner.subject_id)
        found = {
            "model_id": hits.model_id,
            "simulated": owner.simulated,
            "compared": hits.how,
            "left_out_as_contrast_may_explain_them": hits.hidden,
            "warnings": hits.warnings,
            "voxels": placed.drop("subject_id").to_dicts(),
        }
        return ToolAnswer(json_text(found))


class ReadVoxel(_OfModel):
    """All that is known of one voxel: regions, place, quality, labels with probabilities, and what drives it most."""

    name: ClassVar[str] = "read_voxel"
    voxel: int = Field(ge=0, le=2**31 - 1, description="Number of the voxel.")

    def answer(self, asked: Asked) -> ToolAnswer:
        """The voxel's card."""
        owner = asked.atlas.model(self.model)
        card = card_row(asked.atlas, owner.model_id, self.voxel)
        known = asked.cortices.placed(card, owner.subject_id).row(0, named=True)
        return ToolAnswer(json_text({"model_id": owner.model_id, "simulated": owner.simulated, **known}))


class RunSql(AgentTool):
    """Rows of one SELECT in DuckDB's SQL on the atlas's tables, views and macros, which it cannot change.

    Aggregate, or use LIMIT. Join on model_id or subject_id beside voxel: every subject has a voxel 7.
    """

    name: ClassVar[str] = "run_sql"
    statement: str = Field(
        description="For example: SELECT roi, count(*) AS n FROM voxel_roi GROUP BY roi ORDER BY n DESC",
        max_length=20_000,
    )

    def answer(self, asked: Asked) -> ToolAnswer:
        """Column names, and rows as lists."""
        bounded = f"SELECT * FROM (\n{one_select(self.statement)}\n) LIMIT {LIMITS.tool_rows + 1}"  # noqa: S608 - one statement
        rows = asked.atlas.store.answer(bounded, None, asked.is_gone, LIMITS.tool_s)
        if rows.num_rows > LIMITS.tool_rows:
            raise BadInputError(
                f"The statement has more than {LIMITS.tool_rows:,} rows, the most that are given; add LIMIT, or count "
                "and average in SQL."
            )
        try:
            values = [list(row.values()) for row in rows.rename_columns(unique_names(rows.column_names)).to_pylist()]
        except (OverflowError, ValueError):
            raise BadInputError("A date or duration of the rows is beyond the calendar; cast it to VARCHAR.") from None
        return ToolAnswer(json_text({"columns": rows.column_names, "rows": values}))


class DrawFlatmap(_OfConcept):
    """A picture of the flattened cortex (PNG): similarity to a concept, its z, a metric, or a label's probability.

    Give one of concept, label and metric; concept with metric z draws the concept's z.
    """

    name: ClassVar[str] = "flatmap"
    concept: str | None = Field(None, description='Words: "cake", "cake - kitchen".', max_length=300)
    label: str | None = Field(None, description="Draw the probability of this label.", max_length=300)
    metric: str | None = Field(
        None, description="r2, r, q, noise_ceiling or r2_of_ceiling; with a concept: z.", max_length=50
    )
    view: Literal["flat", "lateral", "medial", "ventral", "posterior", "dorsal", "anterior"] = Field(
        "flat", description="The flat map, or the inflated cortex from a side."
    )
    width: int = Field(1024, ge=64, le=LIMITS.tool_pixels, description="Width in pixels.")

    def answer(self, asked: Asked) -> ToolAnswer:
        """The picture, and a line about it."""
        fields = self.model_dump(exclude={"all_voxels", "view", "width"})
        mapped = value_map(asked.atlas, MapRequest(**fields, semantic=not self.all_voxels))
        cortex = asked.cortices.of(mapped.model.subject_id)
        views = None if self.view == "flat" else (self.view,)
        file = render(mapped.picture(cortex), cortex.surface, RenderOptions(self.width, views=views), cortex)
        shown = {
            "model_id": mapped.model.model_id,
            "simulated": mapped.model.simulated,
            "shows": f"{mapped.title}: {mapped.unit}",
            "compared": mapped.how,
            "colours_from": mapped.scale.vmin,
            "to": mapped.scale.vmax,
            "left_out_as_contrast_may_explain_them": mapped.bare,
            "warnings": mapped.warnings,
        }
        return ToolAnswer(json_text(shown), file)


TOOLS: Mapping[str, type[AgentTool]] = {
    tool.name: tool for tool in (DescribeAtlas, SearchVoxels, ReadVoxel, RunSql, DrawFlatmap)
}
"""Those that there are, by name."""


def called(name: str, arguments: Mapping[str, object], asked: Asked) -> ToolAnswer:
    """What a tool answers.

    Raises:
        BadInputError: there is no such tool, an argument is wrong, or the answer would be too long.
        AtlasError: as the tool raises it.
    """
    if name not in TOOLS:
        raise BadInputError(f"There is no tool {name[:40]!r}; there are {', '.join(TOOLS)}.")
    try:
        tool = TOOLS[name].model_validate(dict(arguments))
    except ValidationError as error:
        raise BadInputError(_sentence(name, error)) from None
    answer = tool.answer(asked)
    if len(answer.text) > LIMITS.tool_letters:
        raise BadInputError(
            f"{name}: the answer has {len(answer.text):,} letters, {LIMITS.tool_letters:,} are given at most; ask for "
            "fewer rows or columns."
        )
    return answer


def _sentence(name: str, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"])) or "the arguments"
    if first["type"] == "less_than_equal":
        wanted = TypeAdapter(int).validate_python(first["input"])  # of text, too, as the field read it
        return f"{name}: {field} is {first['ctx']['le']:,} at most, and {wanted:,} was asked; ask for less."
    if first["type"] == "extra_forbidden":
        return f"{name}: there is no argument {field[:40]!r}; there are {', '.join(TOOLS[name].model_fields)}."
    return f"{name}: {field[:60]}: {first['msg']}."
