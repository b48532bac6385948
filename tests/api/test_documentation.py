"""README and manual: their code runs, the reference names everything, the site builds strictly, messages are real."""

import csv
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import duckdb
import polars as pl
import pytest
import yaml
from browser_page import CHROMIUM
from doc_blocks import PROXIES, ROOT, RUN, Block, blocks, pages
from PIL import Image
from reference import pages as reference
from toy_server import Fill

from voxel_atlas.api.cli.main import main
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import IngestConfig, Settings
from voxel_atlas.schemas.tables import DDL
from voxel_atlas.viz.surfaces.surface import load_surface

PAGES = [page.name for page in pages()]


@pytest.fixture(scope="module")
def written_for(tmp_path_factory: pytest.TempPathFactory, fill_atlas: Fill) -> Path:
    """The home folder of the manual's examples: the toy atlas on pycortex's S1, labelled by two methods."""
    home = tmp_path_factory.mktemp("manual")
    surface = load_surface("S1", "fullhead", home / "surfaces")
    with Store.open(str(home / "atlas.duckdb")) as store:
        fill_atlas(store, home / "stimuli")
        shape = list(surface.shape)
        store.change(
            [
                (
                    "UPDATE subject SET subject_id = subject_id, surface = 'S1', transform = 'fullhead', shape = ?",
                    [shape],
                ),
                (
                    "INSERT INTO label_score SELECT * REPLACE ('clip-msm' AS method) FROM label_score",
                    None,
                ),
            ]
        )
    Image.new("RGB", (64, 64), "tan").save(home / "photo.jpg")
    # Without the images there are no colours of labels, which take half a minute.
    shutil.rmtree(home / "stimuli")
    return home


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_runs_or_says_why_not(page, written_for, monkeypatch, request):
    monkeypatch.chdir(written_for)
    monkeypatch.setenv("VOXEL_ATLAS_HOME", str(written_for))
    names: dict[str, object] = {}
    for block in [block for block in blocks() if block.page == page]:
        assert block.language in (*RUN, *PROXIES, "text"), f"{block.name}: name the block's language"
        if not block.reason and block.language in RUN:
            _run(block, names, request)


def _run(block: Block, names: dict[str, object], request: pytest.FixtureRequest) -> None:
    match block.language:
        case "python":
            # The page's blocks follow on each other, as a reader types them.
            exec(compile(block.code, block.name, "exec"), names)
        case "sh":
            for line in block.code.replace("\\\n", " ").splitlines():
                if words := shlex.split(line, comments=True):
                    assert words[0] == "voxel-atlas", f"{block.name}: {line}"
                    assert _status(*words) == 0, f"{block.name}: {line}"
        case "sql":
            with Store.open("atlas.duckdb", read_only=True) as store:
                assert store.frame(block.code).width, block.name
        case "graphql":
            assert request.getfixturevalue("server").data(block.code), block.name
        case "yaml":
            IngestConfig.model_validate(yaml.safe_load(block.code))
        case "json":
            assert json.loads(block.code)
        case "csv":
            assert pl.read_csv(io.StringIO(block.code)).width > 1, block.name


