"""A published copy keeps what it is asked for under the addresses that the page asks by."""

import asyncio
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from voxel_atlas.api.site import publish

SUBJECT, WRITTEN = "folder/Jürgen's 1st? #2 50%", "folder/J%C3%BCrgen's%201st%3F%20%232%2050%25"


def test_names_of_any_kind_are_asked_and_kept_as_the_page_writes_them(tmp_path: Path) -> None:
    asked = list[str]()

    async def answer(request: Request) -> JSONResponse:
        asked.append(request.path_params["path"])
        return JSONResponse({"surfaces": ["inflated"], "flat": True})

    (tmp_path / "data").mkdir()
    transport = httpx.ASGITransport(app=Starlette(routes=[Route("/{path:path}", answer)]))

    async def keep() -> publish._Site:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            site = publish._Site(tmp_path, client, {}, frozenset({"folder"}))
            await publish._keep_subject(site, SUBJECT)
            await publish._keep_picture(site, f"{SUBJECT}/cake #1.png")
            return site

    site = asyncio.run(keep())
    paths = ["outlines/{}.json", "pixelmaps/{}.bin", "meshes/{}/inflated.bin", "places/{}.bin"]
    assert list(site.files) == [path.format(WRITTEN) for path in paths]
    assert asked == [*(path.format(SUBJECT) for path in paths), f"stimuli/{SUBJECT}/cake #1.png"]
