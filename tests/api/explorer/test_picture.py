"""A picture as the question: what the page shows of it is what Python answers, and bad ones change nothing."""

import base64
import csv
import io
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from browser_page import Visit, downloaded, snippets
from PIL import Image
from toy_network import Toy
from toy_server import Run, Server

from voxel_atlas.api.http.assets import WEB
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.limits import LIMITS

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

PIXELS = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)


def png(pixels: np.ndarray = PIXELS) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def animation() -> bytes:
    file = io.BytesIO()
    first, *others = (Image.fromarray(np.full((8, 8, 3), shade, np.uint8)) for shade in (0, 100, 200))
    first.save(file, "GIF", save_all=True, append_images=others)
    return file.getvalue()


def ask(page: "Tab", content: bytes, name: str = "my photo.png") -> None:
    page.set_input_files("#picture-file", {"name": name, "mimeType": "image/png", "buffer": content})


def answered(page: "Tab", name: str = "my photo.png") -> None:
    page.wait_for_function("(name) => document.getElementById('figure-title').textContent.includes(name)", arg=name)
    page.wait_for_selector("#picture:not([hidden]) img")
    page.wait_for_function("() => !document.body.classList.contains('busy')")
    page.wait_for_selector("#top tbody tr")


def test_a_chosen_picture_is_answered_as_python_answers_it(visit: Visit, atlas: Atlas) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    ask(page, png())
    answered(page)
    model = atlas.model()
    expected = dict(model.predict(PIXELS).select("voxel", "response").iter_rows())
    lines = csv.DictReader(io.StringIO(downloaded(page, "csv")[1].decode()))
    assert {int(line["voxel"]): float(line["value"]) for line in lines} == pytest.approx(expected, abs=1e-5)
    assert "predicted response" in page.inner_text("#quantity")
    first = model.similar(image=PIXELS, first=20).frame
    assert [row.get_attribute("data-voxel") for row in page.locator("#top tbody tr").all()] == [
        str(voxel) for voxel in first["voxel"]
    ]
    near = page.locator("#picture .chip")
    assert near.all_inner_texts() == model.nearest_concepts(PIXELS)["concept"].to_list()
    view.shoot("picture")
    noun = near.first.inner_text()
    near.first.click()
    page.wait_for_function("(noun) => document.getElementById('figure-title').textContent.includes(noun)", arg=noun)
    assert page.is_hidden("#picture")
    assert page.input_value("#concept") == noun


