"""Every door gives the similarities of `Model.map`, whatever is asked."""

import numpy as np
from evidence_doors import TOLERANCE, Question, compare_difference, differences, export_difference
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_server import Run, Server

from voxel_atlas.atlas.search.atlas import Atlas

TERMS = st.sampled_from(["cake", "face", "house", "smile", "birthday cake with candles", "it's", "Ünal", "zebra"])
CONCEPTS = st.lists(TERMS, min_size=1, max_size=3, unique=True).flatmap(
    lambda terms: st.lists(st.sampled_from("+-"), min_size=len(terms) - 1, max_size=len(terms) - 1).map(
        lambda signs: " ".join([terms[0], *(f"{sign} {term}" for sign, term in zip(signs, terms[1:], strict=True))])
    )
)


@settings(max_examples=10, deadline=None)
@given(
    question=st.builds(
        Question,
        CONCEPTS,
        st.sampled_from([None, "weights", "half", "pattern"]),
        st.sampled_from(["vocabulary", "none"]),
    )
)
def test_all_doors_give_one_similarity(atlas: Atlas, server: Server, run: Run, question: Question) -> None:
    found = differences(atlas, server.url, lambda *arguments: run(*arguments)[1], question)
    assert {"search", "http", "graphql", "page", "command line", "pictures and report"} <= set(found)
    assert max(found.values()) <= TOLERANCE, found


def test_maps_of_an_export_have_the_similarities_of_the_other_doors(atlas: Atlas) -> None:
    assert export_difference(atlas, ["cake", "cake - face", "birthday cake"]) <= TOLERANCE


def test_comparisons_of_labels_take_the_similarities_of_the_other_doors(atlas: Atlas) -> None:
    assert compare_difference(atlas) <= TOLERANCE


def test_neither_a_difference_nor_a_picture_has_a_percentile_and_labels_have_no_evidence(atlas: Atlas) -> None:
    model = atlas.model()
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    evidence = ("z", "concept_q", "specific", "percentile")
    known = {
        "one concept": model.similar("cake").frame,
        "difference": model.similar("cake -face").frame,
        "picture": model.similar(image=image).frame,
        "by labels": model.similar("cake", by="labels").frame,
    }
    told = {
        name: [column for column in evidence if frame[column].null_count() < len(frame)]
        for name, frame in known.items()
    }
    assert told == {
        "one concept": list(evidence),
        "difference": ["z", "concept_q"],
        "picture": ["z", "concept_q"],
        "by labels": [],
    }
    assert known["difference"].equals(model.similar("cake - face").frame)
