"""A lake that several processes make at once."""

from pathlib import Path

import pytest
from lakes import new_lake, race


@pytest.mark.parametrize("catalog", ["sqlite", "postgres"])
def test_a_new_lake_that_two_processes_open_at_once_is_made_once(
    catalog: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres") if catalog == "postgres" else ""
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert race(new_lake(folder, url)) == []
