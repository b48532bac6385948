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


@pytest.mark.parametrize("kind", KINDS)
def test_each_error_has_a_code_of_its_own_that_leads_back_to_it(kind: type[errors.AtlasError]) -> None:
    assert kind.code == kind.code.upper()
    assert errors.AtlasError.by_code(kind.code) is kind


def test_a_code_of_no_error_is_one_of_the_store() -> None:
    assert errors.AtlasError.by_code("UNAUTHENTICATED") is errors.StoreError


@pytest.mark.parametrize(
    ("kind", "status"),
    [(errors.BadInputError, 400), (errors.NotFoundError, 404), (errors.BusyError, 503), (errors.StoreLockedError, 503)],
)
def test_each_error_has_the_status_of_its_answer_over_http(kind: type[errors.AtlasError], status: int) -> None:
    assert kind.http_status == status


@pytest.mark.parametrize("kind", [errors.AtlasError, *KINDS])
@pytest.mark.parametrize(
    "address",
    [
        "ducklake:postgres:postgresql://ada:s3cr@t@db:5432/lake data=/srv",
        "postgres://:s3cr@t@db",
        "ducklake:postgres:postgresql://db/lake?user=ada&password=s3cr@t&x=1",
    ],
)
def test_no_message_tells_a_password(kind: type[Exception], address: str) -> None:
    message = str(kind(f"{address}: it does not answer."))
    assert "s3cr" not in message
    assert "db" in message
    assert message.endswith("it does not answer.")
