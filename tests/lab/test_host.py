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


def test_bridge_mode_is_told_with_what_was_refused_what_differs_and_the_remedy() -> None:
    found = Survey("rootless", "", 0, "write forwarding: EROFS (Read-only file system)", "mount(proc on /proc): EPERM")
    assert found.works
    text = "\n".join(describe(found, PLAIN))
    for words in ("bridge mode", "EROFS", "ttl 64", "ports below 1024", "mount(proc on /proc): EPERM", "--privileged"):
        assert words in text, f"{words!r} is missing in:\n{text}"


def test_a_lab_without_a_proc_of_its_own_is_still_routed() -> None:
    lines = describe(Survey("root", "", 0, own_proc="mount(proc on /proc): EPERM"), PLAIN)
    assert lines[0] == "The lab works here (root), without a /proc of its own."
    assert "bridge" not in "\n".join(lines)
