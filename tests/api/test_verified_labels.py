"""How stable labels are and whether they hold on held-out responses: the same numbers at every door."""

import json
from typing import Any

import pytest
from toy_server import Run, Server

from voxel_atlas.api.maps.voxel_card import card_html, voxel_card
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.viz.render.card import card_png

EVIDENCE = ("label", "stability", "n_images", "auc", "label_q", "verified")
VOXEL = 11


@pytest.fixture(scope="module")
def told(atlas: Atlas) -> list[tuple[Any, ...]]:
    """What Python says of the voxel's five labels."""
    return atlas.model().voxel_labels([VOXEL]).select(EVIDENCE).rows()


def test_python_tells_what_was_measured(told: list[tuple[Any, ...]]) -> None:
    assert [row[1:] for row in told] == [
        (0.75, 50, pytest.approx(0.8), pytest.approx(1e-6), True),
        (0.25, 50, pytest.approx(0.52), pytest.approx(0.4), False),
        (0.0, 2, None, None, None),
        *[(None, None, None, None, None)] * 2,
    ]


def test_sql_graphql_and_the_command_line_tell_what_python_tells(
    atlas: Atlas, told: list[tuple[Any, ...]], server: Server, run: Run
) -> None:
    model_id, columns = atlas.model().model_id, ", ".join(EVIDENCE)
    of_voxel = f"WHERE model_id = '{model_id}' AND voxel = {VOXEL} AND method = 'brainlmm-eq2'"
    assert atlas.sql(f"SELECT {columns} FROM voxel_label {of_voxel} ORDER BY rank").rows() == told
    assert atlas.sql(f"SELECT {columns} FROM top_label {of_voxel}").rows() == told[:1]
    wanted = "text stability nImages auc labelQ verified"
    query = f"{{ voxel(index: {VOXEL}) {{ all: labels {{ {wanted} }} held: labels(verified: true) {{ {wanted} }} }} }}"
    voxel = server.data(query)["voxel"]
    assert [tuple(label.values()) for label in voxel["all"]] == told
    assert [tuple(label.values()) for label in voxel["held"]] == told[:1]
    (row,) = json.loads(run("card", model_id, VOXEL, "--json")[1])
    assert list(zip(*(row[name] for name in ("labels", *EVIDENCE[1:])), strict=True)) == told


def test_only_verified_labels_are_given_where_they_are_wanted(atlas: Atlas, told: list[tuple[Any, ...]]) -> None:
    frame = atlas.model().voxel_labels([VOXEL, VOXEL + 1], verified=True)
    assert frame["verified"].all()
    assert frame["voxel"].to_list() == [VOXEL, VOXEL + 1]
    assert frame.select(EVIDENCE).rows()[0] == told[0]


def test_words_are_counted_where_they_are_verified(atlas: Atlas, server: Any) -> None:
    model = atlas.model()
    sql = "SELECT count(*) FROM voxel_label WHERE verified AND model_id = ? AND method = ?"
    (n_verified,) = atlas.store.frame(sql, [model.model_id, model.method()]).row(0)
    counted = model.labels(semantic=False, verified=True)
    assert counted.frame["n_voxels"].sum() == n_verified
    assert model.labels(semantic=False).frame["n_voxels"].sum() == 5 * n_verified
    query = "{ labels(verified: true, semantic: false, first: 3) { totalCount edges { node { text nVoxels } } } }"
    told = server.data(query)["labels"]
    assert told["totalCount"] == counted.total
    assert [tuple(edge["node"].values()) for edge in told["edges"]] == counted.frame.head(3).select(
        "label", "n_voxels"
    ).rows()


def test_cards_tick_what_holds_and_say_how_well(atlas: Atlas, run: Run, told: list[tuple[Any, ...]]) -> None:
    card = voxel_card(atlas, None, VOXEL)
    page = card_html(card)
    assert page.count('class="tick"') == len(card.rankings)
    assert '<td class="quiet">0.80</td>' in page
    assert "held-out responses" in page
    assert '<td class="quiet">0.75</td>' in page, "stability"
    assert card_png(card)[:4] == b"\x89PNG"
    printed = run("card", atlas.model().model_id, VOXEL)[1].splitlines()
    (first,) = (line.split() for line in printed if line.startswith(told[0][0]))
    assert first[2:] == ["0.75", "✓", "50", "0.8", "1e-06"]
