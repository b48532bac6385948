"""Every query over a limit is refused before it runs, with a sentence that names the limit."""

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import build_schema, parse, validate
from graphql.validation import specified_rules
from hypothesis import given
from hypothesis import strategies as st
from toy_server import Server

from voxel_atlas.api.graphql import schema as execution
from voxel_atlas.api.graphql.query_limits import RULES
from voxel_atlas.schemas.limits import LIMITS

TREE = build_schema("type Query { page(first: Int = 10): [Query!] one: Query many: [Query!] word: String }")


def refusals(document: str, schema: Any = TREE) -> list[str]:
    return [error.message for error in validate(schema, parse(document), [*specified_rules, *RULES])]


def test_a_modest_query_passes() -> None:
    assert refusals("{ page(first: 100) { page { word } } }") == []


@pytest.mark.parametrize(
    ("document", "limit"),
    [
        ("{" + "one {" * 13 + "word" + "}" * 14, "levels"),
        ("{" + " ".join(f"a{n}: word" for n in range(31)) + "}", "aliased"),
        ("{ word" + " @skip(if: false) @include(if: true)" * 26 + "}", "directives"),
        ("{ page(first: 100) { page(first: 100) { page(first: 10) { word } } } }", "objects"),
        ("query ($n: Int) { page(first: $n) { page(first: $n) { page(first: $n) { word } } } }", "objects"),
    ],
)
def test_each_limit_is_named(document: str, limit: str) -> None:
    messages = refusals(document)
    assert any(limit in message and "allowed" in message for message in messages), messages


def test_a_limit_is_reported_with_a_code() -> None:
    errors = validate(TREE, parse("{" + "one {" * 13 + "word" + "}" * 14), list(RULES))
    assert errors[0].extensions == {"code": "LIMIT_EXCEEDED"}


def test_an_operation_whose_time_is_over_ends_between_two_objects_and_others_go_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the processor's time stands a clock that goes on by a second with each object."""
    ticks = itertools.count()
    monkeypatch.setattr(execution, "time", SimpleNamespace(thread_time=lambda: next(ticks)))
    near = "{ neighbours(first: $n) { voxel } }"
    query = f"query ($n: Int!) {{ one: voxel(index: 0) {near} other: voxel(index: 1) {near} }}"
    for _ in range(8):
        assert len(server.data(query, n=5)["other"]["neighbours"]) == 5
        error = server.error(query, n=20)
        assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
        assert "takes longer than 30 s" in error["message"]
    assert next(ticks) < 8 * 2 * (LIMITS.operation_s + 10)  # what it had not come to was not begun


@pytest.mark.parametrize("n", [40, 200])
def test_fragments_that_double_are_measured_without_being_unrolled(n: int) -> None:
    chain = " ".join(f"fragment F{k} on Query {{ ...F{k + 1} ...F{k + 1} }}" for k in range(n))
    assert refusals(f"{{ ...F0 }} {chain} fragment F{n} on Query {{ a: word }}")


def test_circular_fragments_are_refused() -> None:
    assert any("within itself" in message for message in refusals("{ ...A } fragment A on Query { one { ...A } }"))


def test_an_introspection_bomb_is_refused() -> None:
    bomb = "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }"
    assert any("introspection" in message.lower() for message in refusals(bomb))


@given(first=st.integers(min_value=1, max_value=100), inner=st.integers(min_value=1, max_value=100))
def test_cost_is_the_number_of_objects_at_worst(first: int, inner: int) -> None:
    cost = first * (1 + inner * (1 + 5 * 1))
    document = f"{{ page(first: {first}) {{ page(first: {inner}) {{ page(first: 5) {{ word }} }} }} }}"
    assert bool(refusals(document)) == (cost > LIMITS.objects)
