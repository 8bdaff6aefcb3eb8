from __future__ import annotations

import errno

import pytest

from lab.doctor import describe
from lab.host import Hints, Survey, remedy

PLAIN = Hints(container=False, filtered=False, limits=())


def refused(number: int) -> Survey:
    return Survey("rootless", "unshare(CLONE_NEWUSER)", number)


@pytest.mark.parametrize(
    ("number", "hints", "expected"),
    [
        (errno.ENOSPC, PLAIN, "sysctl -w user.max_user_namespaces=15000"),
        (errno.EPERM, Hints(container=True, filtered=False, limits=()), "--privileged"),
        (errno.EPERM, Hints(container=False, filtered=True, limits=()), "--cap-add SYS_ADMIN"),
        (
            errno.EPERM,
            Hints(container=False, filtered=False, limits=(("kernel/apparmor_restrict_unprivileged_userns", "1"),)),
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            errno.EPERM,
            Hints(container=False, filtered=False, limits=(("kernel/unprivileged_userns_clone", "0"),)),
            "kernel.unprivileged_userns_clone=1",
        ),
        (errno.EINVAL, PLAIN, "run as root"),
        (errno.ENOSYS, PLAIN, "run the lab on Linux"),
    ],
)
def test_every_refusal_has_a_remedy(number: int, hints: Hints, expected: str) -> None:
    assert expected in remedy(refused(number), hints)


def test_a_refusal_is_described_with_call_errno_and_remedy_in_one_screen() -> None:
    lines = describe(refused(errno.EPERM), PLAIN)
    text = "\n".join(lines)
    assert len(lines) < 24
    assert "unshare(CLONE_NEWUSER)" in text
    assert "EPERM (Operation not permitted)" in text
    assert "remedy" in text


def test_a_host_that_allows_everything_is_told_in_one_line() -> None:
    assert describe(Survey("root", "", 0), PLAIN) == [
        "The lab works here (root): namespaces, veth, IPv6 forwarding and mounts are allowed."
    ]
