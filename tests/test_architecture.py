"""Imports go one way: schemas ← atlas ← ingest ← api, and schemas ← viz ← api; and all are under one name."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "schemas": set[str](),
    "atlas": {"schemas"},
    "ingest": {"schemas", "atlas"},
    "viz": {"schemas"},
    "api": {"schemas", "atlas", "ingest", "viz"},
}
MOST_LINES = 400
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parent.relative_to(ROOT).parts
            inside = folder[: len(folder) - node.level + 1]
            names = [node.module] if node.module else [name.name for name in node.names]
            yield from (".".join([*inside, name]) for name in names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_stands_before_it(package: str) -> None:
    assert modules(package)
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imports(path)
        if name.partition(".")[0] in MAY_IMPORT.keys() - MAY_IMPORT[package] - {package}
    ]
    assert wrong == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_refuses_its_short_name(package: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {package}"], cwd=ROOT, capture_output=True, text=True)
    assert f"`{package}` is a part of voxel_atlas" in done.stderr


def test_one_name_works_beside_files_of_any_name(tmp_path: Path) -> None:
    for package in MAY_IMPORT:
        (tmp_path / f"{package}.py").write_text("raise RuntimeError('a file of the user')\n", encoding="utf-8")
    opening = [sys.executable, "-c", "import voxel_atlas as va; va.open('nowhere.duckdb')"]
    command = [str(Path(sys.executable).with_name("voxel-atlas")), "query", "cake", "--atlas", "nowhere.duckdb"]
    for program in (opening, command):
        done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
        assert "nowhere.duckdb" in done.stderr
        assert "a file of the user" not in done.stderr


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_file_is_named_for_nothing_or_is_too_long(package: str) -> None:
    for path in modules(package):
        assert path.stem not in NAMES_THAT_SAY_NOTHING, path
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES, path


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_every_module_says_what_it_is(package: str) -> None:
    for path in modules(package):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