def test_map_nouns_and_list_of_a_picture_take_one_pass_of_the_network(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_encoded, features = list[int](), Toy.features

    def counting(self: Toy, images: Sequence[np.ndarray]) -> np.ndarray:
        n_encoded.append(len(images))
        return features(self, images)

    monkeypatch.setattr(Toy, "features", counting)
    page = visit().open("/?concept=cake")
    ask(page, png(PIXELS[::-1]))
    answered(page)
    assert n_encoded == [1]


def test_what_is_asked_while_a_picture_is_waited_for_stays(visit: Visit) -> None:
    page = visit().open("/?concept=cake")

    def wait(route: Any) -> None:
        if route.request.method != "POST":
            route.continue_()

    page.route("**/values?*", wait)
    with page.expect_request(lambda request: request.method == "POST" and "/values?" in request.url):
        ask(page, png())
    page.fill("#concept", "face")
    page.press("#concept", "Enter")
    page.wait_for_function("() => document.getElementById('figure-title').textContent.includes('face')")
    assert page.input_value("#concept") == "face"
    assert "concept=face" in page.url


def test_a_picture_is_chosen_by_the_keyboard_alone(visit: Visit) -> None:
    page = visit().open("/")
    page.evaluate(
        """() => document.getElementById("picture-file").addEventListener("click", (event) => {
          event.preventDefault();
          window.chosen = true;
        })"""
    )
    page.focus("#picture-choose")
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.chosen")


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(visit: Visit, how: str) -> None:
    page = visit().open("/?concept=cake")
    page.evaluate(
        """([how, text]) => {
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          const carried = new DataTransfer();
          carried.items.add(new File([bytes], "my photo.png", { type: "image/png" }));
          const event = how === "drop" ? new DragEvent(how, { dataTransfer: carried, bubbles: true, cancelable: true })
            : new ClipboardEvent(how, { clipboardData: carried, bubbles: true });
          document.body.dispatchEvent(event);
        }""",
        [how, base64.b64encode(png()).decode()],
    )
    answered(page)
    page.click("#picture [aria-label='Take the picture away']")
    page.wait_for_function("() => document.getElementById('figure-title').textContent.startsWith('How well')")
    assert page.is_hidden("#picture")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"%PDF-1.7 a paper", r"The image: not a readable image \(of no known format\); send a file of PNG, JPEG"),
        (png()[:400], r"The image: not a readable image \(.*\); send a file of PNG, JPEG"),
        (png(np.zeros((5001, 8000, 3), np.uint8)), r"The image has 8000 × 5001 pixels; at most 40 million are read"),
        (animation(), r"The image is an animation, of which no one picture is meant; send one of them\."),
        (bytes(LIMITS.picture_bytes + 1), r"my photo\.png has 8\.0 MB, of which 8 are read; make it smaller\."),
    ],
    ids=["PDF", "broken", "40 megapixels", "animation", "large"],
)
def test_what_is_no_picture_is_one_sentence_and_changes_nothing(visit: Visit, content: bytes, said: str) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    page.wait_for_selector("#top tbody tr")
    ask(page, content)
    page.wait_for_selector("#trouble:not([hidden])")
    sentence = page.inner_text("#trouble")
    assert re.match(said, sentence)
    assert sentence.count(". ") == 0
    page.wait_for_function("() => document.getElementById('concept').value === 'cake'")
    assert "“cake”" in page.inner_text("#figure-title")
    assert page.is_hidden("#picture")
    assert "concept=cake" in page.url
    view.errors.clear()  # the browser counts a refused request among them


def test_every_door_s_code_gives_what_the_picture_is_answered(
    visit: Visit, server: Server, home: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = visit().open("/")
    ask(page, png())
    answered(page)
    lines = csv.DictReader(io.StringIO(downloaded(page, "csv")[1].decode()))
    shown = {int(line["voxel"]): float(line["value"]) for line in lines}
    code = snippets(page)
    (tmp_path / "my photo.png").write_bytes(png())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXEL_ATLAS_HOME", str(home))

    picture, numbers = (shlex.split(line.split(" > ")[0])[1:] for line in code["Command line"].split("\n"))
    status, out, said = run(*numbers)
    assert status == 0, said
    rows = pl.read_csv(io.StringIO(out))
    assert dict(rows.select("voxel", "response").iter_rows()) == pytest.approx(shown, abs=1e-5)
    assert picture[:3] == ["flatmap", "--picture", "my photo.png"]

    told: dict[str, Any] = {}
    exec(code["Python"].replace('shown.plot().save("map.png")', ""), told)
    assert dict(zip(told["shown"].frame["voxel"], told["values"].tolist(), strict=True)) == pytest.approx(
        shown, abs=1e-5
    )

    answer = server.data(code["GraphQL"], image=base64.b64encode(png()).decode())
    drawn = server.client.get(answer["flatmap"]["url"])
    assert Image.open(io.BytesIO(drawn.content)).width == 1024
    assert answer["similarVoxels"]["edges"]
    assert downloaded(page, "png")[1][:4] == b"\x89PNG"


def test_a_picture_is_in_no_link_and_on_no_disk(visit: Visit, home: Path) -> None:
    def files() -> set[Path]:
        return {path for path in home.rglob("*") if path.is_file() and "flatmaps" not in path.parts}

    before = files()
    page = visit().open("/")
    ask(page, png())
    answered(page)
    assert "picture" not in page.url
    assert files() == before


def test_the_page_sends_as_much_as_the_server_reads() -> None:
    (most,) = re.findall(r"MOST_BYTES = ([\d_]+);", (WEB / "picture.js").read_text(encoding="utf-8"))
    assert int(most) == LIMITS.picture_bytes
