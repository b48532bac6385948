"""Tables as people write them: from spreadsheets, statistics programs and scripts."""

from pathlib import Path

import pytest

from voxel_atlas.ingest.datasets.csv_tables import read_persons_table, whole_numbers
from voxel_atlas.schemas.errors import BadInputError

COLUMNS = ("image", "session", "row")
PLAIN = "image,session,onset,row\nä.png,01,1,0\nb.png,02,1.5,9.0\n"
WRITTEN = {
    "plain": PLAIN.encode(),
    "mark": PLAIN.encode("utf-8-sig"),
    "utf-16": PLAIN.encode("utf-16"),
    "utf-16 big": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "windows": PLAIN.replace("\n", "\r\n").encode(),
    "old mac": PLAIN.replace("\n", "\r").encode(),
    "semicolons": PLAIN.replace(",", ";").replace("9.0", "9,0").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "comments": b"# made by hand\n#\n" + PLAIN.encode(),
    "empty lines": b"\n" + PLAIN.replace("\nb", "\n\n,,,\nb").encode() + b"\n\n",
    "spaces": PLAIN.replace(",", " , ").encode(),
    "quotes": PLAIN.replace("ä.png", '"ä.png"').encode(),
    "case": PLAIN.replace("image", "Image").encode(),
    "no last line end": PLAIN.rstrip().encode(),
    "cells beyond": PLAIN.replace("1,0\n", "1,0,,\n").encode(),
}


@pytest.mark.parametrize("how", list(WRITTEN))
def test_a_table_is_the_same_however_it_is_written(how: str, tmp_path: Path) -> None:
    path = tmp_path / "table [1].csv"
    path.write_bytes(WRITTEN[how])
    table = read_persons_table(path, COLUMNS)
    assert table.select("image", "session").rows() == [("ä.png", "01"), ("b.png", "02")]
    assert whole_numbers(table, "row", path).to_list() == [0, 9]


def test_only_columns_that_are_used_are_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("image,x,x\n" + "".join(f"{i}.png,{i if i < 150 else 'n/a'},\n" for i in range(200)))
    assert read_persons_table(path, ["image"])["image"].to_list() == [f"{i}.png" for i in range(200)]


def test_a_table_without_the_columns_has_its_lines_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("picture\na.png\n\nb.png\n")
    assert read_persons_table(path, COLUMNS).to_dict(as_series=False) == {"line": [2, 4]}


BAD = {
    "empty": (b"", "the table is empty"),
    "only comments": (b"# nothing\n", "the table is empty"),
    "latin-1": ("image\nä.png\n".encode("latin-1"), "neither UTF-8 nor UTF-16; save it as CSV in UTF-8"),
    "twice": (b"row,image,row\n1,a,1\n", "two columns are called row"),
    "too many cells": (b"# head\nimage,row\na,b.png,1\n", "line 3: 3 cells, but the header names 2"),
    "text": (b"image,row\na,0\nb,first\n", "line 3: row is 'first', and a whole number is expected"),
    "half": (b"image,row\na,0.5\n", "line 2: row is '0.5'"),
    "gap": (b"image,row\na,\n", "line 2: row is 'empty'"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_what_is_no_table_is_said_with_its_line(case: str, tmp_path: Path) -> None:
    content, said = BAD[case]
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=rf"t\.csv.*{said}"):
        whole_numbers(read_persons_table(path, COLUMNS), "row", path)
