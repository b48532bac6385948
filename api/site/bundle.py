"""The page's modules as one classic script: a page that is opened from a folder may not load modules."""

import re
from pathlib import Path

from ...schemas.errors import NotFoundError

MAIN = "main.js"
_IMPORT = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"\./([\w/-]+\.js)";[ \t]*$', re.MULTILINE)
_EXPORT = re.compile(r"^export\s+((?:async\s+)?(?:function\*?|class|const|let)\s+([\w$]+))", re.MULTILINE)
_VENDOR_EXPORT = re.compile(r"export\s*\{([^}]*)\}\s*;?")
_LATER = re.compile(r'await import\("\./([\w/-]+\.js)"\)')
_LATER_BY_NAME = re.compile(r"await import\(([A-Z_]+)\)")
_FOLLOWS_NOTHING = "return { createClient: () => ({ subscribe() {} }) };"
"""In place of what follows ingests: a copy has none."""


def classic_bundle(web: Path) -> str:
    """The script that does what `main.js` and the modules that it imports do; each runs when it is first needed.

    Args:
        web: the folder of the page.

    Raises:
        NotFoundError: the bundled third-party code is not built.
    """
    bodies, left = dict[str, str](), [MAIN]
    while left:
        name = left.pop()
        if name in bodies:
            continue
        path = web / name
        if not path.exists():
            raise NotFoundError(f"{path} is not there; build it: npm --prefix api/web ci && node api/web/build.mjs")
        source = path.read_text(encoding="utf-8")
        if name == "vendor/graphql-ws.js":
            bodies[name] = _FOLLOWS_NOTHING
        elif name.startswith("vendor/"):
            bodies[name] = _VENDOR_EXPORT.sub(lambda found: f"return {{{_renamed(found[1], turned=True)}}};", source)
        else:
            paths = re.findall(r'^const [A-Z_]+ = "\./([\w/-]+\.js)";', source, re.MULTILINE)
            left += [*(found[2] for found in _IMPORT.finditer(source)), *_LATER.findall(source), *paths]
            bodies[name] = _wrapped(source)
    defined = ",\n".join(f"{name!r}: () => {{\n{body}\n}}" for name, body in bodies.items())
    return f"""// The modules of the page, wrapped by `voxel-atlas publish`.
(() => {{
"use strict";
const made = {{}};
const need = (name) => (made[name] ??= modules[name]());
const later = async (path) => need(path.replace("./", ""));
const modules = {{
{defined}
}};
need({MAIN!r});
}})();
"""


def _wrapped(source: str) -> str:
    exported = [found[2] for found in _EXPORT.finditer(source)]
    body = _IMPORT.sub(lambda found: f"const {{{_renamed(found[1])}}} = need({found[2]!r});", source)
    body = _LATER.sub(lambda found: f"await later({found[1]!r})", body)
    body = _LATER_BY_NAME.sub(r"await later(\1)", body)
    body = _EXPORT.sub(r"\1", body)
    return f"{body}\nreturn {{ {', '.join(exported)} }};"


def _renamed(names: str, *, turned: bool = False) -> str:
    """Names of an import, or turned of an export, as an object has them: "a as b" is "a: b"."""
    pairs = [name.strip().split(" as ") for name in names.split(",") if name.strip()]
    return ", ".join(f"{pair[-1]}: {pair[0]}" if turned else ": ".join(pair) for pair in pairs)
