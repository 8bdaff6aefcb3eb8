"""What the files of this repository refer to is in it: documents, their sections, and the anchors of links."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.blocks import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDERS = (".ci", ".github", "docs", "lab", "private_svc", "recipes", "shell", "tests")
DOCUMENTS = [*sorted(PROJECT.glob("*.md")), *sorted(PROJECT.glob("docs/*.md"))]
NAMED = re.compile(r"(?<![\w./-])docs/[\w-]+\.md\b")
SECTIONS = re.compile(r'(?<![\w./-])((?:docs/)?[\w-]+\.md), ("[^"]+"(?:(?:,| and|, and) "[^"]+")*)')
ANCHOR = re.compile(r"\]\(([^)\s#:]*)#([^)\s]+)\)")
BREAK = re.compile(r"\n[ \t]*(?:#|//|>)?[ \t]*")
CAPITALS = re.compile(r"\b[A-Z][A-Z_]+\.md\b")


def files() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of every file of the repository that is text, but for this one."""
    paths = [path for path in PROJECT.iterdir() if path.is_file()]
    paths += [path for folder in FOLDERS for path in (PROJECT / folder).rglob("*") if path.is_file()]
    for path in sorted(paths):
        if "__pycache__" in path.parts or path == PROJECT / "tests" / "test_references.py":
            continue
        try:
            yield str(path.relative_to(PROJECT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture, or bytes that a reader is fuzzed with


@cache
def headings(document: Path) -> frozenset[str]:
    """Return the headings of a document as they are written; what looks like one in a block of commands is none."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return frozenset(re.findall(r"^#{1,6} (.+?)[ \t]*$", text, re.MULTILINE))


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def named(text: str) -> Iterator[tuple[str, str]]:
    """Yield each document and section that a text refers to, wherever its lines are broken; "" is no section."""
    line = BREAK.sub(" ", text)
    for document in NAMED.findall(line):
        yield document, ""
    for document, sections in SECTIONS.findall(line):
        for section in re.findall(r'"([^"]+)"', sections):
            yield document, section


def test_every_document_and_section_that_a_file_names_exists() -> None:
    missing = [
        f'{path}: {document}, "{section}"'
        for path, text in files()
        for document, section in named(text)
        if not (PROJECT / document).is_file() or (section and section not in headings(PROJECT / document))
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('Rules (docs/fly.md, "DNS"):', [("docs/fly.md", ""), ("docs/fly.md", "DNS")]),
        ('# see README.md, "How it\n# works"', [("README.md", "How it works")]),
        ('docs/a-b.md, "A", "B" and "C" say', [("docs/a-b.md", ""), *(("docs/a-b.md", name) for name in "ABC")]),
        ("made by python -m shell.manual > docs/probe.md", [("docs/probe.md", "")]),
        ("of Chromium's net/dns/README.md, and others/docs/x.md", []),
    ],
)
def test_a_reference_is_found_across_lines_and_for_each_of_its_sections(
    text: str, found: list[tuple[str, str]]
) -> None:
    assert list(named(text)) == found


def test_no_file_names_a_document_that_is_not_in_the_repository() -> None:
    here = {path.name for path in DOCUMENTS}
    assert [f"{path}: {name}" for path, text in files() for name in CAPITALS.findall(text) if name not in here] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_the_anchor_of_every_link_is_that_of_a_heading(document: Path) -> None:
    missing = [
        f"{target}#{fragment}"
        for target, fragment in ANCHOR.findall(document.read_text(encoding="utf-8"))
        if fragment not in {anchor(heading) for heading in headings((document.parent / target) if target else document)}
    ]
    assert missing == []
