"""The manual's package, really installed: its parts are found by their names and label voxels."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_blocks import blocks


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where `squares` is installed, as the page has it, and an atlas of its own."""
    folder = tmp_path_factory.mktemp("squares")
    page = [block for block in blocks() if block.page == "extending.md"]
    (folder / "squares.py").write_text(
        "\n".join(block.code for block in page if block.language == "python"), encoding="utf-8"
    )
    (pyproject,) = (block.code for block in page if block.language == "text")
    (folder / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    site = folder / "site"
    install = ["install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", *install, str(folder)], check=True)
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "VOXEL_ATLAS_HOME": str(folder / "home"), "COLUMNS": "200"}


def program(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("voxel-atlas")), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_manuals_package_labels_voxels_by_parts_of_its_own(environment: dict[str, str]) -> None:
    (lines,) = (block.code for block in blocks() if block.page == "extending.md" and block.language == "sh")
    ingest, query = (line.removeprefix("voxel-atlas ") for line in lines.splitlines())
    done = program(environment, *ingest.split())
    assert done.returncode == 0, done.stderr
    assert re.search(r"squares/1/hues/\w{6} is in ", done.stdout + done.stderr)
    name, _, sql = query.partition(" ")
    printed = program(environment, name, sql.strip('"'), "--csv").stdout.split()
    assert printed[0] == "voxel,label"
    assert dict(line.split(",") for line in printed[1:])["1"] == "leaf"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--dataset", "square"), "There is no data set 'square'; there are nsd, nod, .*folder, simulated, squares."),
        (("--backbone", "hue"), "There is no backbone 'hue'; there are lite, .*, alexnet, hues."),
        (("--method", "named"), "There is no method 'named'; there are brainlmm-eq2, .*, clip-msm, most-named."),
    ],
)
def test_a_misspelt_name_is_answered_with_all_names(
    environment: dict[str, str], options: tuple[str, str], said: str
) -> None:
    line = {"--dataset": "squares", "--subject": "1", "--backbone": "hues", options[0]: options[1]}
    done = program(environment, "ingest", *[word for option in line.items() for word in option])
    assert done.returncode == 2
    assert re.search(said, done.stderr), done.stderr


def test_a_scorer_that_inherits_nothing_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text("class Bare:\n    from_candidates = True\n", encoding="utf-8")
    (tmp_path / "bare-1.dist-info").mkdir()
    (tmp_path / "bare-1.dist-info" / "METADATA").write_text("Name: bare\nVersion: 1\n", encoding="utf-8")
    points = "[voxel_atlas.scorers]\nbare = bare:Bare\n"
    (tmp_path / "bare-1.dist-info" / "entry_points.txt").write_text(points, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    options = ("--dataset", "squares", "--subject", "1", "--backbone", "hues", "--label-backbone", "hues")
    done = program({**environment, "PYTHONPATH": path}, "ingest", *options, "--method", "bare")
    assert (done.returncode, "'bare' is no subclass of" in done.stderr) == (2, True), done.stderr
