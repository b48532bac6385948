"""Slow work on a server: once, in a thread of its own, and who asks meanwhile is told how far it is."""

import threading
from collections.abc import Callable

import pytest

from voxel_atlas.api.maps.slow_builds import SlowBuilds
from voxel_atlas.schemas.errors import BusyError, NotFoundError


def test_slow_work_is_done_once_and_told_of_until_it_is_done() -> None:
    builds, go, calls = SlowBuilds(), threading.Event(), []

    def build(advance: Callable[[int], None]) -> str:
        calls.append(1)
        advance(1200)
        go.wait()
        return "colours"

    for _ in range(3):
        with pytest.raises(BusyError, match=r"The colours are being worked out.* 1,200 images are done"):
            builds.run("a", "The colours", build)
    go.set()
    answer = None
    while answer is None:
        try:
            answer = builds.run("a", "The colours", build)
        except BusyError:
            continue
    assert (answer, calls) == ("colours", [1])
    builds.close()


def test_what_is_quick_is_answered_at_once_and_a_failure_is_told_and_tried_again() -> None:
    builds = SlowBuilds()
    assert builds.run("a", "It", lambda _: 7) == 7

    def fail(_: Callable[[int], None]) -> int:
        raise NotFoundError("The images are elsewhere.")

    for _ in range(2):
        with pytest.raises(NotFoundError, match="elsewhere"):
            builds.run("b", "It", fail)
    assert builds.run("b", "It", lambda _: 8) == 8
    builds.close()
