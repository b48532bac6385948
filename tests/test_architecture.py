"""Imports go one way, between the packages and within each; a name stands for one thing; and all is under one name."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
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
ORDER = {
    "atlas": [
        "machine_memory",
        "allocators",
        "new_threads",
        "writers",
        "store",
        "backbones",
        "search",
        "release",
        "client",
    ],
    "ingest": [
        "progress",
        "workers",
        "encoding",
        "datasets",
        "dissection",
        "simulated",
        "stages",
        "upgrade_concepts",
        "plan",
        "study_plan",
        "run_record",
        "identity",
        "run",
    ],
    "viz": ["flattening", "surfaces", "render"],
    "api": ["maps", "report", "graphql", "mcp", "http", "site", "cli", "notebook"],
}
"""What a package is made of: each part may import itself and those before it."""
MOST_LINES = 400
MOST_MODULES = 12
MOST_DICTS = 10
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}
MAY_REPEAT = {"__init__", "interface"}


@cache
def modules() -> dict[str, Path]:
    paths = [
        path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py") if "node_modules" not in path.parts
    ]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports(path: Path) -> Iterator[str]:
    """Modules of ours that a file imports, wherever in the file, also for types only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        folder = path.parent.relative_to(ROOT).parts
        base = [*folder[: len(folder) - node.level + 1], *([node.module] if node.module else [])]
        for name in node.names:
            as_module = ".".join([*base, name.name])
            yield as_module if as_module in modules() else ".".join(base)


@cache
def graph() -> dict[str, set[str]]:
    return {module: set(imports(path)) - {module} for module, path in modules().items()}


def names_given_twice(path: Path) -> list[str]:
    """Names that statements of the module itself bind more than once; those within an if or a try are alternatives."""
    names = list[str]()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names += [alias.asname or alias.name for alias in node.names]
    return sorted(name for name, times in Counter(names).items() if times > 1)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_stands_before_it(package: str) -> None:
    wrong = [
        f"{module} imports {target}"
        for module, targets in graph().items()
        for target in targets
        if module.partition(".")[0] == package
        and target
        and target.partition(".")[0] not in MAY_IMPORT[package] | {package}
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ORDER)
def test_within_a_package_imports_go_down_the_list(package: str) -> None:
    order = ORDER[package]

    def place(module: str) -> int:
        parts = module.split(".")
        return order.index(parts[1]) if len(parts) > 1 else len(order)

    own = [module for module in graph() if module.startswith(f"{package}.")]
    assert {module.split(".")[1] for module in own} <= set(order)
    wrong = [
        f"{module} imports {target}"
        for module in own
        for target in graph()[module]
        if target.startswith(f"{package}.") and place(target) > place(module)
    ]
    assert wrong == []


def test_no_import_goes_round_in_a_circle() -> None:
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_within_a_folder_its_files_and_folders_have_an_order() -> None:
    parts: dict[str, dict[str, set[str]]] = {}
    for module, targets in graph().items():
        for target in filter(None, targets):
            one, other = module.split("."), target.split(".")
            shared = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
            if shared < min(len(one), len(other)):
                folder = parts.setdefault(".".join(one[:shared]), {})
                folder.setdefault(one[shared], set()).add(other[shared])
    for folder, needed in parts.items():
        try:
            TopologicalSorter(needed).prepare()
        except CycleError as error:
            pytest.fail(f"{folder}: {' <- '.join(error.args[1])}")


def test_nothing_is_imported_by_a_long_way_round() -> None:
    absolute = re.compile(r"^\s*(?:from|import) (?:voxel_atlas|schemas|atlas|ingest|viz|api)\b", re.MULTILINE)
    code = {module: path.read_text(encoding="utf-8") for module, path in modules().items()}
    assert [
        module for module, text in code.items() if absolute.search(re.sub(r'""".*?"""', "", text, flags=re.DOTALL))
    ] == []


def test_a_folder_holds_at_most_twelve_modules() -> None:
    loose = Counter(path.parent for path in modules().values() if path.stem != "__init__")
    assert {str(folder.relative_to(ROOT)): n for folder, n in loose.items() if n > MOST_MODULES} == {}


def test_a_name_of_a_file_stands_for_one_thing() -> None:
    stems = Counter(path.stem for path in modules().values() if path.stem not in MAY_REPEAT)
    assert [stem for stem, n in stems.items() if n > 1] == []


def test_a_module_gives_each_of_its_names_once() -> None:
    twice = {module: double for module, path in modules().items() if (double := names_given_twice(path))}
    assert twice == {}


def test_a_name_of_a_class_stands_for_one_thing() -> None:
    names = Counter(
        node.name
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, n in names.items() if n > 1] == []


def test_few_signatures_take_or_give_a_dict_of_anything() -> None:
    trees = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in modules().items()}
    other_names = {
        target.id
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.value) == "dict[str, Any]"
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    anything = re.compile("|".join([re.escape("dict[str, Any]"), *(rf"\b{name}\b" for name in other_names)]))
    found = []
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                kinds = [node.returns, *(argument.annotation for argument in arguments)]
                found += [f"{module}.{node.name}" for kind in kinds if kind and anything.search(ast.unparse(kind))]
    assert len(found) <= MOST_DICTS, found


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


def test_no_file_is_named_for_nothing_or_is_too_long() -> None:
    for path in modules().values():
        assert path.stem not in NAMES_THAT_SAY_NOTHING, path
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES, path


def test_every_module_says_what_it_is() -> None:
    for path in modules().values():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
