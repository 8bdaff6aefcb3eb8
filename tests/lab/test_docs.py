"""The documents of the lab name what exists: options, and a test for each row of the fidelity table."""

from __future__ import annotations

import re

from tests.test_docs import PROJECT, check_options, rows

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
