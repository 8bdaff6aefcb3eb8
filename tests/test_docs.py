"""The documents name what exists: commands, options, settings, tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from private_svc.config import SETTINGS
from shell.manual import manual

PROJECT = Path(__file__).resolve().parents[1]
README = PROJECT / "README.md"


def rows(document: Path) -> list[list[str]]:
    """Return the cells of every table row but the heads."""
    lines = [line for line in document.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if not set(row[0]) <= {"-"} and row[0] not in {"behaviour", "variable"}]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_the_readme_has_every_setting_with_its_default(setting: object) -> None:
    name, default = getattr(setting, "name"), getattr(setting, "default")  # noqa: B009
    shown = "unset" if default is None else f"`{default}`"
    assert any(row[:2] == [f"`{name}`", shown] for row in rows(README)), f"README: no row for {name}={default}"


def test_the_readme_and_the_justfile_know_the_same_recipes() -> None:
    recipes = set(re.findall(r"^([a-z]+)(?: \*?\w+)*:", (PROJECT / "Justfile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bjust ([a-z]+)\b", README.read_text()))
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


def help_of(module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments, "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
