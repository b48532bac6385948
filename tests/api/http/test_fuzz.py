"""Whatever query the schema allows, the server answers it or says what is wrong with it."""

import pytest
from fuzz import fuzz
from toy_server import Server


@pytest.mark.parametrize("cases", [34, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("default")
def test_no_query_makes_the_server_fail(server: Server, cases: int) -> None:
    counted = fuzz(f"{server.url}/graphql", cases)
    assert counted.cases >= cases
    assert (counted.server_errors, counted.misshapen) == (0, 0)
    assert counted.answered > cases / 20
    assert server.client.get("/healthz").status_code == 200
