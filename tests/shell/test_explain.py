from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shell.check.catalog import RULES
from shell.cli import main
from shell.proxy_codes import CODES

if TYPE_CHECKING:
    from shell.check.finding import Rule

PROJECT = Path(__file__).parents[2]


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
    assert capsys.readouterr().out.splitlines() == [*RULES, *CODES]


def test_an_unknown_id_names_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "force-http"]) == 2
    assert (
        "expected the id of a rule or a code of Fly Proxy, got 'force-http'; did you mean force-https?"
        in capsys.readouterr().err
    )
    assert main(["explain", "zzz"]) == 2
    assert "`flycast-probe explain` lists them" in capsys.readouterr().err


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_fly_proxy_is_explained_however_it_is_written(
    code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", f"[{code.lower()}]"]) == 0
    head, _, what, _, fix = capsys.readouterr().out.splitlines()
    assert (head, what) == (code, f"What: {CODES[code][0]}")
    assert fix == f"Fix: {CODES[code][1]}"
    assert fix.endswith((".", "?"))


def test_every_code_that_the_documents_or_the_lab_name_is_explained() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (*PROJECT.glob("docs/*.md"), *PROJECT.glob("lab/proxy/*.py"))]
    named = set(re.findall(r"\bP[ACELMPRTU]\d\d\b", "\n".join([(PROJECT / "README.md").read_text("utf-8"), *texts])))
    assert {"PM05", "PC01"} <= named
    assert named <= set(CODES)
