"""The short way of executing fields gives what the long way gives, errors included."""

import enum
from typing import Any

import pytest
import strawberry
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from voxel_atlas.api.graphql.execution import Execution, attributes, methods
from voxel_atlas.api.graphql.schema import schema as published


@strawberry.enum
class Colour(enum.Enum):
    RED = "red"


@strawberry.type
class Part:
    size: int
    colour: Colour | None


@strawberry.type
class Thing:
    whole: int
    part: float
    perhaps: str | None
    colour: Colour
    words: list[str]
    holes: list[int | None] | None
    id: strawberry.ID

    @strawberry.field
    def computed(self, times: int = 2) -> int:
        return self.whole * times

    @strawberry.field
    def parts(self, info: strawberry.Info, last_size: int = 2, colour: Colour | None = None) -> list[Part | None]:
        """As many parts as its last one is large; some sizes are mistakes."""
        if last_size == 13:
            raise ValueError(f"no {info.field_name} today")
        if last_size == 14:
            return [Part(size=1, colour=None), None]
        return [Part(size=None if size == 15 else size, colour=colour) for size in range(last_size)]  # type: ignore[arg-type]


def thing(kind: str) -> Thing:
    """A thing, one of whose attributes is not what its type says."""
    good = {"whole": 3, "part": 0.5, "perhaps": None, "colour": Colour.RED, "words": ["a"], "holes": None, "id": "x"}
    return Thing(**{**good, **ODD.get(kind, {})})  # type: ignore[arg-type]


ODD: dict[str, dict[str, Any]] = {
    "nan": {"part": float("nan")},
    "null": {"whole": None},
    "text": {"whole": "three"},
    "large": {"whole": 2**40},
    "error": {"perhaps": ValueError("spoilt")},
    "colour": {"colour": "blue"},
    "no list": {"words": "abc"},
    "a null in a list": {"words": ["a", None, "b"]},
    "an error in a list": {"words": ["a", ValueError("spoilt")]},
    "text in a list": {"holes": [1, "x"]},
}


@strawberry.type
class Query:
    @strawberry.field
    def thing(self, kind: str) -> Thing:
        return thing(kind)

    @strawberry.field
    def things(self, kind: str) -> list[Thing]:
        return [thing("good"), thing(kind), thing("good")]

    @strawberry.field
    def holes(self, kind: str) -> list[Thing | None]:
        return [thing(kind), None]


FIELDS = (
    "whole part again: part perhaps colour words holes id computed(times: 3) __typename",
    "whole part again: part perhaps colour words id holes",
    "whole words holes ...F perhaps @include(if: false)",
)


@pytest.mark.parametrize("kind", ["good", *ODD])
@pytest.mark.parametrize("root", ["thing", "things", "holes"])
@pytest.mark.parametrize("fields", FIELDS)
def test_both_ways_agree(kind: str, root: str, fields: str) -> None:
    query = f'{{ a: {root}(kind: "{kind}") {{ {fields} }} }} fragment F on Thing {{ part colour whole perhaps }}'
    if "...F" not in fields:
        query = query.partition("fragment")[0]
    answers = []
    for executor in (Execution, StrawberryGraphQLCoreExecutionContext):
        schema = strawberry.Schema(query=Query, execution_context_class=executor)
        result = schema.execute_sync(query)
        errors = [(error.message, error.path, error.locations) for error in result.errors or ()]
        answers.append((result.data, errors))
    assert answers[0] == answers[1]
    assert bool(answers[0][1]) == (kind != "good")


@pytest.mark.parametrize("size", [0, 3, 13, 14, 16])
def test_both_ways_agree_on_what_methods_list(size: int) -> None:
    query = """query ($size: Int!, $colour: Colour) { things(kind: "good") {
      parts(lastSize: $size, colour: $colour) { size ...F } two: parts { size } none: parts(lastSize: 0) { size }
      red: parts(lastSize: 1, colour: RED) { __typename colour } } } fragment F on Part { colour again: size }"""
    answers = []
    for executor in (Execution, StrawberryGraphQLCoreExecutionContext):
        schema = strawberry.Schema(query=Query, execution_context_class=executor)
        for colour in ("RED", None):
            result = schema.execute_sync(query, {"size": size, "colour": colour})
            errors = [(error.message, error.path, error.locations) for error in result.errors or ()]
            answers.append((result.data, errors))
    assert answers[:2] == answers[2:]
    assert bool(answers[0][1]) == (size in (13, 16))


@pytest.mark.parametrize("holes", [[], [1, None, 2], (1, 2), {1}])
def test_both_ways_agree_on_what_is_no_mistake(holes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ODD, "holes", {"holes": holes})
    answers = [
        strawberry.Schema(query=Query, execution_context_class=executor).execute_sync(
            '{ things(kind: "holes") { words holes } }'
        )
        for executor in (Execution, StrawberryGraphQLCoreExecutionContext)
    ]
    assert answers[0].data == answers[1].data
    assert answers[0].errors is answers[1].errors is None


def test_only_lists_that_need_no_waiting_go_the_short_way() -> None:
    kinds = published._schema.type_map
    assert "labels" in methods(kinds["Voxel"])  # type: ignore[arg-type]
    assert not {"neighbours", "topImages", "generation"} & methods(kinds["Voxel"]).keys()  # type: ignore[arg-type]


def test_only_attributes_without_arguments_go_the_short_way() -> None:
    kinds = published._schema.type_map
    voxel = attributes(kinds["Voxel"])  # type: ignore[arg-type]
    assert {"voxel", "r2", "similarity", "modelId"} <= voxel.keys()
    assert not {"labels", "neighbours", "id"} & voxel.keys()
    assert voxel["rois"].listed
    assert voxel["noiseCeiling"].name == "noise_ceiling"
