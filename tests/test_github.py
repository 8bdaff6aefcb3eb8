"""What GitHub reads of this repository names what exists."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.blocks import PROJECT

WORKFLOW = PROJECT / ".github" / "workflows" / "tests.yml"
YAML = sorted((PROJECT / ".github").rglob("*.yml"))
# The little of YAML that these files keep to: two spaces a level, `key:`, `key: value`, items and plain text below `>`.
LINE = re.compile(r"(?:  )*(?:- )?(?:[\w-]+:(?: \S.*)?|\".*\"|[\w.].*)")


@pytest.mark.parametrize("file", YAML, ids=lambda file: file.name)
def test_a_file_keeps_to_plain_yaml(file: object) -> None:
    lines = str(getattr(file, "read_text")()).splitlines()  # noqa: B009 - a parameter's type is lost here
    odd = [line for line in lines if line.strip() and not line.lstrip().startswith("#") and not LINE.fullmatch(line)]
    assert not odd
    colons = [line for line in lines if re.match(r"\s*(?:- )?[\w-]+: [^\"'>|\[{#].*(?:: | #|`)", line)]
    assert not colons, f"a value with a colon, a hash or a backtick needs quotes: {colons}"


def test_the_workflow_tests_every_python_that_the_project_supports() -> None:
    classifiers = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["classifiers"]
    supported = [
        line.rpartition(" ")[2] for line in classifiers if re.fullmatch(r"Programming Language.* 3\.\d+", line)
    ]
    (matrix,) = re.findall(r"python: \[(.*)\]", WORKFLOW.read_text())
    assert re.findall(r'"(.*?)"', matrix) == supported


def test_the_workflow_runs_what_exists() -> None:
    recipes = set(re.findall(r"^([a-z]+)(?: \*?\w+)*:", (PROJECT / "Justfile").read_text(), re.MULTILINE))
    commands = re.findall(r"run: (.*)$", WORKFLOW.read_text(), re.MULTILINE)
    assert {"just lint", ".ci/run"} <= set(commands)
    for command in commands:
        if command.startswith("just "):
            assert command.split()[1] in recipes, command
    assert (PROJECT / ".ci" / "run").stat().st_mode & 0o111


def test_the_workflow_leaves_out_every_tier_in_the_plain_runs() -> None:
    tiers = re.findall(r'^    "(\w+): ', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE)
    (marked,) = re.findall(r"just test -m \"(.*)\"", WORKFLOW.read_text())
    assert {f"not {tier}" for tier in tiers} <= set(marked.split(" and "))
