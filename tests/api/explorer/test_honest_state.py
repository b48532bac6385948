"""What the page says of itself: which model it shows, which it cannot, what it waits for, and what it cannot draw."""

import json
import re
from typing import Any

from browser_page import Visit, needs_vendor
from toy_server import Server

GONE = "simulated/T1/gone/000000"


def test_models_are_named_for_people(visit_at: Visit, two_subjects: Server) -> None:
    page = visit_at(two_subjects.url).open("/?concept=cake")
    *names, together = page.locator("#model option").all_inner_texts()
    assert (len(names), together) == (2, "all subjects")
    assert all(re.fullmatch(r"simulated/T[12] · toy · \d{4}-\d\d-\d\d", name) for name in names)
    assert page.input_value("#model") in page.inner_text("#quantity")


def test_a_link_to_an_unknown_model_shows_no_other_in_its_place(visit: Visit) -> None:
    view = visit()
    page = view.page
    page.goto(f"{view.url}/?concept=cake&model={GONE}")
    page.wait_for_selector("#trouble:not([hidden])")
    assert f"The model {GONE} is not in this atlas" in page.inner_text("#trouble")
    assert page.input_value("#model") == GONE
    assert page.is_hidden("#legend")
    assert GONE in page.evaluate("decodeURIComponent(location.search)")
    view.shoot("unknown-model")
    page.select_option("#model", index=1)
    page.wait_for_selector("#legend:not([hidden])")
    page.wait_for_selector("#trouble", state="hidden")
    page.wait_for_selector("#top tbody tr")


def test_switching_the_subject_clears_what_belongs_to_the_other(visit_at: Visit, two_subjects: Server) -> None:
    view = visit_at(two_subjects.url)
    models = two_subjects.data("{ models { modelId subjectId } }")["models"]
    one, other = (next(m["modelId"] for m in models if m["subjectId"] == f"simulated/T{n}") for n in (1, 2))
    page = view.open(f"/?concept=cake&model={one}&voxel=20&roi=FOOD&brush=250_250_20&at=300_500_300")
    page.wait_for_selector("#card:not([hidden])")
    page.select_option("#model", other)
    page.wait_for_function("(id) => document.getElementById('quantity').textContent.includes(id)", arg=other)
    page.wait_for_function("() => !document.body.classList.contains('busy')")
    assert page.is_hidden("#card")
    assert not {"voxel=", "brush=", "at="} & {f"{key}=" for key in page.evaluate(
        "[...new URLSearchParams(location.search).keys()]"
    )}  # fmt: skip
    # A region of the same name is one of the other subject's, and is chosen there.
    assert page.is_checked("#rois input[value=FOOD]")
    assert set(page.locator("#top tbody td:nth-child(2)").all_inner_texts()) == {"FOOD"}


COUNT_LABELS_READ = """(() => {
  const read = Response.prototype.arrayBuffer;
  window.labelsRead = 0;
  Response.prototype.arrayBuffer = async function () {
    const buffer = await read.call(this);
    if (this.url.includes("toplabels")) window.labelsRead++;
    return buffer;
  };
})()"""


def test_first_labels_that_come_late_are_not_taken_for_another_model_s(visit_at: Visit, two_subjects: Server) -> None:
    view = visit_at(two_subjects.url)
    models = two_subjects.data("{ models { modelId subjectId } }")["models"]
    one, other = (next(m["modelId"] for m in models if m["subjectId"] == f"simulated/T{n}") for n in (1, 2))
    late: list[Any] = []
    view.page.add_init_script(COUNT_LABELS_READ)
    view.page.route("**/toplabels*", lambda route: route.continue_() if late else late.append(route))
    with view.page.expect_request("**/toplabels*"):
        page = view.open(f"/?concept=cake&model={one}&roi=FOOD")
    page.select_option("#model", other)
    page.wait_for_selector("#region .bars li")
    shown = page.locator("#region .bars .text").all_inner_texts()
    answer = late[0].fetch().body()
    assert b'"cake"' in answer
    late[0].fulfill(body=answer.replace(b'"cake"', b'"late"'))
    page.wait_for_function("() => window.labelsRead === 2")
    assert page.locator("#region .bars .text").all_inner_texts() == shown


def test_a_model_that_is_removed_while_it_is_shown_is_said(visit: Visit) -> None:
    view = visit()
    page = view.page

    def without(route: Any) -> None:
        if "ingestProgress" in (route.request.post_data or "") or "models {" not in (route.request.post_data or ""):
            route.continue_()
        else:
            body = route.fetch().json()
            body["data"]["models"][0]["modelId"] = "simulated/T1/toy/ffffff"
            route.fulfill(body=json.dumps(body), content_type="application/json")

    page = view.open("/?concept=cake")
    page.wait_for_selector("#top tbody tr")
    shown = page.input_value("#model")
    page.route("**/graphql", without)
    page.goto(page.url)
    page.wait_for_selector("#trouble:not([hidden])")
    assert f"{shown} is not in this atlas: it was removed" in page.inner_text("#trouble")
    assert page.locator("#model option").all_inner_texts()[0] == f"{shown} · not in this atlas"


def test_what_takes_long_is_said_and_for_how_long(visit: Visit) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    page.wait_for_selector("#top tbody tr")
    held: list[Any] = []
    page.route("**/values?*house*", lambda route: held.append(route))
    page.fill("#concept", "house")
    page.press("#concept", "Enter")
    page.wait_for_selector("#waiting:not([hidden])")
    assert page.inner_text("#waiting") == "Working out the map of “house” …"
    page.wait_for_function("() => /\\(\\d+ s\\)$/.test(document.getElementById('waiting').textContent)")
    view.shoot("waiting")
    for route in held:
        route.continue_()
    page.wait_for_selector("#waiting", state="hidden")
    assert "house" in page.inner_text("#figure-title")


@needs_vendor
def test_without_webgl_the_flat_map_stays(visit: Visit) -> None:
    view = visit()
    view.page.add_init_script(
        """const get = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
          return kind.startsWith("webgl") ? null : get.call(this, kind, ...more);
        };"""
    )
    page = view.open("/?concept=cake&view=3d")
    page.wait_for_selector("#trouble:not([hidden])")
    assert page.inner_text("#trouble").startswith("This browser has no WebGL, so it cannot show the cortex in 3-D; ")
    assert page.is_visible("#map")
    assert page.get_attribute("#view-flat", "aria-pressed") == "true"
    assert all("WebGL" in error for error in view.errors)
    view.errors.clear()


def test_a_selection_of_no_voxel_is_said(visit: Visit) -> None:
    page = visit().open("/?concept=cake&brush=0_0_1")
    page.wait_for_selector("#region:not([hidden])")
    assert "No voxel is selected" in page.inner_text("#region")
