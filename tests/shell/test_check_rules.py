"""Every planted fault is found, and nothing is found where there is none.

A case names in its comments the ids that are expected, their lines, and the text of the Dockerfile that lies beside it.
"""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from shell.check.addresses import RULES as OF_ADDRESSES
from shell.check.catalog import RULES as ALL_RULES
from shell.check.judge import RULES, judge

if TYPE_CHECKING:
    from shell.check.finding import Finding

CASES = Path(__file__).parent / "check_cases"
PROJECT = Path(__file__).parents[2]
FAULTY = sorted((CASES / "faulty").glob("*.toml"))
GOOD = sorted((CASES / "good").glob("*.toml"))
VALUES = (
    "true",
    "0",
    "-1",
    "1e9",
    "nan",
    '"x"',
    '""',
    "[]",
    "{}",
    "[1]",
    "[{}]",
    "{a=1}",
    "99999999999",
    '"10s"',
    "0.5",
)


def findings_in(case: Path, folder: Path) -> tuple[Finding, ...]:
    """Judge a case in a folder of its own."""
    text = case.read_bytes()
    (folder / "fly.toml").write_bytes(text)
    dockerfile = re.search(r"^# Dockerfile: (.*)$", text.decode(), re.MULTILINE)
    if dockerfile:
        (folder / "Dockerfile").write_text(dockerfile[1].strip().replace(" | ", "\n"), encoding="utf-8")
    return judge(folder / "fly.toml").findings


@pytest.mark.parametrize("case", FAULTY, ids=lambda case: case.stem)
def test_the_planted_fault_is_found_at_its_line_and_no_other(case: Path, tmp_path: Path) -> None:
    expects, lines = case.read_text(encoding="utf-8").splitlines()[:2]
    found = findings_in(case, tmp_path)
    assert sorted({it.rule.id for it in found}) == sorted(expects.removeprefix("# expects: ").split()), found
    assert [it.line for it in found] == [int(word) for word in lines.removeprefix("# lines: ").split()], found


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.stem)
def test_nothing_is_found_in_a_good_file(case: Path, tmp_path: Path) -> None:
    assert findings_in(case, tmp_path) == ()


def test_nothing_is_found_in_the_blueprint_s_own_file() -> None:
    assert judge(PROJECT / "fly.toml").findings == ()


def test_there_are_enough_cases_and_every_rule_has_one() -> None:
    assert len(FAULTY) >= 60
    assert len(GOOD) >= 20
    planted = {word for case in FAULTY for word in case.read_text(encoding="utf-8").splitlines()[0].split()[2:]}
    assert planted == {rule.id for rule in RULES}


def test_rules_have_ids_of_their_own_and_one_sentence_each() -> None:
    assert len(ALL_RULES) == len(RULES) + len(OF_ADDRESSES)
    for rule in ALL_RULES.values():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.id)
        assert rule.why.endswith("."), rule.id


def test_whatever_is_written_into_a_file_it_is_judged(tmp_path: Path) -> None:
    chance = Random(8)  # noqa: S311 - the same files at every run
    texts = [case.read_text(encoding="utf-8").splitlines() for case in (*FAULTY, *GOOD)]
    path = tmp_path / "fly.toml"
    for _ in range(300):
        lines = list(chance.choice(texts))
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(lines))
            key, equals, _value = lines[place].partition("=")
            lines[place] = f"{key}= {chance.choice(VALUES)}" if equals else chance.choice(chance.choice(texts))
        path.write_text("\n".join(lines), encoding="utf-8")
        judgement = judge(path)
        assert all(finding.file == str(path) and finding.line > 0 for finding in judgement.findings)
