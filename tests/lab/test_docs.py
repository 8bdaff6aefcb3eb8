"""The documents of the lab name what exists: options, and a test for each row of the fidelity table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lab.start import rules
from tests.test_docs import PROJECT, check_options, rows, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable

BY_ARGUMENT = [
    rules.Rule(f"{call} with {constant}", kept=False, why=why, source="ours")
    for call, conditions in rules.CALLS_BY_ARGUMENT.items()
    for constant, _, why in (text.partition(": ") for text in conditions)
]
BOUNDARY = {
    "of the host": (rules.PATHS, "shown", "not there"),
    "capability": (rules.CAPABILITIES.values(), "kept", "dropped"),
    "call": ((*rules.CALLS, *BY_ARGUMENT, rules.NEW_USER_NAMESPACES), "", "refused"),
    "what": (rules.LIMITS, "bounded", "none"),
}
STANDINGS = ("as on Fly", "simplified", "unverified")


def test_every_row_of_the_fidelity_table_has_a_standing_and_tests_that_exist() -> None:
    existing = set(re.findall(r"def (test_\w+)", "\n".join(path.read_text() for path in PROJECT.glob("tests/**/*.py"))))
    table = rows(PROJECT / "docs" / "fidelity.md")
    assert len(table) > 40
    for behaviour, source, standing, test in table:
        assert source, behaviour
        assert standing.startswith(STANDINGS), f"{behaviour}: expected one of {STANDINGS}, got {standing!r}"
        assert test in existing or (test == "none" and standing.startswith("simplified")), (
            f"{behaviour}: there is no test {test!r}"
        )


def test_every_option_of_the_lab_the_readme_shows_is_in_the_help() -> None:
    check_options("flycast-lab", "lab")


@pytest.mark.parametrize("head", BOUNDARY)
def test_the_tables_of_the_boundary_in_the_docs_are_those_that_the_code_reads(head: str) -> None:
    table, kept, dropped = BOUNDARY[head]
    expected = {(rule.what, kept if rule.kept else dropped, rule.why, rule.source) for rule in table}
    documented = list(documented_rows(head))
    assert set(documented) == expected
    assert len(documented) == len(expected), "a row stands there twice"


def documented_rows(head: str) -> Iterable[tuple[str, ...]]:
    """Yield the rows of the table in docs/security.md that begins with `head`; a row may be about several calls."""
    text = (PROJECT / "docs/security.md").read_text()
    (table,) = re.findall(rf"^\| {head} \| in a Machine \|.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    for what, *others in rows_of(table):
        names = what.split(", ") if what.startswith("`") else [what]
        yield from ((name.replace("`", ""), *others) for name in names)
