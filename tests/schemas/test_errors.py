import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        "ducklake:postgres:host=db password='not s3cr@t'",
    ],
)
def test_no_message_tells_a_password(kind: type[Exception], address: str) -> None:
    message = str(kind(f"{address}: it does not answer."))
    assert "s3cr" not in message
    assert "db" in message
    assert message.endswith("it does not answer.")


@given(st.lists(st.sampled_from(["://", ":", "/", "@", "a", " ", '"', "&"])).map("".join))
def test_what_is_left_out_is_what_one_expression_finds_that_takes_long(text: str) -> None:
    slow = re.compile(r"""(://[^\s:/@"']*:)[^\s"']+(?=@)""")
    assert errors.redacted(text) == slow.sub(r"\1…", text)


def test_a_long_message_is_cut_and_tells_no_password_at_its_end() -> None:
    message = str(errors.StoreError("a" * 19_990 + " postgres://ada:s3cret" + "x" * 10_000 + "@db"))
    assert len(message) < 20_100
    assert "s3" not in message