@cache
def _status(*words: str) -> int:
    """Exit status of a command; what several pages show is run once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(words))
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


def test_no_picture_of_a_cortex_is_taken_for_a_photograph():
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    drawn = set(re.findall(r"-o (\S+\.(?:png|svg|pdf))", text))
    shown = {Path(name).name for name in re.findall(r"(?:predict |^(?=images/))([^,\s]+\.\w+)", text, re.MULTILINE)}
    assert len(drawn) > 5
    assert len(shown) > 2
    assert drawn & shown == set()


def test_reasons_are_sentences_and_most_blocks_run():
    code = [block for block in blocks() if block.language in RUN]
    skipped = [block for block in code if block.reason]
    assert all(len(block.reason.split()) >= 4 for block in skipped)
    assert len(skipped) < len(code) / 2


def test_the_reference_names_every_setting_with_its_meaning():
    page = reference()["reference/settings.md"]
    fields = {f"VOXEL_ATLAS_{name.upper()}": field for name, field in Settings.model_fields.items()}
    for name, field in {**fields, **IngestConfig.model_fields}.items():
        assert f"| `{name}` |" in page
        assert field.description
        assert " ".join(field.description.split())[:40].replace("|", "\\|").replace("<", "&lt;") in page


def test_the_reference_names_every_table_view_and_column():
    page = reference()["reference/tables.md"]
    with duckdb.connect() as connection:
        connection.execute(DDL)
        tables = connection.execute(
            "SELECT table_name, column_name, is_nullable FROM duckdb_columns() c WHERE NOT internal"
        ).fetchall()
        views = {
            name for (name,) in connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
        }
    assert views
    for table, column, nullable in tables:
        if table in views:
            assert f"| `{table}` |" in page
        else:
            section = page.partition(f"\n## {table}\n")[2].partition("\n## ")[0]
            (row,) = [line for line in section.splitlines() if line.startswith(f"| `{column}` |")]
            assert ("may be NULL" in row) == nullable, f"{table}.{column}"


def test_the_reference_names_every_option_of_the_command_line():
    page = reference()["reference/command-line.md"]
    promised = yaml.safe_load((ROOT / "tests" / "api" / "cli" / "command_line.yaml").read_text(encoding="utf-8"))
    assert len(promised) > 15
    for name, words in promised.items():
        section = page.partition(f"\n## voxel-atlas {name}\n")[2].partition("\n## ")[0]
        named = set(re.findall(r"--?[a-z][a-z0-9-]*", section))
        assert {word.rstrip("=") for word in words.split() if word != "ARGUMENT"} <= named, name


def test_messages_of_the_troubleshooting_page_are_the_programs_own():
    """Each is a part of a string in the code, with what is filled in left open."""
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for package in ("api", "atlas", "ingest", "schemas", "viz")
        for path in sorted((ROOT / package).rglob("*.py"))
    )
    # Messages go over several lines of the code: what stands between the parts of one is no part of it.
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    messages = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(messages) > 15
    assert [message for message in messages if message not in code] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return out


def test_the_manual_builds_strictly_with_its_generated_pages(site):
    assert (site / "reference" / "settings.html").exists()
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / f"{page.stem}.html").exists()


def test_the_manual_needs_no_network_and_shows_its_equations(site):
    for page in site.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://', html), page
    method = (site / "method.html").read_text(encoding="utf-8")
    assert "<math" in method
    assert "arithmatex" not in method


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt-get install chromium, or set CHROMIUM to its path")
def test_the_manual_is_searched_from_a_folder_without_the_network(site, browser):
    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.goto((site / "tutorial.html").as_uri())
    page.locator(".md-search__input").press_sequentially("noise ceiling")
    page.wait_for_selector(".md-search-result__link[href*='method.html']")
    page.close()


def test_links_of_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_manual_lists_every_stage_that_a_reader_sees():
    tutorial = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    rows = csv.reader((line for line in tutorial.splitlines() if line.startswith("| ")), delimiter="|")
    stages = {cell.strip() for row in rows for cell in row[1].split(",")}
    code = "\n".join(path.read_text() for path in Path(ROOT / "ingest").rglob("*.py"))
    named = r'(?:\.stage\(|append_batches\(context, Stage\.[A-Z_]+, |name(?:: str )?= ?)"([a-z -]+)"'
    shown = re.findall(named, code)
    expected = {"encode images", "low-level properties", "fit voxels", "nouns", "score", "embed labels"}
    assert expected <= stages & set(shown)


def test_the_manual_says_simulated_tuning_and_explains_its_words():
    texts = {page.name: page.read_text(encoding="utf-8") for page in pages()}
    assert [name for name, text in texts.items() if re.search(r"\bplanted\b", text)] == []
    glossary = texts["glossary.md"]
    terms = [line.split("|")[1].strip() for line in glossary.splitlines() if line.startswith("| ")][1:]
    assert terms == sorted(terms, key=str.casefold)
    for word in ("readout", "noise ceiling", "simulated tuning", "semantic", "verified", "ROI", "beta"):
        assert word in terms
