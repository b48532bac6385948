"""What the page gives to keep: pictures, numbers, and the questions that gave them."""

import csv
import io

import numpy as np
import pytest
from browser_page import Visit, downloaded, needs_vendor
from PIL import Image
from toy_server import Server

from voxel_atlas.atlas.search.atlas import Atlas

LISTEN = """() => {
  const all = CanvasRenderingContext2D.prototype, old = all.fillText;
  window.said = [];
  all.fillText = function (text, ...at) { window.said.push(text); old.call(this, text, ...at); };
}"""
"""Notes what is written into pictures from now on."""


@pytest.mark.parametrize("address", ["/?concept=cake&voxel=20", "/?show=r2_of_ceiling&significant=1"])
def test_what_is_shown_can_be_had_as_files(visit: Visit, server: Server, atlas: Atlas, address: str) -> None:
    page = visit().open(address)
    page.wait_for_load_state("networkidle")
    files = {}
    for suffix in ("png", "svg", "pdf", "csv", "graphql", "sql"):
        name, files[suffix] = downloaded(page, suffix)
        assert name.endswith(f".{suffix}")
    assert Image.open(io.BytesIO(files["png"])).width == 2048
    assert files["pdf"].startswith(b"%PDF")
    assert files["svg"].lstrip().startswith(b"<?xml")
    lines = list(csv.DictReader(io.StringIO(files["csv"].decode())))
    expected = atlas.sql("SELECT count(*) AS n FROM significance WHERE q <= 0.05")["n"][0]
    assert len(lines) == (300 if "concept" in address else expected)
    assert {"FFA", "FOOD"} <= {line["regions"] for line in lines}
    assert float(lines[0]["value"]) < 1
    (node,) = server.data(f"{{ voxel(index: {lines[0]['voxel']}) {{ xMm yMm zMm }} }}").values()
    assert [float(lines[0][f"{axis}_mm"]) for axis in "xyz"] == pytest.approx([node[f"{axis}Mm"] for axis in "xyz"])
    if "concept" in address:
        mapped = atlas.model().map("cake").frame
        for column in ("z", "concept_q"):
            told = [float(line[column]) for line in lines]
            np.testing.assert_allclose(told, mapped[column], rtol=1e-5, atol=1e-30)
    query = files["graphql"].decode()
    picture = query[query.rindex("query Picture") :]
    assert server.data(picture)["flatmap"]["url"].startswith("/flatmaps/")
    statement = files["sql"].decode()
    assert len(atlas.sql(statement)) > 100


def test_pictures_show_the_brushed_region_and_the_open_voxel(visit: Visit) -> None:
    pictures = []
    for more in ("", "&brush=250_450_60&voxel=20"):
        page = visit().open(f"/?concept=cake{more}")
        page.wait_for_selector("#card:not([hidden])" if more else "#top tbody tr")
        image = Image.open(io.BytesIO(downloaded(page, "png")[1]))
        pictures.append(np.ptp(np.asarray(image.convert("RGB"), int), axis=2))
    plain, brushed = pictures
    assert 0.05 < (brushed > 60).sum() / (plain > 60).sum() < 0.7
    assert b'id="voxel 20-0"' in downloaded(page, "svg")[1]


@needs_vendor
def test_a_picture_in_3d_says_below_it_what_it_shows(visit: Visit) -> None:
    page = visit().open("/?concept=cake&minz=2&band=0&view=3d")
    page.wait_for_function("() => performance.getEntriesByName('painted-3d').length > 1")
    page.evaluate(LISTEN)
    _, content = downloaded(page, "png")
    title, unit, left_out, model, low, high = page.evaluate("window.said")
    assert title == "Similarity to “cake”"
    assert unit == "cosine similarity (weights, against the vocabulary)"
    assert left_out == "only z ≥ 2"
    assert model.endswith(" (simulated)")
    assert float(high) == -float(low.replace("−", "-")) > 0
    width, height = page.evaluate("(({ width, height }) => [width, height])(document.getElementById('solid'))")
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("L"), int)
    assert picture.shape[1] == width
    assert (picture[height:] < 80).sum() > 200


def test_the_sql_of_a_contrast_ranks_voxels_as_the_page_does(visit: Visit, atlas: Atlas) -> None:
    page = visit().open("/?concept=cake+-+face&compare=weights")
    page.wait_for_selector("#top tbody tr")
    found = atlas.sql(downloaded(page, "sql")[1].decode())
    listed = [int(text) for text in page.locator("#top tbody th").all_inner_texts()]
    places = {voxel: place for place, voxel in enumerate(found["voxel"].to_list())}
    assert [places[voxel] for voxel in listed] == sorted(places[voxel] for voxel in listed)


def test_maps_side_by_side_are_one_picture(visit: Visit) -> None:
    page = visit().open("/?concept=cake&with=concept:house&roi=FFA")
    page.wait_for_function("() => document.querySelector('.scatter')")
    page.evaluate(LISTEN)
    name, picture = downloaded(page, "png")
    assert "-cake-against-house" in name
    said = page.evaluate("window.said")
    said = said[said.index("A · “cake”") :]
    assert said[:4] == [
        "A · “cake”",
        "B · “house”",
        "A − B · z of the preference",
        "One against the other, a dot for each voxel",
    ]
    assert "voxels prefer A, “cake” (95 % interval" in said[-1]
    assert Image.open(io.BytesIO(picture)).width == 2 * 1024 + 3 * 24
