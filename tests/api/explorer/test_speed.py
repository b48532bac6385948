"""How fast the page is and how much it loads, in a real browser on the loopback address."""

import statistics
from typing import Any

import pytest

FIRST_PAINT_MS, REPAINT_MS, PAGE_KIB = 1000, 150, 1024
CONCEPTS = [f"{word} {other}" for word in ("red", "small", "old") for other in ("cake", "face", "house", "sign", "arm")]


def test_the_page_is_small_and_soon_painted(visit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    paints, sizes = [], []
    for _ in range(3):
        page = visit().open("/")
        paints.append(page.evaluate("performance.getEntriesByName('painted')[0].startTime"))
        sizes.append(
            page.evaluate(
                "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
                ".reduce((sum, one) => sum + one.encodedBodySize, 0) / 1024"
            )
        )
    with capsys.disabled():
        print(f"\nfirst_paint_ms {min(paints):.0f}, page_kib {max(sizes):.0f}")
    assert min(paints) <= FIRST_PAINT_MS
    assert max(sizes) <= PAGE_KIB


def test_a_concept_is_painted_soon(visit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    page = visit().open("/?concept=cake")
    times = [page.evaluate(REPAINT, concept) for concept in CONCEPTS]
    median = statistics.median(times)
    with capsys.disabled():
        print(f"\nconcept_to_paint_ms_p50 {median:.0f} of {len(times)}")
    assert median <= REPAINT_MS


REPAINT = """(concept) => new Promise((resolve) => {
  const input = document.getElementById("concept");
  const before = performance.getEntriesByName("painted").length;
  input.value = concept;
  const start = performance.now();
  document.getElementById("search").requestSubmit();
  const look = () => {
    const marks = performance.getEntriesByName("painted");
    if (marks.length > before) resolve(marks.at(-1).startTime - start);
    else requestAnimationFrame(look);
  };
  look();
})"""
