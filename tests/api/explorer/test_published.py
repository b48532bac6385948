"""The explorer as static files: from a folder and from a plain server, without the atlas's own."""

import base64
import csv
import functools
import gzip
import io
import json
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from browser_page import Search, Visit, downloaded, needs_vendor
from group import make_world
from toy_server import Fill

from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.group.group_maps import GroupRequest, group_map
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.api.site.publish import publish
from voxel_atlas.atlas.release.verify import problems
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import BadInputError

pytestmark = [needs_vendor, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(atlas: Atlas, settings: Settings, surfaces: LoadSurface, tmp_path_factory: pytest.TempPathFactory) -> Path:
    app = create_app(atlas, settings, load=surfaces)
    return publish(atlas, app, tmp_path_factory.mktemp("published") / "site", concepts=["Banana"], vocabulary=False)


@pytest.fixture(scope="module", params=["folder", "server"])
def address(site: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the site is opened: from a disk, or from any web space."""
    if request.param == "folder":
        yield f"{site.as_uri()}/"
        return

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/"
        served.shutdown()
        thread.join()


def test_a_copy_shows_concepts_lists_cards_and_3_d_without_a_server(
    visit_at: Visit, address: str, search: Search, atlas: Atlas
) -> None:
    page = visit_at(address).open("index.html")
    assert page.locator("#simulated").is_visible()
    assert page.locator("a[href=graphql]").count() == 0
    search(page, "cake")
    best = atlas.model().similar("cake").frame
    assert page.locator("#top tbody tr").count() == 20
    assert page.locator("#top tbody tr").first.get_attribute("data-voxel") == str(best["voxel"][0])
    page.locator("#top tbody tr button").first.click()
    page.wait_for_selector("#card:not([hidden]) .bar")
    labels = atlas.model().voxel_labels([best["voxel"][0]], first=1)
    assert labels["label"][0] in page.locator("#card").inner_text()
    search(page, "banana")
    page.locator("#view-3d").click()
    page.wait_for_selector("#view-3d[aria-pressed=true]")
    page.wait_for_function("() => performance.getEntriesByName('painted-3d').length")
    assert page.locator("#trouble").is_hidden()


@pytest.mark.parametrize("concept", ["unheard of", "Constructor"])
def test_a_copy_says_what_it_does_not_know(visit_at: Visit, address: str, concept: str) -> None:
    page = visit_at(address).open("index.html")
    page.fill("#concept", concept)
    page.press("#concept", "Enter")
    page.wait_for_selector("#trouble:not([hidden])")
    said = page.locator("#trouble").inner_text()
    assert re.search(rf"This copy of the explorer knows \d+ concepts.* and “{concept}” is none of them\.", said)
    picture = {"name": "photo.png", "mimeType": "image/png", "buffer": b"any"}
    page.set_input_files("#picture-file", picture)
    page.wait_for_function(
        "() => document.getElementById('trouble').textContent.includes('no network to show a picture')"
    )
    assert page.is_hidden("#picture")


def test_files_hold_the_atlas_s_numbers_and_tables_and_nothing_of_this_machine(
    site: Path, atlas: Atlas, settings: Settings
) -> None:
    index = json.loads((site / "data/index.js").read_text(encoding="utf-8").removeprefix("SITE.start(")[:-1])
    (known,) = index["of"].values()
    labels = {row["text"] for row in known["labels"]}
    assert labels | {"banana", "face", "food - people"} <= known["concepts"].keys()
    assert problems(site / "tables") == []
    script = (site / f"data/{known['cards']}-0.js").read_text(encoding="ascii")
    cards = json.loads(gzip.decompress(base64.b64decode(script.split('"')[3])))
    images = [image for card in cards.values() for image in card["voxel"]["topImages"]]
    assert images
    assert all((site / image["url"]).stat().st_size for image in images)
    text = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.js"))
    assert str(settings.home) not in text
    assert "http://127.0.0.1" not in text


def test_numbers_are_those_of_the_atlas_but_for_their_last_digits(site: Path, atlas: Atlas, visit_at: Visit) -> None:
    page = visit_at(f"{site.as_uri()}/").open("index.html")
    read = """async () => {
      const bytes = await (await fetch("values?concept=cake&evidence=1")).arrayBuffer();
      const length = new DataView(bytes).getUint32(0, true);
      const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
      let at = 4 + length;
      const found = {};
      for (const { name, dtype, length: n } of header.arrays) {
        if (dtype === "float32") found[name] = [...new Float32Array(bytes.slice(at, at + 4 * n))];
        at += dtype === "float32" ? 4 * n : Math.ceil(n / 4) * 4;
      }
      return found;
    }"""
    found = page.evaluate(read)
    own = atlas.model().map("cake").frame
    assert found.keys() >= {"value", "z", "concept_q", "specific"}
    for name, column, bits in (("value", "similarity", 10), ("z", "z", 8), ("concept_q", "concept_q", 6)):
        shown = np.array(found[name], float)[own["voxel"].to_numpy()]
        expected = np.where(np.isnan(shown), np.nan, own[column].to_numpy())
        np.testing.assert_allclose(shown, expected, rtol=2.0**-bits, atol=1e-30)


def test_a_copy_shows_all_subjects_together(tmp_path: Path, visit_at: Visit) -> None:
    make_world(tmp_path, 3, 162)
    with Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path) as atlas:
        app = create_app(atlas, Settings(home=tmp_path))
        made = publish(atlas, app, tmp_path / "site", concepts=["hand"], vocabulary=False)
        found = group_map(atlas, GroupRequest(concept="hand", show="t", group_q=0.9))
    page = visit_at(f"{made.as_uri()}/").open("index.html?concept=hand")
    page.select_option("#model", label="all subjects")
    page.wait_for_selector("#multiples figure:nth-child(3)")
    page.select_option("#group-show", "t")
    page.wait_for_function("() => document.getElementById('figure-title').textContent.startsWith('t over')")
    page.fill("#group-q", "0.9")
    page.press("#group-q", "Enter")
    page.wait_for_function("() => document.getElementById('quantity').textContent.includes('≤ 0.9')")
    lines = csv.DictReader(io.StringIO(downloaded(page, "csv")[1].decode()))
    shown = {int(line["voxel"]): float(line["value"]) for line in lines}
    kept = np.flatnonzero(np.isfinite(found.values))
    assert 0 < len(kept) < 3 * 162
    assert shown == pytest.approx({int(at): float(found.values[at]) for at in kept}, rel=2e-3)
    page.locator("#group .link").first.click()
    page.wait_for_selector("#card:not([hidden])")
    assert page.locator("#card .bars li").count() == 3
    page.fill("#concept", "unheard of")
    page.press("#concept", "Enter")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "has all subjects together for hand, cake, face; “unheard of” is none" in page.inner_text("#trouble")


@pytest.mark.parametrize(
    ("dataset", "own_pictures", "kept"), [("nsd", True, False), ("folder", False, False), ("folder", True, True)]
)
def test_only_pictures_that_may_be_are_published(
    tmp_path: Path, fill_atlas: Fill, surfaces: LoadSurface, dataset: str, own_pictures: bool, kept: bool
) -> None:
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        fill_atlas(store, tmp_path / "stimuli")
    with duckdb.connect(str(tmp_path / "atlas.duckdb")) as changing:
        changing.execute("UPDATE subject SET dataset = ?", [dataset])
    with Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path) as atlas:
        app = create_app(atlas, Settings(home=tmp_path), load=surfaces)
        made = publish(atlas, app, tmp_path / "site", vocabulary=False, own_pictures=own_pictures)
        assert any(path.suffix in {".png", ".jpg", ".jpeg"} for path in made.rglob("*")) == kept
        with pytest.raises(BadInputError, match="is there already"):
            publish(atlas, app, made)
