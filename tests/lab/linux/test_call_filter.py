"""The filter of system calls, run by an interpreter of the kernel's packet filter as seccomp(2) uses it."""

from __future__ import annotations

import errno
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.errors import RefusedError
from lab.linux import call_filter
from lab.start import rules
from lab.start.confine import Confinement

AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}  # linux/audit.h
I386, X32 = 0x40000003, 0x40000000
REFUSED = [rule.what for rule in rules.CALLS]
NEW_USER, THREAD = 0x10000000, 0x3D0F00  # CLONE_NEWUSER; what pthread_create of glibc gives to clone
HEADERS = {  # as Debian's linux-libc-dev has them; arm64 and RISC-V have the generic numbers
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
    "riscv64": Path("/usr/include/asm-generic/unistd.h"),
}
ALLOWED, NOT_PERMITTED, UNKNOWN = "allowed", errno.EPERM, errno.ENOSYS


@dataclass(frozen=True, slots=True)
class Filter:
    """The project's filter on one architecture."""

    machine: str

    def verdict(self, name: str, *arguments: int) -> int | str:
        return self.of(self.number(name), *arguments)

    def of(self, number: int, *arguments: int, audit: int | None = None) -> int | str:
        """Return what becomes of a call, by struct seccomp_data: number, architecture, address, six arguments."""
        given = (*arguments, *[0] * 6)[:6]
        data = struct.pack("=iIQ6Q", number - (number >> 31 << 32), audit or AUDIT[self.machine], 0, *given)
        return interpret(self.program(), data)

    def program(self) -> bytes:
        by_argument = {name: conditions.values() for name, conditions in rules.CALLS_BY_ARGUMENT.items()}
        return call_filter.program(REFUSED, by_argument, self.machine)

    def number(self, name: str) -> int:
        return call_filter._NUMBERS[name][0 if self.machine == "x86_64" else 1]  # noqa: SLF001 - the table under test


def interpret(program: bytes, data: bytes) -> int | str:
    lines = list(struct.iter_unpack("=HBBI", program))
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = lines[at]
        at += 1
        match code:
            case 0x20:  # BPF_LD | BPF_W | BPF_ABS
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x15 | 0x35 | 0x45:  # BPF_JMP | BPF_JEQ, BPF_JGE, BPF_JSET, all | BPF_K
                holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: accumulator & value}[code]
                at += if_true if holds else if_false
            case 0x06:  # BPF_RET | BPF_K
                return ALLOWED if value == 0x7FFF0000 else value - 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
            case _:
                raise AssertionError(f"the program has an instruction {code:#x} that seccomp(2) does not need")


@pytest.fixture(params=AUDIT)
def calls(request: pytest.FixtureRequest) -> Filter:
    return Filter(request.param)


def test_every_call_is_refused_that_the_rules_refuse_and_every_other_is_allowed(calls: Filter) -> None:
    refused = {calls.number(name): NOT_PERMITTED for name in REFUSED} | {calls.number("clone3"): UNKNOWN}
    assert len(refused) == len(REFUSED) + 1, "two names with one number"
    wrong = {number: verdict for number in range(1024) if (verdict := calls.of(number)) != refused.get(number, ALLOWED)}
    assert wrong == {}


def test_the_numbers_are_those_of_the_kernel_s_headers(calls: Filter) -> None:
    header = HEADERS[calls.machine]
    if not header.exists():
        pytest.skip(f"not installed: {header}")
    known = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", header.read_text()))
    names = [*REFUSED, *rules.CALLS_BY_ARGUMENT, "clone", "clone3", "unshare"]
    assert {name: str(calls.number(name)) for name in names} == {name: known.get(name) for name in names}


