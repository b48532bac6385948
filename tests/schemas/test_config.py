import json
import os
import pwd
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from voxel_atlas.schemas.config import IngestConfig, Settings
from voxel_atlas.schemas.errors import BadInputError


@pytest.mark.parametrize("table", [Settings, IngestConfig])
def test_every_setting_says_what_it_is(table: type[BaseModel]) -> None:
    for name, field in table.model_fields.items():
        assert field.description, name


def test_a_setting_is_also_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXEL_ATLAS_PORT", "1234")
    monkeypatch.setenv("VOXEL_ATLAS_HOME", "/elsewhere")
    assert Settings().port == 1234
    assert Settings().address == "/elsewhere/atlas.duckdb"
    assert Settings(atlas="http://host:1").address == "http://host:1"


def test_an_empty_environment_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("HOME", "CORTEX_FILESTORE", "PORT")
    for name in names:
        monkeypatch.delenv(f"VOXEL_ATLAS_{name}", raising=False)
    before = Settings()
    for name in names:
        monkeypatch.setenv(f"VOXEL_ATLAS_{name}", "")
    assert Settings() == before


def test_a_tilde_is_the_users_folder_in_every_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/users/me")
    monkeypatch.setenv("VOXEL_ATLAS_HOME", "~/va")
    monkeypatch.setenv("VOXEL_ATLAS_CORTEX_FILESTORE", "~/store")
    assert (Settings().home, Settings().cortex_filestore) == (Path("/users/me/va"), Path("/users/me/store"))
    assert Settings(atlas="~/a.duckdb").address == "/users/me/a.duckdb"
    assert IngestConfig(dataset="folder", subject="1", root="~/s", food="~/f.nii").root == "/users/me/s"


def test_only_who_needs_the_default_folder_is_told_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_DATA_HOME", "VOXEL_ATLAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: (_ for _ in ()).throw(KeyError))
    assert Settings(home=Path("/srv/va")).address == "/srv/va/atlas.duckdb"
    with pytest.raises(BadInputError, match="set VOXEL_ATLAS_HOME to a folder"):
        Settings()


def test_a_path_that_no_table_can_hold_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"\\udce9tude' has bytes that are no UTF-8; rename it"):
        IngestConfig(dataset="folder", subject="1", root=os.fsdecode(b"\xe9tude"))


def test_the_token_is_not_shown() -> None:
    assert "secret" not in repr(Settings(token="secret" * 3))
    with pytest.raises(ValidationError, match="16 letters or more") as refused:
        Settings(token="secret")
    assert "secret" not in str(refused.value)


def test_equal_configurations_have_equal_hashes_and_different_ones_do_not() -> None:
    one, same, other = (IngestConfig(dataset="folder", subject="1", seed=seed) for seed in (1, 1, 2))
    assert one.sha256 == same.sha256 != other.sha256
    assert IngestConfig.model_validate_json(one.canonical_json()) == one
    assert list(json.loads(one.canonical_json())) == sorted(json.loads(one.canonical_json()))


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="sed"):
        IngestConfig(dataset="folder", subject="1", sed=1)  # type: ignore[call-arg]
