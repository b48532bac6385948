"""The short way of executing fields gives what the long way gives, errors included."""

import enum
from typing import Any

import pytest
import strawberry
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from api.graphql.execution import Execution, attributes
from api.graphql.schema import schema as published


@strawberry.enum
class Colour(enum.Enum):
    RED = "red"


@strawberry.type
class Thing:
    whole: int
    part: float
    perhaps: str | None
    colour: Colour
    words: list[str]
    id: strawberry.ID

    @strawberry.field
    def computed(self, times: int = 2) -> int:
        return self.whole * times


@strawberry.type
class Query:
    @strawberry.field
    def thing(self, kind: str) -> Thing:
        odd: dict[str, Any] = {
            "nan": {"part": float("nan")},
            "null": {"whole": None},
            "text": {"whole": "three"},
            "large": {"whole": 2**40},
            "error": {"perhaps": ValueError("spoilt")},
            "colour": {"colour": "blue"},
        }.get(kind, {})
        good = {"whole": 3, "part": 0.5, "perhaps": None, "colour": Colour.RED, "words": ["a"], "id": "x"}
        return Thing(**{**good, **odd})


@pytest.mark.parametrize("kind", ["good", "nan", "null", "text", "large", "error", "colour"])
def test_both_ways_agree(kind: str) -> None:
    fields = "whole part again: part perhaps colour words id computed(times: 3) __typename"
    query = f'{{ a: thing(kind: "{kind}") {{ {fields} }} }}'
    answers = []
    for executor in (Execution, StrawberryGraphQLCoreExecutionContext):
        schema = strawberry.Schema(query=Query, execution_context_class=executor)
        result = schema.execute_sync(query)
        errors = [(error.message, error.path, error.locations) for error in result.errors or ()]
        answers.append((result.data, errors))
    assert answers[0] == answers[1]
    assert bool(answers[0][1]) == (kind != "good")


def test_only_attributes_without_arguments_go_the_short_way() -> None:
    kinds = published._schema.type_map
    voxel = attributes(kinds["Voxel"])  # type: ignore[arg-type]
    assert {"voxel", "r2", "similarity", "modelId"} <= voxel.keys()
    assert not {"labels", "neighbours", "id", "rois"} & voxel.keys()
    assert voxel["noiseCeiling"].name == "noise_ceiling"
