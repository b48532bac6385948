"""Makes a release: builds, checks what was built in an environment of its own, and says how it would be published.

    python release.py             # build into dist/, check; nothing leaves this machine
    python release.py --light     # the same without the gigabytes of the libraries: no command is run
    python release.py --publish   # and upload to PyPI, with the token of twine's own settings

The tools (build, twine, cffconvert) come into a folder that goes away: they want other versions than the project does.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent
_TOOLS = ("build", "twine", "cffconvert")
_HELD = ("voxel_atlas/__init__.py", r'__version__ = "(.+)"'), ("CITATION.cff", r"(?m)^version: (.+)$")
"""Files that hold the version, and where."""


def problems(root: Path = ROOT) -> list[str]:
    """Why this checkout is no release yet; one sentence each."""
    texts = {name: (root / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", *(name for name, _ in _HELD))}
    versions = {name: match[1] for name, where in _HELD if (match := re.search(where, texts[name]))}
    found = []
    if len(set(versions.values())) != 1 or len(versions) != len(_HELD):
        found.append(f"Versions differ: {versions}.")
    sections = re.findall(r"(?ms)^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?\n(.*?)(?=^## |\Z)", texts["CHANGELOG.md"])
    named = [name for name, _, _ in sections]
    if named[:1] != ["Unreleased"] or sections[0][2].strip():
        found.append("CHANGELOG.md holds lines under Unreleased; move them into the release's section.")
    if named[1:2] != list(versions.values())[:1] or not sections[1][1]:
        found.append(f"The first release in CHANGELOG.md is not {versions.get(_HELD[0][0])} with its date.")
    schema, released = (root / name for name in ("schemas/schema.graphql", "tests/api/graphql/released.graphql"))
    if released.read_text(encoding="utf-8").partition("\n")[2].strip() != schema.read_text(encoding="utf-8").strip():
        found.append(
            "released.graphql is not this version's schema; copy it over, below a line that names the version."
        )
    return found


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a program that must succeed, and show it."""
    print("$", *command, flush=True)
    subprocess.run(command, cwd=cwd, check=True)  # noqa: S603 - ours


def checked(folder: Path, tools: Path, *, light: bool) -> list[Path]:
    """Build sdist and wheel into `dist`, check them, and install the wheel into an empty environment."""
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run(tools / "python", "-m", "build", "--outdir", dist)
    files = sorted(dist.iterdir())
    run(tools / "twine", "check", "--strict", *files)
    run(tools / "cffconvert", "--validate", "-i", "CITATION.cff")
    (wheel,) = dist.glob("*.whl")
    venv.create(folder / "empty", with_pip=True)
    programs = folder / "empty" / "bin"
    if light:
        run(programs / "pip", "install", "--quiet", "--no-deps", wheel)
        run(programs / "pip", "show", "--files", "voxel-atlas")
    else:
        run(programs / "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", f"{wheel}[cpu]")
        for command in ("--version", "--help", "settings"):
            run(programs / "voxel-atlas", command, cwd=folder)
    return files


def main() -> None:
    """Make the release, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--light", action="store_true", help="check the wheel without its dependencies")
    parser.add_argument("--publish", action="store_true", help="upload what was checked")
    arguments = parser.parse_args()
    found = problems()
    print(*found, sep="\n")
    if arguments.publish and (found or arguments.light):
        sys.exit("Nothing was published: what is above has to be done first, and the wheel has to be tried in full.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "tools", with_pip=True)
        tools = folder / "tools" / "bin"
        run(tools / "pip", "install", "--quiet", *_TOOLS)
        files = checked(folder, tools, light=arguments.light)
        upload: tuple[str | Path, ...] = (tools / "twine", "upload", *files)
        if arguments.publish:
            run(*upload)
        else:
            print("Would be published by: twine upload", *(file.name for file in files))


if __name__ == "__main__":
    main()
