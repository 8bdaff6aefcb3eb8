"""What may need what: README says which folders go with the lab, and nothing else may notice when they are gone."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("private_svc", "shell", "tests")


def folders_of_the_lab() -> list[str]:
    said = re.search(r"You can delete `lab/` with(.+?)in one move", (PROJECT / "README.md").read_text(), re.DOTALL)
    assert said is not None
    return ["lab", *(folder.rstrip("/").replace("/", ".") for folder in re.findall(r"`([\w/]+)`", said[1]))]


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_below(module: str, folders: list[str]) -> bool:
    return any(module == folder or module.startswith(f"{folder}.") for folder in folders)


def test_nothing_outside_the_lab_and_its_tests_needs_them() -> None:
    gone = folders_of_the_lab()
    needs = [
        f"{file.relative_to(PROJECT)} needs {module}"
        for package in PACKAGES
        for file in sorted((PROJECT / package).rglob("*.py"))
        if not is_below(".".join(file.relative_to(PROJECT).with_suffix("").parts), gone)
        for module in imports(file)
        if is_below(module, gone)
    ]
    assert needs == []
