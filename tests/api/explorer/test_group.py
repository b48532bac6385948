"""All subjects together on the page: simulated subjects on fsaverage5, against what Python gives for the same group."""

import csv
import io
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from browser_page import Visit, downloaded, snippets
from group import make_world
from toy_server import Run, Serve, Server

from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.group.group_maps import GroupMap, GroupRequest, group_map
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.config import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

N, N_SUBJECTS = 642, 5
"""Vertices of each hemisphere that have responses, and subjects."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("together")
    make_world(made, N_SUBJECTS, N)
    return made


@pytest.fixture(scope="module")
def group_atlas(folder: Path) -> Iterator[Atlas]:
    with Atlas.open(str(folder / "atlas.duckdb"), home=folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def together(group_atlas: Atlas, folder: Path, serve: Serve) -> Iterator[Server]:
    with serve(create_app(group_atlas, Settings(home=folder))) as running:
        yield running


def settled(page: "Tab", title: str) -> None:
    """Waits until a map of this title is painted and told of."""
    page.wait_for_function("(text) => document.getElementById('figure-title').textContent.includes(text)", arg=title)
    page.wait_for_function("() => !document.body.classList.contains('busy')")
    page.wait_for_selector("#group:not([hidden])")


def drawn(page: "Tab") -> dict[int, dict[str, str]]:
    lines = csv.DictReader(io.StringIO(downloaded(page, "csv")[1].decode()))
    return {int(line["voxel"]): line for line in lines}


def literal(group_atlas: Atlas, **given: Any) -> GroupMap:
    return group_map(group_atlas, GroupRequest(concept="face", **given))


def test_all_subjects_are_chosen_painted_listed_and_opened(
    visit_at: Visit, together: Server, group_atlas: Atlas
) -> None:
    view = visit_at(together.url)
    page = view.open("/?concept=face&with=concept:cake")
    page.select_option("#model", label="all subjects")
    settled(page, "Mean similarity to “face”, all subjects")
    found = literal(group_atlas)
    assert f"{N_SUBJECTS} subjects on fsaverage5" in page.inner_text("#group h2")
    assert page.inner_text("#quantity").endswith(f"{N_SUBJECTS} subjects on fsaverage5")
    assert f"{found.statistics.n_significant:,} of {2 * N:,} vertices" in page.inner_text("#group")
    assert f"r {found.mean_leave_one_out:.2f}" in page.inner_text("#group")
    assert page.is_visible("#simulated")
    assert page.is_hidden(".top")
    assert page.is_hidden("#versus")
    shown = drawn(page)
    values = {at: float(line["value"]) for at, line in shown.items()}
    assert values == pytest.approx(
        {int(at): float(found.values[at]) for at in np.flatnonzero(np.isfinite(found.values))}
    )
    assert [float(line["q"]) for line in shown.values()] == pytest.approx(found.frame()["q"].to_list(), rel=1e-5)
    best = max(values, key=values.__getitem__)
    page.locator("#group .link").first.click()
    page.wait_for_selector("#card:not([hidden])")
    card = page.inner_text("#card")
    assert f"fsaverage5, number {best}" in card
    own = found.similarities[:, best]
    assert [bar.split()[-1] for bar in page.locator("#card .bars li").all_inner_texts()] == [
        f"{value:.3f}".replace("-", "−") for value in own
    ]
    assert "FFA" in page.locator("#card .chips").inner_text()
    assert f"voxel={best}" in page.url
    assert page.locator("#multiples figure").count() == N_SUBJECTS
    view.shoot("group")


def test_a_group_shows_its_other_numbers_where_they_pass(visit_at: Visit, together: Server, group_atlas: Atlas) -> None:
    page = visit_at(together.url).open("/?model=all&concept=face")
    settled(page, "Mean similarity")
    page.fill("#group-q", "0.5")
    page.press("#group-q", "Enter")
    page.wait_for_function("() => document.getElementById('quantity').textContent.includes('q over subjects ≤ 0.5')")
    for show, title in (("t", "t over"), ("q", "q over"), ("agree", "Subjects whose")):
        page.select_option("#group-show", show)
        settled(page, title)
        found = literal(group_atlas, show=show, group_q=0.5)
        shown = {at: float(line["value"]) for at, line in drawn(page).items()}
        kept = np.flatnonzero(np.isfinite(found.values))
        assert 0 < len(kept) < 2 * N
        assert shown == pytest.approx({int(at): float(found.values[at]) for at in kept}, rel=1e-5)
        place = found.vertices(found.first_vertices(1)).row(0, named=True)
        assert page.locator("#group .link").first.inner_text() == f"{place['vertex']} {place['hemisphere']}"


def test_every_door_s_code_gives_the_group_that_is_drawn(
    visit_at: Visit, together: Server, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = visit_at(together.url).open("/?model=all&concept=face&over=t&smooth=1&groupq=0.9&maxq=0.2&specific=1")
    settled(page, "t over subjects")
    shown = {at: float(line["value"]) for at, line in drawn(page).items()}
    code = snippets(page)
    for name in ("VOXEL_ATLAS_HOME", "TEST_HOME"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.chdir(tmp_path)

    told: dict[str, Any] = {}
    exec(code["Python"], told)
    kept = np.flatnonzero(np.isfinite(told["values"])).tolist()
    assert dict(zip(kept, told["values"][kept].tolist(), strict=True)) == pytest.approx(shown, rel=1e-5)
    picture = (tmp_path / "map.png").read_bytes()

    status, _, said = run(*shlex.split(code["Command line"])[1:])
    assert status == 0, said
    assert (tmp_path / "map.png").read_bytes() == picture
    table = pl.read_csv(tmp_path / "vertices.csv").filter(pl.col("q") <= 0.9)
    numbers = table["vertex"] + 10_242 * (table["hemisphere"] == "right").cast(int)
    assert dict(zip(numbers.to_list(), table["t"].to_list(), strict=True)) == pytest.approx(shown, rel=1e-5)

    answer = together.data(code["GraphQL"])["groupMap"]
    assert together.client.get(answer["url"]).content == picture
    for row in answer["vertices"]:
        assert row["t"] == pytest.approx(shown[row["number"]], rel=1e-5)
    assert len(answer["vertices"]) == min(100, len(shown))


def test_a_region_limits_the_list_and_a_small_map_opens_its_subject(
    visit_at: Visit, together: Server, group_atlas: Atlas
) -> None:
    page = visit_at(together.url).open("/?model=all&concept=cake&voxel=3&roi=FFA")
    settled(page, "Mean similarity")
    page.wait_for_function("() => document.getElementById('group').textContent.includes('FFA: ')")
    assert set(page.locator("#group .scroll").first.locator("td:nth-child(2)").all_inner_texts()) == {"FFA"}
    page.wait_for_selector("#card:not([hidden])")
    page.locator("#multiples .link").nth(1).click()
    page.wait_for_selector("#top tbody tr")
    page.wait_for_function("() => document.getElementById('figure-title').textContent.startsWith('Similarity to')")
    assert page.input_value("#model") == sorted(group_atlas.models()["model_id"])[1]
    assert page.is_hidden("#group")
    assert page.is_hidden("#multiples")
    assert page.is_hidden("#card")
    assert "model=all" not in page.url


def test_one_subject_or_none_that_meets_another_is_told_in_one_sentence(visit: Visit) -> None:
    view = visit()
    page = view.page
    page.goto(f"{view.url}/?model=all&concept=cake")
    page.wait_for_selector("#trouble:not([hidden])")
    said = page.inner_text("#trouble")
    assert said.startswith("A group takes two subjects or more that meet on fsaverage or fs_LR, and there is none.")
    assert page.inner_text("#figure-title") == "All subjects"
    assert page.is_hidden("#group")
    assert page.is_hidden("#legend")
    view.errors.clear()  # the browser counts the answer among them
    page.goto(f"{view.url}/?model=all")
    page.wait_for_function("() => document.getElementById('trouble').textContent.includes('is of a concept')")


def test_nothing_of_a_group_is_in_the_way_of_who_does_not_see_it(visit_at: Visit, together: Server) -> None:
    axe = Path(__file__).parents[3] / "api" / "web" / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.exists():
        pytest.skip("needs api/web/node_modules: see api/web/README.md")
    for width, scheme in ((375, "dark"), (1440, "light")):
        view = visit_at(together.url, width=width, scheme=scheme)
        page = view.open("/?model=all&concept=face&voxel=5")
        settled(page, "Mean similarity")
        page.wait_for_selector("#card:not([hidden])")
        page.evaluate(axe.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run().then((result) => result.violations)")
        assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        view.shoot(f"group-{width}-{scheme}")


def test_two_subjects_that_meet_nowhere_are_told_which_file_would_lead_there(
    visit_at: Visit, two_subjects: Server
) -> None:
    view = visit_at(two_subjects.url)
    page = view.open("/?concept=cake&voxel=20")
    page.wait_for_selector("#card:not([hidden])")
    page.select_option("#model", label="all subjects")
    page.wait_for_selector("#trouble:not([hidden])")
    said = page.inner_text("#trouble")
    assert "simulated/T1 is left out: Nothing leads from 'toy' to fsaverage." in said
    assert "white-to-fsaverage.mgz" in said
    assert "surf/lh.sphere.reg" in said
    assert page.is_hidden("#card")
    view.errors.clear()  # the browser counts the answer among them
    page.select_option("#model", index=0)
    page.wait_for_selector("#top tbody tr")
    page.wait_for_selector("#trouble", state="hidden")
