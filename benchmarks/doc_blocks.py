"""The code blocks of README and docs: what language they are in, and why some are not run."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUN = ("sh", "python", "sql", "graphql", "yaml", "csv", "json")
"""Languages that are run; `text` shows layouts and is not code."""
PROXIES = ("nginx", "apache", "caddy")
"""Settings of proxies, which tests/api/proxied.py runs."""
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+?) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    code: str
    reason: str
    """Why it is not run; empty where it is."""

    @property
    def name(self) -> str:
        """Where it is."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """README and the manual."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks() -> list[Block]:
    """All blocks, in the order of pages and lines."""
    found = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start("code"))
            found.append(Block(page.name, line, match["language"], match["code"], match["reason"] or ""))
    return found


def counted() -> tuple[int, int]:
    """Blocks that are run, and blocks that say why they are not."""
    code = [block for block in blocks() if block.language in RUN]
    return sum(not block.reason for block in code), sum(bool(block.reason) for block in code)
