"""The explorer's modules are well typed: `tsc --checkJs` reads their JSDoc."""

import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[3] / "api" / "web"
TSC = WEB / "node_modules" / "typescript" / "bin" / "tsc"
NODE = shutil.which("node")


@pytest.mark.skipif(not (NODE and TSC.exists()), reason="needs node and api/web/node_modules: see api/web/README.md")
def test_the_modules_of_the_page_are_well_typed() -> None:
    checked = subprocess.run(
        [str(NODE), str(TSC), "--project", str(WEB / "jsconfig.json")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_every_module_that_the_page_needs_is_loaded_at_once() -> None:
    page = (WEB / "index.html").read_text(encoding="utf-8")
    # With the 3-D view, bundled, or in a notebook's cell.
    solid = {"cortex.js", "body.js", "fold.js", "skin.js", "solid-names.js", "three-parts.js"}
    later = {*solid, "graphiql.js", "cell.js"}
    for module in sorted(WEB.glob("*.js")):
        assert (f'"assets/{module.name}"' in page) != (module.name in later), module.name
