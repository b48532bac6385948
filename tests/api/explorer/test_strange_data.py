"""The explorer on data that nobody wishes for: it shows what there is, says what there is not, and never breaks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from browser_page import Pixel, Visit, needs_vendor
from toy_server import Fill, Serve, Server

from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings

STRANGE = {
    "cake": "🎂 cake 🍰",
    "pizza": "פיצה ‮dlrow",
    "banana": "long " * 60,
    "face": "</script><script>document.title='x'</script>",
    "man": '"; DROP TABLE voxel; --',
    "smile": "=HYPERLINK(1)",
}


@pytest.fixture
def strange(tmp_path: Path, serve: Serve, surfaces: LoadSurface, fill_atlas: Fill) -> Serve:
    """Serves the small atlas after SQL has changed it."""

    @contextmanager
    def served(*statements: str, **options: Any) -> Iterator[Server]:
        file = tmp_path / "atlas.duckdb"
        with Store.open(str(file)) as store:
            fill_atlas(store, tmp_path / "stimuli", **options)
        with duckdb.connect(str(file)) as connection:
            for statement in statements:
                connection.execute(statement)
        with Atlas.open(str(file), home=tmp_path) as atlas:
            app = create_app(atlas, Settings(home=tmp_path), load=surfaces)
            with serve(app) as server:
                yield server

    return served


def test_labels_of_any_kind_stay_text(strange: Serve, visit_at: Visit) -> None:
    renamed = [
        f"UPDATE label SET lemma = '{new.replace(chr(39), chr(39) * 2)}' WHERE lemma = '{old}'"
        for old, new in STRANGE.items()
    ]
    with strange(*renamed) as server:
        view = visit_at(server.url, width=375, height=740)
        for voxel in (5, 200):
            page = view.open(f"/?concept=word&voxel={voxel}&roi=FOOD&roi=FFA")
            page.wait_for_selector("#card:not([hidden])")
            page.wait_for_selector("#region .bars li")
            texts = page.locator(".bars .text").all_text_contents()
            assert set(texts) & set(STRANGE.values())
            assert page.title() == "Voxel Atlas"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        view.shoot("strange-labels")
        page.fill("#concept", "long")
        page.wait_for_selector("#suggestions li")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        view.page.close()


@pytest.mark.parametrize(
    "change",
    [
        "r2 = 'nan'",
        "r2 = CASE WHEN voxel % 2 = 0 THEN 'inf'::FLOAT ELSE '-inf'::FLOAT END",
        "r2 = CASE WHEN voxel < 100 THEN 'nan'::FLOAT WHEN voxel < 200 THEN 'inf'::FLOAT ELSE r2 END",
        "r2 = 0.25",
        "r2 = 0",
    ],
)
def test_values_of_any_kind_are_painted(strange: Serve, visit_at: Visit, pixel: Pixel, change: str) -> None:
    with strange(f"UPDATE encoding SET {change}") as server:
        view = visit_at(server.url)
        page = view.open("/?voxel=250&opacity=1")
        page.wait_for_selector("#card:not([hidden])")
        page.mouse.move(*pixel(page, 250))
        assert "voxel 250" in page.inner_text("#tip")
        assert "NaN" not in page.inner_text("main")
        assert "Infinity" not in page.inner_text("main")
        view.page.close()


def test_a_subject_of_one_voxel_is_shown(strange: Serve, visit_at: Visit) -> None:
    tables = ("voxel", "voxel_roi", "encoding", "significance", "top_image", "label_score")
    with strange(
        *(f"DELETE FROM {table} WHERE voxel > 0" for table in tables), "UPDATE model SET n_voxels = 1"
    ) as server:
        view = visit_at(server.url)
        page = view.open("/?voxel=0&roi=FFA")
        page.wait_for_selector("#card:not([hidden])")
        assert "1 voxel," in page.inner_text("#region header")
        assert page.locator("#rois input").count() == 1
        view.shoot("one-voxel")
        view.page.close()


def test_an_empty_region_is_neither_offered_nor_chosen(strange: Serve, visit_at: Visit) -> None:
    with strange("INSERT INTO roi VALUES ('simulated/T1', 'NOWHERE', 'user', 'It has no voxel.')") as server:
        view = visit_at(server.url)
        page = view.open("/?concept=cake&roi=NOWHERE")
        page.wait_for_selector("#top tbody tr")
        assert page.locator("#rois input[value=NOWHERE]").count() == 0
        assert "NOWHERE" not in page.url
        view.page.close()


@needs_vendor
def test_a_subject_without_a_flat_map_is_shown_in_3d(strange: Serve, visit_at: Visit) -> None:
    with strange(surface="unflattened") as server:
        view = visit_at(server.url)
        page = view.open("/?concept=cake")
        page.wait_for_function("() => performance.getEntriesByName('painted-3d').length")
        assert page.is_disabled("#view-flat")
        assert "no flat map" in page.inner_text("#no-flat")
        page.wait_for_selector("#top tbody tr")
        view.shoot("no-flat-map")
        assert all("404" in error for error in view.errors)
        view.errors.clear()
        view.page.close()


def test_an_atlas_without_models_says_what_fills_it(
    tmp_path: Path, serve: Serve, surfaces: LoadSurface, visit_at: Visit
) -> None:
    with (
        Store.open(str(tmp_path / "atlas.duckdb")) as store,
        Atlas(store, home=tmp_path) as atlas,
        serve(create_app(atlas, Settings(home=tmp_path), load=surfaces)) as server,
    ):
        view = visit_at(server.url)
        view.page.goto(server.url)
        view.page.wait_for_selector("#trouble:not([hidden])")
        assert "voxel-atlas ingest" in view.page.inner_text("#trouble")
        view.shoot("empty")
        view.page.close()
