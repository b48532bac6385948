"""A server whose process has no memory left for a moment, as while a stranger's statement gathers all that it may."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from toy_server import Server

from voxel_atlas.atlas.new_threads import started_pool

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
