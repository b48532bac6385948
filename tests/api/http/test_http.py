"""What is not GraphQL: data of the page, pictures, health, and one shape for every error."""

import asyncio
import json
import math
import struct
import threading
from typing import Any

import httpx
import numpy as np
import pytest
from toy_server import Serve, Server

from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.http.thread_pools import ThreadPool
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import BusyError
from voxel_atlas.schemas.limits import LIMITS

N_VOXELS = 300
SUBJECT = "simulated/T1"


def unpack(body: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    (length,) = struct.unpack("<I", body[:4])
    header = json.loads(body[4 : 4 + length])
    arrays, offset = {}, 4 + length
    for part in header["arrays"]:
        kind = np.dtype(part["dtype"])
        arrays[part["name"]] = np.frombuffer(body, kind, part["length"], offset)
        offset += -(-part["length"] * kind.itemsize // 4) * 4
    assert offset == len(body)
    return header, arrays


def test_the_pixel_map_names_voxels_of_the_atlas_and_nothing_outside_the_cortex(server: Server) -> None:
    body = server.client.get(f"/pixelmaps/{SUBJECT}.bin").content
    header, arrays = unpack(body)
    width, height = header["width"], header["height"]
    voxel = arrays["voxel"].reshape(height, width)
    assert voxel[0, 0] == -2
    assert set(np.unique(voxel)) < {-2, -1, *range(N_VOXELS)}
    shown = np.unique(voxel[voxel >= 0])
    assert len(shown) > N_VOXELS / 2
    for number in shown[::20].tolist():
        place = server.data(f"{{ voxel(index: {number}) {{ i j k }} }}")["voxel"]
        cell = (place["k"] * 10 + place["j"]) * 10 + place["i"]
        rows, columns = np.nonzero(voxel == number)
        assert set(columns * 30 // width * 20 + rows * 20 // height) == {cell}
    assert len(body) <= 5 * width * height + 180


def test_values_are_those_that_graphql_gives(server: Server) -> None:
    header, arrays = unpack(server.client.get("/values", params={"concept": "cake"}).content)
    hits = server.data(
        '{ similarVoxels(concept: "cake", first: 100, significant: false) { edges { node { voxel similarity } } } }'
    )
    for edge in hits["similarVoxels"]["edges"]:
        assert arrays["value"][edge["node"]["voxel"]] == pytest.approx(edge["node"]["similarity"], abs=2e-3)
    assert header["simulated"] is True
    assert header["subject"] == SUBJECT
    assert header["lo"] == -header["hi"]
    assert arrays["colour"].shape == (768,)


@pytest.mark.parametrize("metric", ["r2", "r", "q", "noise_ceiling", "r2_of_ceiling"])
def test_every_metric_can_be_shown(server: Server, metric: str) -> None:
    header, arrays = unpack(server.client.get("/values", params={"metric": metric}).content)
    assert np.isfinite(arrays["value"]).sum() == N_VOXELS
    assert header["lo"] < header["hi"]


def test_a_contrast_and_a_label_can_be_shown(server: Server) -> None:
    _, arrays = unpack(server.client.get("/values", params={"concept": "cake - kitchen"}).content)
    hits = server.data(
        """{ similarVoxels(concept: "cake - kitchen", significant: false) { edges { node { voxel similarity } } }
        flatmap(concept: "cake - kitchen", views: [LATERAL]) { title unit lo hi nValues } }"""
    )
    for edge in hits["similarVoxels"]["edges"]:
        assert arrays["value"][edge["node"]["voxel"]] == pytest.approx(edge["node"]["similarity"], abs=2e-3)
    assert "cake - kitchen" in hits["flatmap"]["title"]
    assert hits["flatmap"]["nValues"] == N_VOXELS
    assert hits["flatmap"]["lo"] == -hits["flatmap"]["hi"]
    _, arrays = unpack(server.client.get("/values", params={"label": "cake"}).content)
    assert 0 < np.nanmax(arrays["value"]) <= 1


def test_outlines_hold_paths_names_and_voxels(server: Server) -> None:
    regions = server.client.get(f"/outlines/{SUBJECT}.json").json()
    ffa = next(region for region in regions["rois"] if region["name"] == "FFA")
    assert ffa["voxels"] == list(range(60))
    assert len(ffa["paths"][0]) == 80
    assert all(0 <= number <= 1 for number in ffa["paths"][0])
    assert all(len(region["names"]) == 1 for region in regions["rois"])


def test_a_flatmap_is_a_picture_of_the_size_that_was_told(server: Server) -> None:
    flatmap = server.data('{ flatmap(concept: "cake", width: 640) { url width height sha256 simulated } }')["flatmap"]
    response = server.client.get(flatmap["url"])
    assert response.headers["content-type"] == "image/png"
    assert struct.unpack(">II", response.content[16:24]) == (flatmap["width"], flatmap["height"])
    assert flatmap["sha256"] in flatmap["url"]
    assert flatmap["simulated"] is True


@pytest.mark.parametrize(("suffix", "start"), [("PNG", b"\x89PNG"), ("SVG", b"<?xml"), ("PDF", b"%PDF-")])
def test_a_picture_is_immutable_and_answers_304(server: Server, suffix: str, start: bytes) -> None:
    query = f'{{ flatmap(concept: "dog", width: 320, format: {suffix}) {{ url }} }}'
    url = server.data(query)["flatmap"]["url"]
    assert server.data(query)["flatmap"]["url"] == url
    first = server.client.get(url)
    assert (first.status_code, first.content[: len(start)]) == (200, start)
    assert "immutable" in first.headers["cache-control"]
    assert first.headers["etag"].startswith('"')
    again = server.client.get(url, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert server.client.get(url, headers={"if-none-match": '"other"'}).content == first.content
    other = server.data(query.replace("width", 'colormap: "viridis", width'))["flatmap"]["url"]
    assert other != url
    assert server.client.get(other).content != first.content


def test_a_picture_outlives_the_server_that_drew_it(
    atlas: Atlas, settings: Settings, serve: Serve, surfaces: LoadSurface
) -> None:
    with serve(create_app(atlas, settings, load=surfaces)) as first:
        url = first.data('{ flatmap(concept: "banana") { url } }')["flatmap"]["url"]
        body = first.client.get(url).content
    with serve(create_app(atlas, settings, load=surfaces)) as second:
        assert second.client.get(url).content == body


def test_stimuli_are_served_by_id_only_with_a_frame_around_the_crop(server: Server) -> None:
    plain = server.client.get("/stimuli/toy/0/3")
    framed = server.client.get("/stimuli/toy/0/3?box=40,30,200,180")
    assert plain.headers["content-type"] == framed.headers["content-type"] == "image/jpeg"
    assert plain.content != framed.content
    assert server.client.get("/stimuli/../../etc/passwd").status_code == 404
    assert server.client.get("/stimuli/toy/0/3?box=1,2,3").status_code == 400


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nothing", 404, "NOT_FOUND"),
        ("/assets/../http.py", 404, "NOT_FOUND"),
        ("/assets/%2e%2e/http.py", 404, "NOT_FOUND"),
        ("/assets/package.json", 404, "NOT_FOUND"),
        ("/flatmaps/0000.png", 404, "NOT_FOUND"),
        ("/flatmaps/0000.exe", 404, "NOT_FOUND"),
        ("/pixelmaps/nobody.bin", 404, "NOT_FOUND"),
        ("/outlines/%00.json", 404, "NOT_FOUND"),
        ("/stimuli/nothing", 404, "NOT_FOUND"),
        ("/values", 400, "BAD_INPUT"),
        ("/values?concept=", 400, "BAD_INPUT"),
        ("/values?concept=" + "a" * 201, 400, "BAD_INPUT"),
        ("/values?concept=cake&metric=r2", 400, "BAD_INPUT"),
        ("/values?metric=weights", 400, "BAD_INPUT"),
        ("/values?metric=r2&specific=1", 400, "BAD_INPUT"),
        ("/values?concept=cake&by=labels&min_z=2", 400, "BAD_INPUT"),
        ("/values?concept=cake&max_q=x", 400, "BAD_INPUT"),
        ("/values?concept=cake&lo=1&hi=0", 400, "BAD_INPUT"),
        ("/values?concept=cake&lo=x", 400, "BAD_INPUT"),
        ("/values?concept=cake&lo=nan", 400, "BAD_INPUT"),
        ("/values?concept=cake&model=nobody", 404, "NOT_FOUND"),
        ("/values?concept=cake&colormap=nocolour", 404, "NOT_FOUND"),
        ("/values?sql=1", 400, "BAD_INPUT"),
    ],
)
def test_every_refusal_is_one_sentence_in_one_shape(server: Server, path: str, status: int, code: str) -> None:
    response = server.client.get(path)
    (error,) = response.json()["errors"]
    assert (response.status_code, error["extensions"]["code"]) == (status, code)
    assert 10 < len(error["message"]) < 400
    assert "\n" not in error["message"]


def test_health_readiness_and_metrics(server: Server) -> None:
    assert server.client.get("/healthz").json() == {"healthy": True}
    state = server.ready(towers=True)
    assert state == {"ready": True, "generation": 1, "indexGeneration": 1, "textTowers": True}
    server.data('{ similarVoxels(concept: "cake") { totalCount } }')
    server.error('{ similarVoxels(concept: "") { totalCount } }')
    text = server.client.get("/metrics").text
    assert 'voxel_atlas_request_seconds_count{operation="graphql:similarVoxels",status="200"}' in text
    assert 'voxel_atlas_graphql_errors_total{code="BAD_INPUT"}' in text
    assert "voxel_atlas_generation 1.0" in text


def test_a_server_with_a_full_queue_says_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch, atlas: Atlas, settings: Settings, serve: Serve, surfaces: LoadSurface
) -> None:
    gate = threading.Event()
    monkeypatch.setattr("voxel_atlas.api.http.app.LIMITS", LIMITS.model_copy(update={"waiting_pictures": 1}))
    monkeypatch.setattr("voxel_atlas.api.http.app.PICTURE_THREADS", 1)
    monkeypatch.setattr(
        "voxel_atlas.api.maps.picture_cache.PictureCache.fetch", lambda *_: b"" if gate.wait(120) else None
    )
    with serve(create_app(atlas, settings, load=surfaces)) as own:
        address, patience = own.url + "/flatmaps/a.png", {"timeout": 240}
        threads = [threading.Thread(target=httpx.get, args=(address,), kwargs=patience) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            while 'voxel_atlas_work_inside{pool="pictures"} 2.0' not in own.client.get("/metrics").text:
                assert not gate.wait(0.01)
            response = own.client.get("/flatmaps/a.png")
            assert response.status_code == 503
            assert response.headers["retry-after"] == "1"
            assert response.json()["errors"][0]["extensions"]["code"] == "BUSY"
            assert own.client.get("/healthz").status_code == 200
        finally:
            gate.set()
            for thread in threads:
                thread.join()


def test_workers_refuse_what_they_have_no_room_for(awaited: Any) -> None:
    async def main() -> None:
        workers = ThreadPool("things", threads=1, waiting=1)
        gate = threading.Event()
        held = [asyncio.create_task(workers.run(gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="2 requests for things"):
            await workers.run(gate.wait)
        gate.set()
        assert await asyncio.gather(*held) == [True, True]
        assert await workers.run_coroutine(lambda: asyncio.sleep(0, "done")) == "done"
        await asyncio.to_thread(workers.close, math.inf)

    awaited(main())


def test_metrics_tell_of_the_index_the_rows_and_the_ingest(server: Server) -> None:
    text = server.client.get("/metrics").text
    for name in (
        'voxel_atlas_request_seconds_bucket{le="0.005",operation="health",status="200"}',
        "voxel_atlas_index_vectors 300.0",
        "voxel_atlas_rows_total",
        "voxel_atlas_ingest_rows_per_second",
        "voxel_atlas_sockets",
        "voxel_atlas_event_loop_delay_seconds",
        'voxel_atlas_work_inside{pool="queries"}',
    ):
        assert name in text, name


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/", 405),
        ("PUT", "/graphql", 405),
        ("GET", "/frames/labels", 405),
        ("POST", "/frames/nothing", 404),
        ("GET", "/tokens", 403),
        ("GET", "/quack", 403),
        ("POST", "/graphql", 400),
        ("GET", "/nothing", 404),
        ("GET", "/values?metric=x", 400),
        ("GET", "/meshes/nobody/inflated.bin", 404),
    ],
)
def test_errors_have_one_shape_wherever_they_come_from(server: Server, method: str, path: str, status: int) -> None:
    response = server.client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    (error,) = response.json()["errors"]
    assert set(error) == {"message", "extensions"}
    assert error["message"]
    assert error["extensions"]["code"].isupper()
