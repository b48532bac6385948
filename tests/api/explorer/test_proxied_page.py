"""The page and GraphiQL below a path of a site with TLS, behind nginx, in a real browser."""

from pathlib import Path

from browser_page import Search, Visit, downloaded, needs_vendor
from proxied import needed, proxied

from voxel_atlas.api.http.access.tokens import Scope, Tokens
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.config import Settings


@needs_vendor
def test_below_a_path_people_log_in_search_download_follow_and_ask(
    atlas: Atlas, surfaces: LoadSurface, tmp_path: Path, visit_at: Visit, search: Search
) -> None:
    needed("nginx")
    token = Tokens(tmp_path).make("ada", Scope.READ)
    with proxied(
        "nginx", "/lab/atlas/", tmp_path, lambda url: create_app(
            atlas, Settings(home=tmp_path, public_url=url, trusted_proxies=("127.0.0.1",)), load=surfaces
        )
    ) as behind:  # fmt: skip
        view = visit_at(behind.url)
        page = view.page
        sockets: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        page.goto(behind.url)
        assert page.url == f"{behind.url}login"
        page.fill("#token", token)
        page.click("button")
        page.wait_for_selector("#legend:not([hidden])")
        assert page.url.startswith(behind.url)
        search(page, "cake")
        assert page.url.startswith(f"{behind.url}?concept=cake")
        page.click("#top tbody tr")
        page.wait_for_function("() => document.querySelector('#card img')?.naturalWidth > 0")
        for suffix in ("png", "svg", "csv"):
            assert len(downloaded(page, suffix)[1]) > 1000
        page.click("#view-3d")
        page.wait_for_selector("#solid:not([hidden])")
        page.reload()
        page.wait_for_selector("#legend:not([hidden])")
        assert "concept=cake" in page.url
        page.click("text=GraphQL")
        page.wait_for_selector(".graphiql-execute-button")
        assert page.url == f"{behind.url}graphql"
        page.click(".graphiql-execute-button")
        page.wait_for_function("() => document.body.innerText.includes('totalCount')")
        page.wait_for_function("() => /\"totalCount\": \\d/.test(document.querySelector('.result-window')?.innerText)")
        assert set(sockets) == {f"{behind.url}graphql".replace("https", "wss")}
