"""Rates beside the library's own, which begins a thread at every request."""

from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from voxel_atlas.api.http.access.rates import Rates, client_of

LIMIT = "4/second; 9/minute"
asked = st.lists(st.tuples(st.floats(0, 20), st.sampled_from("ab")), min_size=1, max_size=60)


@given(asked)
def test_who_is_let_in_is_whom_the_library_lets_in(asked: list[tuple[float, str]]) -> None:
    now = 1e9
    rates, library = Rates(LIMIT, lambda: now), SlidingWindowCounterRateLimiter(MemoryStorage())
    with mock.patch("time.time", side_effect=lambda: now), mock.patch("threading.Timer.start"):
        for seconds, client in asked:
            now += seconds
            hits = [library.hit(limit, client) for limit in parse_many(LIMIT)]
            assert (rates.wait(client) == 0) == all(hits)


@given(asked)
def test_who_waits_as_told_is_let_in_and_nobody_waits_a_second_too_long(asked: list[tuple[float, str]]) -> None:
    now = 1e9
    rates = Rates("9/minute", lambda: now)
    for seconds, client in asked:
        now += seconds
        if wait := rates.wait(client):
            now += wait - 1.001
            early = rates.wait(client) == 0
            assert not early or wait == 1
            now += 0 if early else 1.002
            assert early or rates.wait(client) == 0


def test_many_addresses_take_little_memory_and_a_guesser_among_them_is_still_refused() -> None:
    now = 1e9
    rates = Rates("", lambda: now)
    for _ in range(20):
        rates.count_guess("guesser")
    for number in range(50_000):
        rates.count_guess(str(number))
    assert rates.wait_before_guess("guesser") > 0
    now += 1e4
    assert rates.wait_before_guess("guesser") == 0


def test_addresses_of_one_network_are_one_client() -> None:
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff:1:2:3") != client_of("2001:db8:0:1::1")
    assert client_of("::ffff:10.0.0.1") == client_of("10.0.0.1") != client_of("10.0.0.2")
    assert client_of("fe80::1%eth0") == client_of("fe80::2%eth0")
    assert client_of("unknown") == "unknown"
