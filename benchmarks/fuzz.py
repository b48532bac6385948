"""Queries made at random from the schema, by schemathesis, against a live server."""

from dataclasses import dataclass
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok


@dataclass
class Fuzzed:
    """What became of the queries."""

    cases: int = 0
    answered: int = 0
    """Of them, those with data and no error."""
    server_errors: int = 0
    """Statuses of 500 and more, and errors that the server did not expect, which it answers with 200 and INTERNAL."""
    misshapen: int = 0
    """Answers that are neither data nor errors with a message and a code."""


def fuzz(url: str, cases: int) -> Fuzzed:
    """Ask a server at least so many queries, as many of each root field.

    Args:
        url: the address of /graphql.
        cases: how many.
    """
    counted = Fuzzed()
    operations = []
    for found in schemathesis.graphql.from_url(url).get_all_operations():
        assert isinstance(found, Ok), found.err()
        operations.append(found.ok())
    for operation in operations:

        @settings(
            max_examples=-(-cases // len(operations)),
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case[Any]) -> None:
            counted.cases += 1
            # A model's label colours are worked out when they are first asked for, which takes a minute.
            response = case.call(timeout=300)
            answer = response.json()
            errors = answer.get("errors", [])
            codes = [error.get("extensions", {}).get("code") for error in errors]
            counted.server_errors += response.status_code >= 500 or "INTERNAL" in codes
            counted.answered += not errors
            counted.misshapen += None in codes or not (errors or answer.get("data"))

        ask()
    return counted
