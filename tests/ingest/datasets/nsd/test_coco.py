"""COCO's annotations, whole and in crops, against a loop over the file."""

import json
from pathlib import Path

import numpy as np
import pytest

from voxel_atlas.ingest.datasets.nsd.coco import coco_contents
from voxel_atlas.schemas.errors import BadInputError

NAMES = {7: ("cake", "food"), 8: ("pizza", "food"), 90: ("food", "toy")}


@pytest.fixture
def content() -> dict[str, list[dict[str, object]]]:
    rng = np.random.default_rng(0)
    images = [
        {"id": n, "file_name": f"{n:012d}.jpg", "width": int(rng.integers(50, 90)), "height": int(rng.integers(50, 90))}
        for n in range(1, 41)
    ]
    marks = [
        {
            "image_id": int(rng.integers(1, 40)),
            "category_id": int(rng.choice(list(NAMES))),
            "bbox": [*rng.uniform(-10, 60, 2), *rng.uniform(0, 40, 2)],
        }
        for _ in range(300)
    ]
    kinds = [{"id": number, "name": name, "supercategory": above} for number, (name, above) in NAMES.items()]
    return {"images": images, "annotations": marks, "categories": kinds}


@pytest.mark.parametrize("cropped", [True, False])
def test_contents_are_a_loops(cropped: bool, content: dict[str, list[dict[str, object]]], tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    crops = {n: tuple(np.random.default_rng(n).uniform(0, 0.3, 4)) for n in (*range(1, 30), 77)}
    expected = {}
    for image in content["images"]:
        if cropped and image["id"] not in crops:
            continue
        shown = set()
        for mark in content["annotations"]:
            if mark["image_id"] != image["id"]:
                continue
            x, y, wide, high = mark["bbox"]
            top, bottom, left, right = crops[image["id"]] if cropped else (-9, -9, -9, -9)
            middle = [x + wide / 2, y + high / 2]
            begin = [left * image["width"], top * image["height"]]
            end = [image["width"] - right * image["width"], image["height"] - bottom * image["height"]]
            if begin[0] <= middle[0] <= end[0] and begin[1] <= middle[1] <= end[1]:
                shown |= set(NAMES[mark["category_id"]])
        expected[image["id"]] = shown
    found = coco_contents(path, crops if cropped else None)
    assert set(found.files) == set(found.shows) == set(expected)
    assert found.files[1] == "000000000001.jpg"
    rows = found.rows.rows()
    assert len(rows) == len(set(rows))
    assert set(rows) == {(image, name) for image, shown in expected.items() for name in shown}
    assert not all(expected.values())


@pytest.mark.parametrize("case", ["cut", "no categories", "unknown category", "no size", "list"])
def test_what_is_not_annotations_is_one_sentence(
    case: str, content: dict[str, list[dict[str, object]]], tmp_path: Path
) -> None:
    if case == "no categories":
        content["categories"] = []
    elif case == "unknown category":
        content["annotations"][0]["category_id"] = 3
    elif case == "no size":
        content["images"][0]["width"] = 0
    written = json.dumps([1] if case == "list" else content)
    path = tmp_path / "bad.json"
    path.write_text(written[:-100] if case == "cut" else written)
    with pytest.raises(BadInputError, match=r"bad.json: not annotations of COCO that can be read \(") as raised:
        coco_contents(path, dict.fromkeys(range(1, 41), (0.0, 0.0, 0.0, 0.0)))
    assert "\n" not in str(raised.value)
