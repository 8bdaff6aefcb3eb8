from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import fields

import pytest

from lab.errors import UsageError
from lab.faults import KINDS, NO_FAULTS, Faults, altered, help_text, parse, switch, switched_on

ARGV = ("app", "--flag")


def test_every_fault_is_a_field_is_in_the_help_and_is_off_unless_given() -> None:
    assert {kind.field for kind in KINDS.values()} == {field.name for field in fields(Faults)}
    assert all(f"  {name}" in help_text() for name in KINDS)
    assert parse([]) == NO_FAULTS == Faults()
    assert not any(getattr(NO_FAULTS, field.name) for field in fields(Faults))


@pytest.mark.parametrize("name", KINDS)
def test_every_fault_can_be_switched_on(name: str) -> None:
    kind = KINDS[name]
    faults = parse([f"{name}=7" if kind.value else name])
    assert getattr(faults, kind.field) == (7 if kind.value else True)
    assert sum(bool(getattr(faults, field.name)) for field in fields(Faults)) == 1


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.value])
@pytest.mark.parametrize("value", ["", "0", "-1", "x", "1e3", "inf", "nan", "٣", "1 ", "9999999", "0.0", "1,5"])
def test_a_value_that_is_no_number_above_0_is_refused(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"--fault {name}=.*: expected a (whole )?number above 0"):
        parse([f"{name}={value}"])


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["lost-dns=101"], "--fault lost-dns=PERCENT: expected a number above 0 up to 100, got '101'"),
        (["crash-on-start=1.5"], "--fault crash-on-start=N: expected a whole number above 0, got '1.5'"),
        (["never-bind", "never-bind"], "--fault: never-bind was given twice"),
        (["never-bind="], "--fault never-bind: expected no value, got ''"),
        (["Slow-Bind=1"], f"--fault: expected one of {', '.join(KINDS)}, got 'Slow-Bind'"),
        ([""], f"--fault: expected one of {', '.join(KINDS)}, got ''"),
    ],
)
def test_a_mistake_says_what_was_expected(texts: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(texts)
    assert str(caught.value) == said


def test_faults_are_switched_on_and_off_while_the_lab_is_up() -> None:
    faults = parse(["lost-dns=5", "never-bind"])
    assert switched_on(faults) == ["never-bind", "lost-dns=5"]
    switch(faults, ["lost-dns=7.5", "never-bind=off", "ignore-sigint"])
    assert switched_on(faults) == ["ignore-sigint", "lost-dns=7.5"]
    switch(faults, ["lost-dns=off", "ignore-sigint=off", "stale-dns=off"])
    assert faults == Faults()


@pytest.mark.parametrize("wrong", ["lost-dns=x", "lost", "clock-jump=1", "far-loss=off", "stop-race", "never-bind=on"])
def test_one_wrong_switch_changes_nothing(wrong: str) -> None:
    faults = parse(["dns-delay=5"])
    with pytest.raises(UsageError, match="--fault"):
        switch(faults, ["dns-delay=off", "slow-bind=3", wrong])
    assert switched_on(faults) == ["dns-delay=5"]


def test_the_starts_after_the_deploy_s_crash_as_often_as_was_asked() -> None:
    crashes = [altered(ARGV, start, Faults(crash_on_start=2))[0] != ARGV for start in range(1, 6)]
    assert crashes == [False, True, True, False, False]
    argv, said = altered(ARGV, 3, Faults(crash_on_start=2))
    assert said == "fault crash-on-start: start 2 of 2 that end at once"
    assert subprocess.run(argv, capture_output=True, check=False).returncode == 1


def test_an_app_that_binds_late_is_the_same_program_a_little_later() -> None:
    script = (sys.executable, "-c", "import os, sys; print(os.getpid(), sys.argv[1])", "$HOME 'x'")
    argv, said = altered(script, 1, Faults(slow_bind_seconds=0.2))
    assert said == "fault slow-bind: the app starts 0.2s late"
    began = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as program:
        assert program.communicate(timeout=20)[0] == f"{program.pid} $HOME 'x'\n"
    assert time.monotonic() - began >= 0.2


def test_without_faults_the_program_is_untouched() -> None:
    assert altered(ARGV, 1, NO_FAULTS) == (ARGV, "")
    assert "never" in altered(ARGV, 1, Faults(never_bind=True))[1]
