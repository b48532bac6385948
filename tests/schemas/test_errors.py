import inspect

import pytest

from voxel_atlas.schemas import errors

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind is not errors.AtlasError]


@pytest.mark.parametrize("kind", KINDS)
def test_each_error_is_an_atlas_error_and_a_builtin_one(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.AtlasError)
    assert issubclass(kind, (ValueError, LookupError, OSError, RuntimeError))


@pytest.mark.parametrize("kind", [errors.AtlasError, *KINDS])
def test_the_message_is_what_is_shown(kind: type[Exception]) -> None:
    assert str(kind("a.csv: no column voxel; add one.")) == "a.csv: no column voxel; add one."
