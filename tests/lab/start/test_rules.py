"""The tables of the boundary: nothing in them that a container would not have, and every call has a number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.linux import call_filter
from lab.start import rules

# What a container has by default: DefaultCapabilities in oci/caps/defaults.go of github.com/moby/moby, v28.
DOCKER_KEEPS = {
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
    "CAP_AUDIT_WRITE",
}  # fmt: skip
CAPABILITIES = Path("/usr/include/linux/capability.h")
ALL_RULES = [*rules.CAPABILITIES.values(), *rules.CALLS, rules.NEW_USER_NAMESPACES, *rules.PATHS, *rules.LIMITS]


def test_no_capability_is_kept_that_a_container_has_not_by_default() -> None:
    kept = {rule.what for rule in rules.CAPABILITIES.values() if rule.kept}
    assert kept <= DOCKER_KEEPS
    assert [rules.CAPABILITIES[number].what for number in rules.KEPT_CAPABILITIES] == [
        rule.what for rule in rules.CAPABILITIES.values() if rule.kept
    ]


def test_every_capability_of_a_container_has_a_row_and_one_that_is_dropped_is_not_said_to_be_docker_s() -> None:
    by_name = {rule.what: rule for rule in rules.CAPABILITIES.values()}
    assert by_name.keys() >= DOCKER_KEEPS
    wrong = [name for name in DOCKER_KEEPS if not by_name[name].kept and by_name[name].source == rules.DOCKER]
    assert wrong == []


@pytest.mark.skipif(not CAPABILITIES.exists(), reason=f"not installed: {CAPABILITIES}")
def test_the_numbers_of_capabilities_are_the_kernel_s() -> None:
    known = {int(number): name for name, number in re.findall(r"#define (CAP_\w+)\s+(\d+)", CAPABILITIES.read_text())}
    assert {number: rule.what for number, rule in rules.CAPABILITIES.items()}.items() <= known.items()


def test_every_call_of_the_tables_has_a_number() -> None:
    named = {rule.what for rule in rules.CALLS} | rules.CALLS_BY_ARGUMENT.keys() | {"clone", "clone3", "unshare"}
    assert named == call_filter._NUMBERS.keys()  # noqa: SLF001 - the table that the filter is made of


def test_no_two_rows_are_about_the_same_and_each_says_why_and_from_where() -> None:
    assert len({rule.what for rule in ALL_RULES}) == len(ALL_RULES)
    assert [rule for rule in ALL_RULES if not (rule.what and rule.why and rule.source)] == []


@pytest.mark.parametrize(("memory_mb", "expected"), [(256, 1024), (512, 2048), (2048, 8192)])
def test_a_machine_has_as_many_processes_as_a_kernel_with_its_memory_allows(memory_mb: int, expected: int) -> None:
    """Half of the threads whose 16 KiB each fit into an eighth of the memory: fork_init in kernel/fork.c."""
    assert rules.processes(memory_mb) == expected == memory_mb * 1024 // 16 // 8 // 2
