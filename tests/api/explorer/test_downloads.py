"""What the page gives to keep: pictures, numbers, and the questions that gave them."""

import base64
import csv
import io
import json
import re
from html import unescape
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser_page import Visit, downloaded, needs_vendor
from PIL import Image
from toy_server import Server

from voxel_atlas.atlas.search.atlas import Atlas

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab


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


def letters(page: "Tab") -> list[str]:
    """What is written in the figure of what is seen."""
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", downloaded(page, "svg")[1].decode())]


def test_figures_show_the_brushed_region_and_the_open_voxel(visit: Visit) -> None:
    pictures = []
    for more in ("", "&brush=250_450_60&voxel=20"):
        page = visit().open(f"/?concept=cake{more}")
        page.wait_for_selector("#card:not([hidden])" if more else "#top tbody tr")
        image = Image.open(io.BytesIO(downloaded(page, "png")[1]))
        pictures.append(np.ptp(np.asarray(image.convert("RGB"), int), axis=2))
    plain, brushed = pictures
    assert 0.05 < (brushed > 60).sum() / (plain > 60).sum() < 0.7
    assert downloaded(page, "svg")[1].count(b'stroke="#ffd640"') == 1


def test_a_figure_says_what_it_shows_and_is_the_same_in_every_file(visit: Visit) -> None:
    page = visit().open("/?concept=cake&minz=2&band=0")
    page.wait_for_load_state("networkidle")
    said = letters(page)
    assert said[0] == "Similarity to “cake”"
    assert {"FFA", "FOOD", "only z ≥ 2"} <= set(said)
    assert "cosine similarity (weights, against the vocabulary)" in said
    assert said[-1].endswith(" · simulated subject")
    ends = [page.inner_text(f"#{end}") for end in ("lo", "middle", "hi")]
    assert [text for text in said if text in ends][:3] == ends
    assert float(ends[2]) == -float(ends[0].replace("−", "-")) > 0
    pdf = downloaded(page, "pdf")[1]
    assert pdf.startswith(b"%PDF")
    assert b"DejaVuSans-Bold" in pdf
    picture = Image.open(io.BytesIO(downloaded(page, "png")[1]))
    drawn = downloaded(page, "svg")[1].decode()
    size = re.search(r'<svg[^>]* width="(\d+)" height="(\d+)"', drawn)
    assert size
    assert picture.size == (2 * int(size[1]), 2 * int(size[2]))


def test_a_figure_of_a_part_shows_that_part_and_has_a_name_of_its_own(visit: Visit) -> None:
    page = visit().open("/?concept=cake&at=250_500_400")
    page.wait_for_load_state("networkidle")
    name, part = downloaded(page, "svg")
    assert name.endswith("-part-250-500-400.svg")
    names = re.findall(r"font-weight=\"700\"[^>]*>([^<]*)<", part.decode())
    page.click("#zoom-reset")
    page.wait_for_function("() => !document.getElementById('stage').classList.contains('moving')")
    whole = downloaded(page, "svg")[1].decode()
    assert 1 < len(set(names)) < len(set(re.findall(r"font-weight=\"700\"[^>]*>([^<]*)<", whole)))


def test_a_figure_that_cannot_be_fine_is_not_made_coarse_instead(visit: Visit) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    page.wait_for_load_state("networkidle")
    page.route("**/pixelmaps/**", lambda route: route.abort())
    page.click("#download summary")
    page.click("#download-svg")
    page.wait_for_selector("#trouble:not([hidden])")
    assert page.inner_text("#trouble") == "The server does not answer; is `voxel-atlas serve` still running?"
    view.errors.clear()  # the browser counts the refused request among them
    page.unroute("**/pixelmaps/**")
    assert downloaded(page, "svg")[1].startswith(b"<?xml")


@needs_vendor
def test_a_figure_in_3d_says_below_it_what_it_shows(visit: Visit) -> None:
    page = visit().open("/?concept=cake&minz=2&band=0&view=3d&side=left")
    page.wait_for_function("() => performance.getEntriesByName('named-3d').length")
    name, _ = downloaded(page, "svg")
    assert name.endswith("-only-z-2-3-D-left-inflated.svg")
    said = letters(page)
    assert said[0] == "Similarity to “cake”"
    assert said[-2] == "only z ≥ 2"
    assert said[-1].endswith(" · simulated subject")
    seen = page.locator("#solid-names text").all_text_contents()
    assert set(seen) <= set(said)
    picture = Image.open(io.BytesIO(downloaded(page, "png")[1]))
    assert 0.05 < (np.asarray(picture.convert("L"), int) < 210).mean() < 0.8
    assert downloaded(page, "pdf")[1].startswith(b"%PDF")


def test_the_sql_of_a_contrast_ranks_voxels_as_the_page_does(visit: Visit, atlas: Atlas) -> None:
    page = visit().open("/?concept=cake+-+face&compare=weights")
    page.wait_for_selector("#top tbody tr")
    found = atlas.sql(downloaded(page, "sql")[1].decode())
    listed = [int(text) for text in page.locator("#top tbody th").all_inner_texts()]
    places = {voxel: place for place, voxel in enumerate(found["voxel"].to_list())}
    assert [places[voxel] for voxel in listed] == sorted(places[voxel] for voxel in listed)


