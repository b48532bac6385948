"""A published copy keeps all that the page asks, under the addresses that the page asks by."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from voxel_atlas.api.http.assets import WEB
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

    with ThreadPoolExecutor(1) as thread:  # a browser of other tests may have a loop in this one
        site = thread.submit(asyncio.run, keep()).result()
    paths = ["outlines/{}.json", "pixelmaps/{}.bin", "meshes/{}/inflated.bin", "places/{}.bin"]
    assert list(site.files) == [path.format(WRITTEN) for path in paths]
    assert asked == [*(path.format(SUBJECT) for path in paths), f"stimuli/{SUBJECT}/cake #1.png"]


def test_all_that_the_page_asks_stands_where_publish_reads_it_and_the_copy_answers_it() -> None:
    queries, examples = publish.questions()
    assert "cake" in examples
    exported = set(re.findall(r"^export const (\w+) = `", (WEB / "questions.js").read_text(), re.MULTILINE))
    assert len(exported) == len(queries)
    asked = {name for path in WEB.glob("*.js") for name in re.findall(r"\bask\(([A-Z]+)\b", path.read_text())}
    assert asked == exported
    offline = (Path(publish.__file__).parent / "offline.js").read_text()
    assert set(re.findall(r'\bname === "(\w+)"', offline)) == queries.keys()