@pytest.mark.parametrize("name", ["clone", "unshare"])
def test_a_new_user_namespace_is_refused_whatever_else_is_asked_for(calls: Filter, name: str) -> None:
    for flag in range(64):
        for flags in (1 << flag, THREAD | 1 << flag):
            expected = NOT_PERMITTED if flags & NEW_USER else ALLOWED
            assert calls.verdict(name, flags) == expected, hex(flags)
            assert calls.verdict(name, flags | NEW_USER) == NOT_PERMITTED, hex(flags)
    assert calls.verdict(name, 17, NEW_USER, NEW_USER) == ALLOWED, "only the first argument has flags"


def test_typing_on_a_terminal_is_refused_and_all_else_of_ioctl_is_not(calls: Filter) -> None:
    refused = {command: calls.verdict("ioctl", 0, command) for command in range(0x5400, 0x5480)}
    assert {command for command, verdict in refused.items() if verdict == NOT_PERMITTED} == {0x5412, 0x541C, 0x5423}
    assert set(refused.values()) == {NOT_PERMITTED, ALLOWED}
    assert calls.verdict("ioctl", 0x5412, 0x5401, 0x5412) == ALLOWED, "only the second argument is the command"
    assert calls.verdict("ioctl", 0, 0xFFFFFFFF00005412) == NOT_PERMITTED, "the kernel ignores the upper half"


def test_the_sockets_of_the_hypervisor_and_of_ciphers_are_refused_and_all_others_are_not(calls: Filter) -> None:
    refused = [family for family in range(64) if calls.verdict("socket", family, 1) != ALLOWED]
    assert refused == [38, 40], "AF_ALG, AF_VSOCK"
    assert calls.verdict("socket", 40 | 1 << 32) == NOT_PERMITTED, "the kernel ignores the upper half"


def test_an_address_of_another_machine_cannot_be_bound_and_all_else_can_be_set(calls: Filter) -> None:
    levels, options = (0, 1, 6, 17, 41, 255), range(256)
    asked = [(level, option) for level in levels for option in options]
    refused = [both for both in asked if calls.verdict("setsockopt", 3, *both) == NOT_PERMITTED]
    assert refused == [(0, 15), (41, 78)], "IP_FREEBIND, IPV6_FREEBIND; SO_REUSEPORT is 15 of another level"


def test_calls_of_another_architecture_do_not_exist(calls: Filter) -> None:
    for audit in {*AUDIT.values(), I386, 0, 0xFFFFFFFF} - {AUDIT[calls.machine]}:
        assert {calls.of(number, audit=audit or 1) for number in range(1024)} == {UNKNOWN}, hex(audit)


def test_calls_in_the_numbering_of_x32_do_not_exist(calls: Filter) -> None:
    numbers = [X32 + number for number in range(1024)] + [0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
    assert {calls.of(number) for number in numbers} == {UNKNOWN}
    assert calls.of(X32 - 1) == ALLOWED


def test_every_path_through_the_program_ends_and_the_kernel_would_take_it(calls: Filter) -> None:
    lines = list(struct.iter_unpack("=HBBI", calls.program()))
    assert 0 < len(lines) <= 4096, "BPF_MAXINSNS"
    assert lines[-1][0] == 0x06, "the last instruction returns"
    for at, (code, if_true, if_false, value) in enumerate(lines):
        if code in {0x15, 0x35, 0x45}:
            assert at + 1 + max(if_true, if_false) < len(lines)
        if code == 0x20:
            assert value % 4 == 0
            assert value < 64, "struct seccomp_data has 64 bytes"


def test_an_architecture_that_it_is_not_known_for_is_refused_by_name() -> None:
    with pytest.raises(RefusedError, match="seccomp on pdp11, expected one of x86_64, aarch64, riscv64"):
        call_filter.program([], {}, "pdp11")


@pytest.mark.skipif(os.uname().machine not in AUDIT, reason="no filter is known for this architecture")
def test_what_a_machine_gets_is_the_filter_of_this_architecture() -> None:
    assert Confinement.prepare().call_filter == Filter(os.uname().machine).program()