def test_maps_side_by_side_are_one_figure(visit: Visit) -> None:
    page = visit().open("/?concept=cake&with=concept:house&roi=FFA")
    page.wait_for_function("() => document.querySelector('.scatter .names li')")
    page.wait_for_function("() => document.querySelector('.said .share')?.textContent.includes('interval')")
    name, picture = downloaded(page, "png")
    assert "-cake-against-house" in name
    said = letters(page)
    titles = ["A · “cake”", "B · “house”", "A − B · z of the preference", "One against the other, a dot for each voxel"]
    assert [text for text in said if text in titles] == titles
    assert "pale where q > 0.05 either way" in said
    key = page.locator(".scatter .names li").all_inner_texts()
    after = said[said.index(titles[3]) :]
    assert [text for text in after if text in key] == key
    assert "voxels prefer A, “cake” (95 % interval" in " ".join(said)
    assert Image.open(io.BytesIO(picture)).width == 2048
    assert downloaded(page, "pdf")[1].startswith(b"%PDF")


def test_a_table_has_the_maps_that_stand_side_by_side(visit: Visit, atlas: Atlas) -> None:
    page = visit().open("/?concept=cake&with=concept:house")
    page.wait_for_function("() => document.querySelector('.said .share')?.textContent.includes('prefer A')")
    name, content = downloaded(page, "csv")
    assert "-cake-against-house" in name
    lines = list(csv.DictReader(io.StringIO(content.decode())))
    voxels = [int(line["voxel"]) for line in lines]
    for column, (concept, quantity) in {
        "value": ("cake", "similarity"),
        "value_b": ("house", "similarity"),
        "a_minus_b": ("cake - house", "z"),
    }.items():
        frame = atlas.model().map(concept).frame
        known = dict(zip(frame["voxel"].to_list(), frame[quantity].to_list(), strict=True))
        np.testing.assert_allclose(
            [float(line[column]) for line in lines], [known[voxel] for voxel in voxels], rtol=1e-4, atol=1e-5
        )
    assert all(0 <= float(line["a_minus_b_q"]) <= 1 for line in lines)
    assert "house" not in downloaded(page, "sql")[0]


def test_the_difference_is_as_pale_in_a_figure_as_on_the_page(visit: Visit) -> None:
    page = visit().open("/?concept=cake&with=concept:house")
    page.wait_for_function("() => document.querySelector('.said .share')?.textContent.includes('interval')")
    drawn = downloaded(page, "svg")[1].decode()
    images = re.findall(r'<image href="data:image/png;base64,([^"]+)"', drawn)
    # Each map and its colour bar; the third map is the difference.
    figure = np.asarray(Image.open(io.BytesIO(base64.b64decode(images[4]))).convert("RGB").resize((512, 256), 0), int)
    shown = page.evaluate('document.querySelectorAll("#panels figure.panel canvas")[1].toDataURL()')
    painted = Image.open(io.BytesIO(base64.b64decode(shown.partition(",")[2]))).convert("RGBA")
    canvas = np.asarray(painted.resize((512, 256), 0), int)
    there = canvas[..., 3] > 0
    assert there.mean() > 0.3
    assert np.mean(np.abs(figure - canvas[..., :3]).max(axis=2)[there] <= 2) > 0.97


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("nonsense", "Invalid JSON"),
        ('{"width": 10, "height": 10, "title": ""}', "marks: Field required"),
        ('{"width": 1e9, "height": 10, "title": "", "marks": []}', "width: Input should be less than"),
        ('{"width": 9, "height": 9, "title": "", "marks": [{"path": "M0 0C1 1 2 2 3 3"}]}', "marks.0.PathMark.path"),
        (
            '{"width": 9, "height": 9, "title": "", "marks": [{"image": "!", "x": 0, "y": 0, "width": 9, "height": 9}'
            + "]}",
            "not base64",
        ),
        (
            '{"width": 9, "height": 9, "title": "", "marks": ['
            + ",".join(['{"image": "", "x": 0, "y": 0, "width": 9, "height": 9}'] * 25)
            + "]}",
            "at most 24 images",
        ),
    ],
)
def test_what_is_no_figure_is_refused_in_a_sentence(server: Server, body: str, said: str) -> None:
    answer = server.client.post("/figure.pdf", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert said in answer.json()["errors"][0]["message"]


def test_pixels_of_figures_are_twice_as_fine(server: Server) -> None:
    sizes = []
    for query in ("", "?width=2048"):
        packed = server.client.get(f"/pixelmaps/simulated/T1.bin{query}").content
        header = json.loads(packed[4 : 4 + int.from_bytes(packed[:4], "little")])
        sizes.append((header["width"], header["height"]))
    assert sizes == [(1024, 512), (2048, 1024)]
    refused = server.client.get("/pixelmaps/simulated/T1.bin?width=99999")
    assert refused.status_code == 400
    assert "1024 or 2048 pixels wide" in refused.json()["errors"][0]["message"]
