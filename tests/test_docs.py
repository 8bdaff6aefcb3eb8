"""The documents name what exists: commands, options, settings, tests."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from private_svc.config import SETTINGS
from shell.manual import manual
from shell.pages import document

PROJECT = Path(__file__).resolve().parents[1]
README = PROJECT / "README.md"


def rows(document: Path) -> list[list[str]]:
    """Return the cells of every table row but the heads."""
    return rows_of(document.read_text())


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of every table row of a text but the heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if not set(row[0]) <= {"-"} and row[0] not in {"behaviour", "variable", "against"}]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_the_readme_has_every_setting_with_its_default(setting: object) -> None:
    name, default = getattr(setting, "name"), getattr(setting, "default")  # noqa: B009
    shown = "unset" if default is None else f"`{default}`"
    assert any(row[:2] == [f"`{name}`", shown] for row in rows(README)), f"README: no row for {name}={default}"


def test_the_readme_and_the_justfile_know_the_same_recipes() -> None:
    recipes = set(re.findall(r"^([a-z]+)(?: \*?\w+)*:", (PROJECT / "Justfile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bjust (?:[a-z]+=\S+ )?([a-z]+)\b", README.read_text()))
    assert named <= recipes, f"README names recipes that do not exist: {named - recipes}"
    assert recipes <= named, f"README does not name {recipes - named}"


def test_every_option_the_readme_shows_is_in_the_help() -> None:
    check_options("flycast-probe", "shell")


def check_options(command: str, module: str) -> None:
    """Look up every option that the README gives `command` in its --help."""
    shown = re.findall(rf"^\s*(?:\$ )?{command} (\w+)?([^\n#]*)", README.read_text(), re.MULTILINE)
    for subcommand, rest in shown:
        arguments = [subcommand] if subcommand else []
        text = help_of(module, *arguments)
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", rest.split(" -- ")[0]):
            assert option in text, f"README: {command} {subcommand} {option} is not in its --help"


def test_the_probe_s_page_is_what_its_parsers_say() -> None:
    written = (PROJECT / "docs" / "probe.md").read_text()
    assert written == manual(), "run: python -m shell.manual > docs/probe.md"


def test_the_page_of_the_rules_is_what_explain_prints() -> None:
    written = (PROJECT / "docs" / "rules.md").read_text()
    assert written == document(), "run: python -m shell.pages > docs/rules.md"


def help_of(module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments, "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FILES_SHOWN = [
    *re.finditer(r"`([\w/]+\.py)`:\n\n```python\n(.*?)```", (PROJECT / "docs/adapting.md").read_text(), re.DOTALL)
]


def test_the_files_that_adapting_shows_are_the_ones_that_are_tested() -> None:
    examples = ("flags", "team_login", "signed_user", "locks")
    files = [f"tests/examples/{name}.py" for example in examples for name in (example, f"test_{example}")]
    assert [shown[1] for shown in FILES_SHOWN] == files
    for shown in FILES_SHOWN:
        assert shown[2] == (PROJECT / shown[1]).read_text(), f"docs/adapting.md: its {shown[1]} is not the file"


def test_the_paths_settings_and_names_that_adapting_gives_exist() -> None:
    text = (PROJECT / "docs/adapting.md").read_text()
    names = {setting.name for setting in SETTINGS}
    assert set(re.findall(r"`([A-Z_]+)=", text)) <= names | {"APP"}
    for module, function in re.findall(r"`((?:\w+\.)+)(\w+)\(request\)`", text):
        assert callable(getattr(import_module(module.rstrip(".")), function))


def test_security_names_a_test_that_exists_for_everything_it_says_is_defended() -> None:
    existing = set(re.findall(r"def (test_\w+)", "\n".join(path.read_text() for path in PROJECT.glob("tests/**/*.py"))))
    text = (PROJECT / "docs/security.md").read_text()
    defended = [
        row
        for heading in ("## What is defended", "### What shows it")
        for row in rows_of(text.partition(heading)[2].partition("\n##")[0])
    ]
    assert len(defended) > 25
    for against, how, shown in defended:
        tests = re.findall(r"`(test_\w+)`", shown)
        assert how, against
        assert tests, f"{against}: no test"
        assert set(tests) <= existing, f"{against}: there is no test {set(tests) - existing}"


def test_every_fact_about_fly_has_its_kind_of_source_and_says_how_it_was_checked() -> None:
    text = (PROJECT / "docs/fly.md").read_text()
    tables = re.findall(r"^\| fact \| source \| checked \|\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert len(tables) == text.count("\n## "), "a section without a table of facts"
    for fact, source, checked in (row for table in tables for row in rows_of(table)):
        assert re.search(r"\b(?:doc|code|log|user|reading)\b", source), f"{fact}: from where?"
        assert re.match(r"no\b|(?:read|seen|ran) 20\d\d-\d\d\b", checked), f"{fact}: how and when, or no?"


DOCUMENTS = [*sorted(PROJECT.glob("*.md")), *sorted(PROJECT.glob("docs/*.md"))]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_what_a_document_links_to_in_this_repository_exists(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("picture", sorted(PROJECT.glob("docs/images/*.svg")), ids=lambda picture: picture.name)
def test_a_drawing_is_well_formed_says_what_it_shows_and_knows_the_dark(picture: Path) -> None:
    root = ET.fromstring(picture.read_text())  # noqa: S314 - a file of this repository
    assert root.find("{*}title") is not None
    assert "prefers-color-scheme: dark" in picture.read_text()
