"""What is an error, and for whom: other people's files, and the rules that are about this blueprint's service alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shell.check.catalog import RULES
from shell.check.finding import Scope, Severity
from shell.check.judge import judge

HERE = Path(__file__).parent
CORPUS = HERE / "flytoml_corpus"
OUTCOMES = json.loads((CORPUS / "outcomes.json").read_text(encoding="utf-8"))
BROKEN = {  # of the files that `fly config validate` accepts, those that a deploy refuses or that nobody can reach
    "015-http-port-neg.toml": {"port-range"},
    "016-http-port-huge.toml": {"port-range"},
    "054-svc-badproto.toml": {"unknown-protocol"},
    "056-svc-badhandler.toml": {"unknown-handler"},
    "059-svc-force-https-tls.toml": {"force-https-handler"},
    "070-svc-dup-port.toml": {"port-clash"},
    "111-vm-bad-size.toml": {"vm-size"},
    "112-vm-bad-size2.toml": {"vm-size"},
    "122-vm-cpu-kind-bad.toml": {"vm-size"},
    "131-mount-nodest.toml": {"mount-destination"},
    "197-appname-upper.toml": {"app-name"},
    "208-autostop-service-level-mismatch.toml": {"autostop-without-autostart"},
}
OURS = """\
app = "shop"
{kill}
[env]
HELLO_PORT = "1848"
[http_service]
internal_port = 8080
auto_stop_machines = "stop"
[[vm]]
memory = "256mb"
"""


def errors_in(path: Path) -> set[str]:
    return {finding.rule.id for finding in judge(path).findings if finding.severity is Severity.ERROR}


@pytest.mark.parametrize("name", sorted(name for name, it in OUTCOMES.items() if it["outcome"] == "valid"))
def test_a_file_that_flyctl_accepts_has_an_error_only_where_the_app_is_broken(name: str) -> None:
    assert errors_in(CORPUS / name) == BROKEN.get(name, set())


def test_a_size_that_a_deploy_refuses_is_an_error() -> None:
    refused = {name for name, it in OUTCOMES.items() if it["outcome"] == "valid" and it["tomachine_errors"]}
    assert refused
    assert all(errors_in(CORPUS / name) == {"vm-size"} for name in refused)


@pytest.mark.parametrize("path", sorted((HERE / "check_cases").glob("*/*.toml")), ids=lambda path: path.stem)
def test_a_rule_of_this_blueprint_s_service_is_never_an_error_for_another_app(path: Path) -> None:
    judged = judge(path)
    ours = {finding.rule.id for finding in judged.findings if finding.rule.scope is Scope.BLUEPRINT}
    if not judged.kind_of_app.is_blueprint:
        assert ours & errors_in(path) == set()


@pytest.mark.parametrize(
    "kill", ["kill_timeout = 5", 'kill_timeout = "5s"', "kill_timeout = 5000", "kill_timeout = -1", ""]
)
def test_one_place_gets_one_fix(kill: str, tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    path.write_text(OURS.format(kill=kill), encoding="utf-8")
    (finding,) = judge(path).findings
    assert finding.where == "kill_timeout"
    assert finding.fix == f'kill_timeout = "{"300s" if "5000" in kill else "10s"}"'


@pytest.mark.parametrize("path", sorted((HERE / "check_cases").glob("*/*.toml")), ids=lambda path: path.stem)
def test_no_place_of_a_case_gets_two_values_to_write(path: Path) -> None:
    places = [edit.where for finding in judge(path).findings for edit in finding.edits]
    assert len(places) == len(set(places))


def test_autostop_without_autostart_is_no_error_where_some_machines_never_stop(tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    text = OURS.format(kill='kill_timeout = "10s"').replace('"stop"\n', '"stop"\nauto_start_machines = false\n')
    path.write_text(text, encoding="utf-8")
    assert errors_in(path) == {"autostop-without-autostart"}
    path.write_text(text.replace("false\n", "false\nmin_machines_running = 1\n"), encoding="utf-8")
    assert errors_in(path) == set()


def test_a_missing_vm_is_answered_with_keys_that_fly_console_takes() -> None:
    for rule in ("no-vm", "vm-size", "gpu"):
        assert "cpu_kind" in RULES[rule].advice
        assert 'size = "' not in RULES[rule].advice
