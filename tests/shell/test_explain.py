from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shell.check.catalog import RULES
from shell.cli import main

if TYPE_CHECKING:
    from shell.check.finding import Rule


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_every_rule_is_explained_with_severity_reason_and_fix(rule: Rule, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", rule.id]) == 0
    head, _, severity, _, why, _, fix = capsys.readouterr().out.splitlines()
    assert head == rule.id
    assert severity.startswith(f"Severity: {rule.severity}")
    assert why == f"Why: {rule.why}"
    assert fix == f"Fix: {rule.advice}"
    assert rule.advice.endswith(".")


def test_an_id_may_come_with_its_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "[udp-port]"]) == 0
    assert capsys.readouterr().out.startswith("udp-port\n")


def test_without_an_id_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    assert capsys.readouterr().out.splitlines() == list(RULES)


def test_an_unknown_id_names_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "force-http"]) == 2
    assert "expected the id of a rule, got 'force-http'; did you mean force-https?" in capsys.readouterr().err
    assert main(["explain", "zzz"]) == 2
    assert "`flycast-probe explain` lists them" in capsys.readouterr().err
