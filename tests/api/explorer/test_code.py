"""The code beside a map gives its numbers, by every door."""

import csv
import io
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from browser_page import Visit, downloaded, snippets
from toy_server import Run, Server

from voxel_atlas.atlas.search.atlas import Atlas

ADDRESSES = [
    "/?concept=cake&band=0",
    "/?concept=cake+-+face&show=z&minz=1&significant=1",
    "/?concept=it%27s+a+%22cake%22&compare=pattern&maxq=0.2&all=1&band=0",
    "/?show=r2&significant=1",
    "/?show=q",
    "/?concept=cake&compare=labels",
]


def drawn(page: Any) -> dict[int, float]:
    lines = csv.DictReader(io.StringIO(downloaded(page, "csv")[1].decode()))
    return {int(line["voxel"]): float(line["value"]) for line in lines}


def same(found: dict[int, float], shown: dict[int, float]) -> None:
    assert found.keys() == shown.keys()
    for voxel, value in shown.items():
        assert found[voxel] == pytest.approx(value, rel=2e-6, abs=1e-6), voxel


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_door_s_code_gives_the_drawn_numbers(
    visit: Visit, server: Server, atlas: Atlas, home: Path, run: Run, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    page = visit().open(address)
    page.wait_for_load_state("networkidle")
    shown, code = drawn(page), snippets(page)
    column = (
        "z"
        if "show=z" in address
        else "similarity"
        if "concept" in address
        else address.split("show=")[1][:2].strip("&")
    )
    by_labels = "compare=labels" in address
    monkeypatch.setenv("VOXEL_ATLAS_HOME", str(home))

    if not by_labels:
        table = atlas.sql(code["SQL (voxel-atlas sql)"])
        same(dict(table.select("voxel", pl.col(column).cast(float)).iter_rows()), shown)

    picture, numbers = (shlex.split(line.split(" > ")[0])[1:] for line in code["Command line"].split("\n"))
    status, out, err = run(*numbers)
    assert status == 0, err
    rows = pl.read_csv(io.StringIO(out))
    same(dict(rows.select("voxel", pl.col(column).cast(float)).iter_rows()), shown)
    assert picture[:1] == ["flatmap"]
    assert picture[-2:] == ["-o", "map.png"]

    answer = server.data(code["GraphQL"])
    assert answer["flatmap"]["url"].startswith("/flatmaps/")
    nodes = [edge["node"] for edge in answer.get("similarVoxels", {"edges": []})["edges"]]
    for node in nodes:
        assert node[column] == pytest.approx(shown[node["voxel"]], rel=2e-6, abs=1e-6)
    assert len(nodes) == (min(100, len(shown)) if "concept" in address else 0)

    python = code["Python"]
    told: dict[str, Any] = {}
    exec(python.replace('shown.plot().save("map.png")', "columns = shown.frame['voxel'].to_list()"), told)
    kept = np.isfinite(told["values"])
    same(dict(zip(np.array(told["columns"])[kept].tolist(), told["values"][kept].tolist(), strict=True)), shown)


def test_maps_side_by_side_have_code_each_and_of_their_difference(visit: Visit, atlas: Atlas) -> None:
    view = visit()
    page = view.open("/?concept=cake&with=concept:house&band=0")
    page.wait_for_function("() => document.querySelector('.scatter')")
    code = snippets(page)
    assert [title for title in code if title.endswith("Python")] == ["Python", "B · Python", "A − B · Python"]
    other = atlas.sql(code["B · SQL (voxel-atlas sql)"])
    assert other["similarity"].to_list() == pytest.approx(
        atlas.model().map("house").frame["similarity"].to_list(), abs=1e-6
    )
    of_difference = {title: text.split("\n")[0] for title, text in code.items() if title.startswith("A − B")}
    remark = "The page's A − B is pale where q > 0.05 either way; nothing is pale here."
    assert of_difference == {
        title: f"{'--' if 'SQL (' in title else '#'} {remark}" for title in code if title.startswith("A − B")
    }
    between = atlas.sql(code["A − B · SQL (voxel-atlas sql)"])
    assert between["z"].to_list() == pytest.approx(atlas.model().map("cake - house").frame["z"].to_list(), rel=1e-5)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("[aria-label='Copy B · Python']")
    page.wait_for_function("() => document.querySelector(\"[aria-label='Copy B · Python']\").textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == code["B · Python"]
    view.shoot("code")
