"""A server whose process has no memory left for a moment, as while a stranger's statement gathers all that it may."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from toy_server import Server

from voxel_atlas.atlas.new_threads import started_pool
from voxel_atlas.atlas.search.atlas import Atlas

CAKE = '{ similarVoxels(concept: "cake", first: 3) { totalCount } flatmap(concept: "cake") { url } }'


def test_handing_a_started_pool_work_begins_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, over = started_pool(3, "mine"), threading.Event()
    monkeypatch.setattr(threading.Thread, "start", None)
    tasks = [pool.submit(over.wait) for _ in range(5)]
    over.set()
    assert not wait(tasks).not_done
    pool.shutdown()


def test_no_question_makes_the_event_loop_wait_for_a_new_thread(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ready()
    begun, start = list[str](), threading.Thread.start

    def watched(thread: threading.Thread) -> None:
        if threading.current_thread() is server.thread:
            begun.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", watched)
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    headers = {"accept": "application/json, text/event-stream"}

    def visit(_: int) -> set[int]:
        url = server.data(CAKE)["flatmap"]["url"]
        paths = "/", "/healthz", "/readyz", "/metrics", "/card.png?voxel=7", "/values?metric=r2", url
        answers = [server.client.get(path) for path in paths]
        answers.append(server.client.post("/frames/subjects", json={}))
        answers.append(server.client.post("/mcp", json=message, headers=headers))
        return {answer.status_code for answer in answers}

    with ThreadPoolExecutor(8) as visitors:
        assert set.union(*visitors.map(visit, range(16))) == {200}
    assert begun == []


def test_an_answer_that_no_memory_is_left_for_is_to_be_asked_for_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Atlas, "subjects", fail)
    error = server.error("{ subjects { subjectId } }")
    assert error["extensions"] == {"code": "BUSY", "retryAfter": 5.0}
    assert "try again later" in error["message"]
    monkeypatch.setattr(Atlas, "model", fail)
    response = server.client.post("/frames/voxels", json={"voxels": [1]})
    assert response.status_code == 503, response.text
    assert response.headers["retry-after"] == "5"
