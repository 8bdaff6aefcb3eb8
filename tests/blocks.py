"""The command blocks of the documents, and what each says right above it about how it is tested.

- `<!-- run: lab -->`: on a shell Machine of a lab; `host`: line by line on this machine; `terminals`: the first line in
  one terminal, the others in another; `flyctl`: beside a stand-in for flyctl; `ci`: .ci/run does it
- `<!-- run by test_name -->`: that test does what the block does
- `<!-- needs Fly: reason -->`: nobody can run it without an account
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
_MARKER = re.compile(r"<!-- (?:run: (?P<where>\w+)|run by (?P<test>test_\w+)|needs Fly: (?P<reason>\S.*?)) -->")
_LANGUAGES = ("sh", "bash", "shell", "console")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of commands; of `where`, `test` and `reason` the one is set that is said above it."""

    document: str
    line: int
    section: str
    text: str
    where: str = ""
    test: str = ""
    reason: str = ""

    def __str__(self) -> str:
        """Name the place, as an editor takes it."""
        return f"{self.document}:{self.line}"

    def commands(self) -> list[str]:
        """Return its lines, but for comments and empty ones."""
        return [line for line in self.text.splitlines() if line.strip() and not line.startswith("#")]


def blocks_of(path: Path) -> list[Block]:
    """Return the command blocks of one document, in order."""
    found, section, above = [], "", ""
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    for number, line in lines:
        if line.startswith("```"):
            inside = []
            for _, part in lines:
                if part.startswith("```"):
                    break
                inside.append(part)
            if line[3:].strip() in _LANGUAGES:
                said = _MARKER.fullmatch(above)
                marked = {name: value or "" for name, value in said.groupdict().items()} if said else {}
                found.append(Block(path.relative_to(PROJECT).as_posix(), number, section, "\n".join(inside), **marked))
        elif line.startswith("#"):
            section = line.lstrip("# ")
        above = line
    return found


def all_blocks() -> list[Block]:
    """Return the command blocks of every document."""
    return [
        block
        for path in (*sorted(PROJECT.glob("*.md")), *sorted(PROJECT.glob("docs/*.md")))
        for block in blocks_of(path)
    ]


def blocks_for(where: str) -> list[Block]:
    """Return those that are run in one way."""
    return [block for block in all_blocks() if block.where == where]
