"""The questions that the atlas answers, asked over HTTP."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile import texts
from hypothesis import example, given, settings
from PIL import Image
from plugin_package import installed
from toy_server import Fill, Serve, Server

from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.registry import SCORERS
from voxel_atlas.schemas.tables import FORMAT_VERSION

VOXELS = """query ($concept: String, $after: String, $first: Int! = 20, $rois: [String!]) {
  similarVoxels(concept: $concept, after: $after, first: $first, rois: $rois, significant: false) {
    totalCount modelId subjectId simulated by readout method generation
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { voxel similarity rois r2 } }
  }
}"""


def png(colour: tuple[int, int, int] = (200, 30, 30)) -> str:
    file = io.BytesIO()
    Image.new("RGB", (32, 24), colour).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_the_documented_query_works_as_written(server: Server) -> None:
    data = server.data(
        '{ similarVoxels(concept: "cake", first: 20) { edges { node { voxel similarity rois r2 '
        "labels(first: 5) { text probability } } } } }"
    )
    nodes = [edge["node"] for edge in data["similarVoxels"]["edges"]]
    assert len(nodes) == 20
    similarity = [node["similarity"] for node in nodes]
    assert similarity == sorted(similarity, reverse=True)
    assert sum(node["rois"] == ["FOOD"] for node in nodes) >= 15
    assert all(len(node["labels"]) == 5 for node in nodes)
    assert sum(node["labels"][0]["text"] in {"cake", "pizza", "banana"} for node in nodes) >= 15


def test_an_answer_says_where_it_comes_from(server: Server) -> None:
    hits = server.data(VOXELS, concept="cake")["similarVoxels"]
    assert hits["modelId"].startswith("simulated/T1/toy/")
    assert hits["simulated"] is True
    assert hits["by"] == "WEIGHTS"
    assert hits["readout"] in {"WEIGHTS", "PATTERN"}
    assert hits["generation"] == 1
    assert hits["totalCount"] == 300


def test_filters_come_before_the_first_page(server: Server) -> None:
    hits = server.data(VOXELS, concept="cake", rois=["PPA"], first=100)["similarVoxels"]
    assert hits["totalCount"] == 60
    assert all(edge["node"]["rois"] == ["PPA"] for edge in hits["edges"])
    none = server.data('{ similarVoxels(concept: "cake", minR2: 0.99) { totalCount edges { node { voxel } } } }')
    assert none["similarVoxels"] == {"totalCount": 0, "edges": []}


@pytest.mark.parametrize("by", ["WEIGHTS", "LABELS"])
def test_ranking_by_weights_and_by_labels_find_the_region(server: Server, by: str) -> None:
    data = server.data(
        f'{{ similarVoxels(concept: "kitchen", by: {by}, first: 10) {{ by edges {{ node {{ rois }} }} }} }}'
    )
    assert data["similarVoxels"]["by"] == by
    assert sum(edge["node"]["rois"] == ["PPA"] for edge in data["similarVoxels"]["edges"]) >= 7


def test_an_image_or_a_voxel_can_be_the_question(server: Server) -> None:
    query = "query ($image: String) { similarVoxels(image: $image, first: 5) { edges { node { voxel } } } }"
    assert len(server.data(query, image=png())["similarVoxels"]["edges"]) == 5
    assert len(server.data(query, image="data:image/png;base64," + png())["similarVoxels"]["edges"]) == 5
    near = server.data("{ voxel(index: 3) { neighbours(first: 5) { voxel similarity rois } } }")["voxel"]["neighbours"]
    assert len(near) == 5
    assert all(node["voxel"] != 3 and node["similarity"] <= 1 for node in near)
    assert sum(node["rois"] == ["FFA"] for node in near) >= 3


def test_one_voxel_tells_all_about_itself(server: Server) -> None:
    voxel = server.data(
        "{ voxel(index: 5) { id voxel rois r2 r q significant noiseCeiling r2OfCeiling i j k hemisphere vertex "
        "simulated labels { text probability rank score method } "
        "topImages(first: 3) { rank stimulusId box response caption url } } }"
    )["voxel"]
    assert voxel["rois"] == ["FFA"]
    assert voxel["r2OfCeiling"] == pytest.approx(0.8, abs=1e-5)
    assert voxel["significant"] == (voxel["q"] <= 0.05)
    assert [label["rank"] for label in voxel["labels"]] == [1, 2, 3, 4, 5]
    assert [image["rank"] for image in voxel["topImages"]] == [1, 2, 3]
    assert voxel["topImages"][1]["box"] == [40, 30, 200, 180]
    assert voxel["topImages"][1]["url"].endswith("?box=40,30,200,180")
    assert voxel["topImages"][0]["caption"].endswith("in a field")
    again = server.data("query ($id: ID!) { node(id: $id) { ... on Voxel { voxel rois } } }", id=voxel["id"])
    assert again["node"] == {"voxel": 5, "rois": ["FFA"]}


def test_every_node_is_found_by_its_global_id(server: Server) -> None:
    found = server.data('{ subjects { id } models { id } rois { id } label(text: "cake") { id } }')
    ids = [found["label"]["id"], *(thing["id"] for kind in ("subjects", "models", "rois") for thing in found[kind])]
    for identity in ids:
        assert server.data("query ($id: ID!) { node(id: $id) { id } }", id=identity)["node"] == {"id": identity}


def test_contents_of_the_atlas(server: Server) -> None:
    data = server.data(
        "{ atlas { format generation simulated nSubjects nModels nVoxels } "
        "subjects { subjectId simulated nVoxels rois { name } models { modelId } } "
        "models { modelId backbone nVoxels nDropped nSignificant finished simulated } "
        "rois { name nVoxels source } runs { runId state modelId } }"
    )
    assert data["atlas"] == {
        "format": FORMAT_VERSION, "generation": 1, "simulated": True, "nSubjects": 1, "nModels": 1, "nVoxels": 300
    }  # fmt: skip
    assert data["subjects"][0]["nVoxels"] == 300
    assert data["models"][0]["finished"] is True
    assert 0 < data["models"][0]["nSignificant"] < 300
    assert {roi["name"]: roi["nVoxels"] for roi in data["rois"]}["VWFA"] == 60
    assert data["runs"][0]["state"] == "finished"


def test_labels_by_region_and_regions_by_label(server: Server) -> None:
    roi = server.data('{ roi(name: "FOOD") { nVoxels topLabels(first: 10) { text nVoxels share } } }')["roi"]
    assert {label["text"] for label in roi["topLabels"]} == {"cake", "pizza", "banana"}
    assert sum(label["share"] for label in roi["topLabels"]) == pytest.approx(1)
    label = server.data(
        '{ label(text: " Cake ") { text nVoxels voxels(first: 5) { probability rank voxel { voxel rois } } '
        "neighbours(first: 2) { text similarity } byRoi { roi nVoxels share } } }"
    )["label"]
    assert label["text"] == "cake"
    assert label["byRoi"][0]["roi"] == "FOOD"
    assert {near["text"] for near in label["neighbours"]} == {"pizza", "banana"}
    probabilities = [voxel["probability"] for voxel in label["voxels"]]
    assert probabilities == sorted(probabilities, reverse=True)


def test_labels_are_searched_and_paged(server: Server) -> None:
    query = """query ($search: String!, $after: String) { labels(search: $search, first: 6, after: $after) {
      totalCount pageInfo { hasNextPage endCursor } edges { node { text nVoxels } } } }"""
    found, after = [], None
    while True:
        page = server.data(query, search="", after=after)["labels"]
        found += [edge["node"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert len({label["text"] for label in found}) == len(found) == page["totalCount"] == 16
    assert [label["nVoxels"] for label in found] == sorted((label["nVoxels"] for label in found), reverse=True)
    only = server.data(query, search="KITCH")["labels"]["edges"]
    assert [edge["node"]["text"] for edge in only] == ["kitchen"]


def test_prediction_and_comparison_answer_or_say_why_not(server: Server) -> None:
    predict = """query ($image: String!) { predict(image: $image, first: 3) {
      ... on Prediction { nVoxels voxels { voxel response } nearest { concept similarity } simulated }
      ... on Problem { code message } } }"""
    prediction = server.data(predict, image=png())["predict"]
    assert prediction["nVoxels"] == 300
    assert len(prediction["voxels"]) == 3
    similarities = [near["similarity"] for near in prediction["nearest"]]
    assert similarities == sorted(similarities, reverse=True)
    assert len(similarities) == 10
    assert server.data(predict, image="no image")["predict"]["code"] == "BAD_INPUT"
    compare = """query ($a: Method!, $b: Method!) { compare(methodA: $a, methodB: $b) {
      ... on Comparison { nVoxels sameShare } ... on Problem { code message } } }"""
    same = server.data(compare, a="BRAINLMM_EQ2", b="BRAINLMM_EQ2")["compare"]
    assert same == {"nVoxels": 300, "sameShare": 1.0}


def test_labels_by_any_scorer_are_had_by_its_name(
    fill_atlas: Fill, serve: Serve, surfaces: LoadSurface, tmp_path: Path
) -> None:
    elsewhere = "Dreamt by 2"
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        with installed(tmp_path / "elsewhere", "elsewhere", {SCORERS.group: {elsewhere: "a:B"}}):
            methods = SCORERS.names
            fill_atlas(store, tmp_path / "stimuli", methods=methods)
        assert set(methods) - set(SCORERS.names) == {elsewhere}
        atlas = Atlas(store, home=tmp_path)
        query = """query ($scorer: String) {
          voxel(index: 3) { labels(scorer: $scorer, first: 2) { text method } }
          rois { topLabels(scorer: $scorer, first: 1) { text method } }
          compare(scorerA: $scorer, scorerB: $scorer) { ... on Comparison { methodA methodB sameShare } } }"""
        with serve(create_app(atlas, Settings(home=tmp_path), load=surfaces)) as server:
            for scorer in methods:
                told = server.data(query, scorer=scorer)
                expected = atlas.model().voxel_labels([3], method=scorer, first=2)["label"].to_list()
                assert told["voxel"]["labels"] == [{"text": text, "method": scorer} for text in expected]
                assert {label["method"] for roi in told["rois"] for label in roi["topLabels"]} == {scorer}
                assert told["compare"] == {"methodA": scorer, "methodB": scorer, "sameShare": 1.0}
            by_enum = "{ voxel(index: 3) { labels(method: CLIP_MSM, first: 1) { method } } }"
            assert server.data(by_enum)["voxel"]["labels"] == [{"method": "clip-msm"}]
            both = '{ voxel(index: 3) { labels(method: CLIP_MSM, scorer: "brainlmm-eq2") { text } } }'
            assert "not both" in server.error(both)["message"]
            unknown = '{ voxel(index: 3) { labels(scorer: "nobody") { text } } }'
            assert f"it has {elsewhere}, brainlmm-eq2" in server.error(unknown)["message"]


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ('{ similarVoxels(concept: "") { totalCount } }', "BAD_INPUT", "concept"),
        ('{ similarVoxels(concept: "' + "a" * 10_000 + '") { totalCount } }', "BAD_INPUT", "200"),
        ("{ similarVoxels { totalCount } }", "BAD_INPUT", "concept"),
        ('{ similarVoxels(concept: "cake", rois: ["XYZ"]) { totalCount } }', "NOT_FOUND", "FFA"),
        ('{ similarVoxels(concept: "cake", model: "nobody") { totalCount } }', "NOT_FOUND", "simulated/T1/toy"),
        ('{ similarVoxels(concept: "cake", first: 0) { totalCount } }', "BAD_INPUT", "1 to 100"),
        ('{ similarVoxels(concept: "cake", first: 1000) { totalCount } }', "BAD_INPUT", "1 to 100"),
        ('{ similarVoxels(concept: "cake", after: "x") { totalCount } }', "BAD_INPUT", "cursor"),
        ("{ voxel(index: 100000) { voxel } }", "NOT_FOUND", "100000"),
        ("{ voxel(index: -1) { voxel } }", "BAD_INPUT", "from 0"),
        ('{ roi(name: "XYZ") { name } }', "NOT_FOUND", "FFA"),
        ('{ label(text: "zebra") { text } }', "NOT_FOUND", "zebra"),
        ("{ flatmap { url } }", "BAD_INPUT", "exactly one"),
        ('{ flatmap(concept: "cake", width: 5) { url } }', "BAD_INPUT", "64"),
        ('{ flatmap(concept: "cake", width: 2147483647) { url } }', "BAD_INPUT", "4096"),
        ('{ flatmap(concept: "cake", range: [1, 0]) { url } }', "BAD_INPUT", "below"),
        ('{ flatmap(concept: "cake", range: [1]) { url } }', "BAD_INPUT", "two"),
        ('{ node(id: "zzz") { id } }', "BAD_INPUT", "zzz"),
        ("{ nothing }", "INVALID_QUERY", "nothing"),
        ("{ similarVoxels(", "INVALID_QUERY", "Syntax"),
        ("mutation { x }", "INVALID_QUERY", "not supported"),
    ],
)
def test_an_expected_failure_has_a_code_and_one_sentence(server: Server, query: str, code: str, words: str) -> None:
    response = server.client.post("/graphql", json={"query": query})
    error = response.json()["errors"][0]
    assert words in error["message"].replace(",", "")
    assert error["extensions"]["code"] == code
    assert len(error["message"]) < 700


def test_an_unexpected_failure_is_masked_and_logged(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret password is swordfish")

    monkeypatch.setattr(Atlas, "subjects", fail)
    error = server.error("{ subjects { subjectId } }")
    assert error["extensions"]["code"] == "INTERNAL"
    assert "swordfish" not in str(error)
    assert error["extensions"]["logId"] in error["message"]
    assert error["extensions"]["logId"] in caplog.text
    assert "swordfish" in caplog.text


@pytest.mark.parametrize(
    "fields",
    [
        "rois r2 labels(first: 5) { text } topImages(first: 4) { caption }",
        "labels { text } neighbours(first: 3) { voxel rois labels { text } topImages { url } }",
    ],
)
def test_statements_do_not_grow_with_the_list(server: Server, monkeypatch: pytest.MonkeyPatch, fields: str) -> None:
    statements: list[str] = []

    def counted(read: Callable[..., Any]) -> Callable[..., Any]:
        def noted(store: Store, sql: str, *given: Any) -> Any:
            statements.append(sql)
            return read(store, sql, *given)

        return noted

    query = f"""query ($n: Int!) {{ similarVoxels(concept: "cake", first: $n, significant: false) {{
      edges {{ node {{ {fields} }} }} }} }}"""
    counts = []
    server.data(query, n=1)  # what is kept in memory is read once
    for name in ("arrow", "keyed_vectors"):  # the others go through these
        monkeypatch.setattr(Store, name, counted(getattr(Store, name)))
    for n in (1, 10, 100):
        statements.clear()
        assert len(server.data(query, n=n)["similarVoxels"]["edges"]) == n
        counts.append(len(statements))
    assert len(set(counts)) == 1
    assert counts[0] < 15


def test_regions_and_words_in_a_list_issue_no_statement_each(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    original = Store.arrow

    def counted(store: Store, sql: str, parameters: Any = None) -> Any:
        reads.append(sql)
        return original(store, sql, parameters)

    for query in (
        "{ rois { topLabels(first: 3) { text } } }",
        "{ labels(first: 16) { edges { node { text voxels { voxel { rois } } neighbours { text } byRoi { roi } } } } }",
    ):
        server.data(query)
        with monkeypatch.context() as patched:
            patched.setattr(Store, "arrow", counted)
            reads.clear()
            server.data(query)
        # Only the generation is looked up, which a server with patience does 20 times a second at most.
        assert len({sql for sql in reads if "FROM ledger" not in sql}) <= 3


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'[{"query": "{ atlas { format } }"}, {"query": "{ atlas { format } }"}]', 400),
        (b"3", 400),
        (b"null", 400),
        (b"\xff\xfe", 400),
        (b"[" * 200_000, 400),
        (b'{"query": 5}', 400),
        (b'{"query": "{ atlas { format } }", "variables": 5}', 400),
        (b'{"query": "{ atlas { format } }", "operationName": 5}', 400),
        (b'{"query": "{ atlas { format } }", "operationName": "other"}', 400),
        (b"{}", 400),
    ],
)
def test_a_malformed_body_is_refused_in_the_shape_of_all_errors(server: Server, body: bytes, status: int) -> None:
    response = server.client.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert response.status_code == status
    assert set(response.json()["errors"][0]) >= {"message", "extensions"}


def test_a_query_may_come_by_get_but_nothing_that_changes(server: Server) -> None:
    answer = server.client.get("/graphql", params={"query": "{ atlas { format } }"}).json()
    assert answer == {"data": {"atlas": {"format": FORMAT_VERSION}}}
    assert server.client.get("/graphql", params={"query": "mutation { x }"}).status_code == 400
    assert "WebSocket" in server.error("subscription { ingestProgress { generation } }")["message"]
    assert server.client.put("/graphql").status_code == 405


ASKED_WITH_TEXT = (
    "similarVoxels(concept: $t, first: 1) { totalCount }",
    'similarVoxels(concept: "cake", model: $t) { totalCount }',
    'similarVoxels(concept: "cake", models: [$t]) { totalCount }',
    'similarVoxels(concept: "cake", rois: [$t]) { totalCount }',
    'similarVoxels(concept: "cake", after: $t) { totalCount }',
    "similarVoxels(image: $t) { totalCount }",
    "labels(search: $t) { totalCount }",
    "label(text: $t) { nVoxels voxels { rank } neighbours { text } byRoi { roi } }",
    "roi(name: $t) { nVoxels topLabels { text } }",
    "rois(subject: $t) { name }",
    "voxel(index: 0, model: $t) { voxel }",
    "flatmap(concept: $t) { url title }",
    "flatmap(label: $t) { url title }",
    'flatmap(concept: "cake", colormap: $t) { url }',
    'flatmap(concept: "cake", rois: [$t]) { url }',
    "compare(methodA: CLIP_MSM, methodB: CLIP_MSM, model: $t) { __typename }",
    "predict(image: $t) { __typename }",
)


@settings(max_examples=15)
@example(text="")
@given(text=texts)
def test_no_text_is_ever_more_than_text(server: Server, text: str) -> None:
    node = base64.b64encode(f"Voxel:{text}".encode("utf-8", "surrogatepass")).decode()
    asked = [(f"query ($t: String!) {{ {field} }}", text) for field in ASKED_WITH_TEXT]
    asked += [("query ($t: ID!) { node(id: $t) { id } }", identity) for identity in (text, node)]
    for query, value in asked:
        answer = server.client.post("/graphql", json={"query": query, "variables": {"t": value}}).json()
        for error in answer.get("errors", []):
            assert error["extensions"]["code"] in {"BAD_INPUT", "NOT_FOUND"}, (query, error)
    assert server.data("{ atlas { nVoxels } }")["atlas"]["nVoxels"] == 300


def test_an_empty_atlas_answers(tmp_path: Path, serve: Serve, surfaces: LoadSurface) -> None:
    Store.open(str(tmp_path / "atlas.duckdb")).close()
    atlas = Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path)
    try:
        with serve(create_app(atlas, Settings(home=tmp_path), load=surfaces)) as server:
            data = server.data(
                "{ atlas { nModels } subjects { subjectId } models { modelId } rois { name } runs { state } }"
            )
            assert data == {"atlas": {"nModels": 0}, "subjects": [], "models": [], "rois": [], "runs": []}
            assert (
                server.error('{ similarVoxels(concept: "cake") { totalCount } }')["extensions"]["code"] == "NOT_FOUND"
            )
    finally:
        atlas.close()
