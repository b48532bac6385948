import json

import pytest
from pydantic import BaseModel, ValidationError

from voxel_atlas.schemas.config import IngestConfig, Settings


@pytest.mark.parametrize("table", [Settings, IngestConfig])
def test_every_setting_says_what_it_is(table: type[BaseModel]) -> None:
    for name, field in table.model_fields.items():
        assert field.description, name


def test_a_setting_is_also_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXEL_ATLAS_PORT", "1234")
    monkeypatch.setenv("VOXEL_ATLAS_HOME", "/elsewhere")
    assert Settings().port == 1234
    assert Settings().address == "/elsewhere/atlas.duckdb"
    assert Settings(atlas="quack:host:1").address == "quack:host:1"


def test_the_token_is_not_shown() -> None:
    assert "secret" not in repr(Settings(token="secret"))


def test_equal_configurations_have_equal_hashes_and_different_ones_do_not() -> None:
    one, same, other = (IngestConfig(dataset="folder", subject="1", seed=seed) for seed in (1, 1, 2))
    assert one.sha256 == same.sha256 != other.sha256
    assert IngestConfig.model_validate_json(one.canonical_json()) == one
    assert list(json.loads(one.canonical_json())) == sorted(json.loads(one.canonical_json()))


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="sed"):
        IngestConfig(dataset="folder", subject="1", sed=1)  # type: ignore[call-arg]
