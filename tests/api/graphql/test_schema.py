"""The schema is published, described from end to end, and never breaks its clients by accident."""

from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_schema,
    find_breaking_changes,
)
from strawberry.printer import print_schema

from voxel_atlas.api.graphql.schema import schema

PUBLISHED = Path(__file__).parents[3] / "schemas" / "schema.graphql"
RELEASED = Path(__file__).with_name("released.graphql")


@pytest.fixture(scope="module")
def sdl() -> str:
    return print_schema(schema) + "\n"


def breaking_changes(before: str, after: str) -> list[str]:
    return [change.description for change in find_breaking_changes(build_schema(before), build_schema(after))]


def test_the_published_schema_is_that_of_the_code(sdl: str) -> None:
    command = "python -m voxel_atlas.api.graphql.schema > schemas/schema.graphql"
    assert PUBLISHED.read_text(encoding="utf-8") == sdl, command


def test_clients_of_the_last_release_are_not_broken(sdl: str) -> None:
    assert breaking_changes(RELEASED.read_text(encoding="utf-8"), sdl) == []


@pytest.mark.parametrize(
    "kind",
    [
        "Voxel",
        "VoxelConnection",
        "Label",
        "LabelConnection",
        "Flatmap",
        "LabelColours",
        "Comparison",
        "Prediction",
        "Roi",
    ],
)
def test_results_say_where_they_come_from(sdl: str, kind: str) -> None:
    fields = build_schema(sdl).type_map[kind].fields  # type: ignore[attr-defined]
    assert {"simulated", "generation", "subjectId"} <= fields.keys()
    assert kind == "Roi" or "modelId" in fields
    if kind in {"VoxelConnection", "Label", "LabelConnection", "Flatmap", "LabelColours"}:
        assert "method" in fields
    if kind == "Comparison":
        assert {"methodA", "methodB"} <= fields.keys()


def test_everything_has_a_description(sdl: str) -> None:
    bare: list[str] = []
    for name, kind in build_schema(sdl).type_map.items():
        if name.startswith("__") or name in {"String", "Int", "Float", "Boolean", "ID"}:
            continue
        bare += [name] if not kind.description else []
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in kind.fields.items():
                bare += [f"{name}.{field_name}"] if not field.description else []
                bare += [f"{name}.{field_name}({arg})" for arg, value in field.args.items() if not value.description]
        elif isinstance(kind, GraphQLEnumType):
            bare += [f"{name}.{value}" for value, enum in kind.values.items() if not enum.description]
        elif isinstance(kind, GraphQLInputObjectType):
            bare += [f"{name}.{field}" for field, value in kind.fields.items() if not value.description]
    assert bare == []


@pytest.mark.parametrize("field", ["similarVoxels", "totalCount", "noiseCeiling"])
def test_taking_a_released_field_away_is_noticed(field: str) -> None:
    released = RELEASED.read_text(encoding="utf-8")
    without = released.replace(f" {field}(", " renamed(").replace(f" {field}:", " renamed:")
    assert any(field in change for change in breaking_changes(released, without))
