"""Code blocks of Markdown pages.

A comment above a block says how it is run: `<!-- needs: xz -->` only where that program is, `<!-- not run: why -->`
never, `<!-- raises: SpaceError -->` it must raise that, `<!-- file: job.toml -->` it is written there. The Python
blocks of a page share their names, in order.
"""

import re
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^>]*?) -->\n)?^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass
class Block:
    language: str
    body: str
    line: int
    mark: str
    note: str


def blocks(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        mark, _, note = (match["mark"] or "").partition(": ")
        line = text.count("\n", 0, match.start("body")) + 1
        found.append(Block(match["language"], match["body"], line, mark, note))
    return found


def commands(block: Block) -> list[str]:
    """The thalweg commands of a console block, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", block.body)
    return [line.removeprefix("$ ") for line in joined.splitlines() if line.removeprefix("$ ").startswith("thalweg ")]
