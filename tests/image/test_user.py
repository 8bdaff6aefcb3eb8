from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lab.errors import LabError
from lab.idmap import Range, granted
from lab.image.user import Identity, identity_of, is_root

if TYPE_CHECKING:
    from pathlib import Path

USERS = "root:x:0:0:root:/root:/bin/sh\nservice:x:10001:100::/srv:/bin/sh\nbroken\n7:x:8:8::/seven:/bin/sh\n"
GROUPS = "root:x:0:\nusers:x:100:\nlogs:x:4:service,root\nbroken:x:many:service\n"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Identity(0, 0, (4,), "/root")),
        ("root", Identity(0, 0, (4,), "/root")),
        ("service", Identity(10001, 100, (4,), "/srv")),
        ("10001", Identity(10001, 100, (4,), "/srv")),
        ("10001:0", Identity(10001, 0, (), "/srv")),
        ("service:logs", Identity(10001, 4, (), "/srv")),
        ("12345", Identity(12345, 0, (), "/")),
        ("12345:6", Identity(12345, 6, (), "/")),
        ("7", Identity(8, 8, (), "/seven")),
    ],
)
def test_a_user_is_looked_up_by_name_then_by_number(tmp_path: Path, user: str, expected: Identity) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(USERS)
    (tmp_path / "etc/group").write_text(GROUPS)
    assert identity_of(user, tmp_path) == expected


def test_a_table_of_users_that_has_no_end_is_none(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    (tmp_path / "etc/group").symlink_to("/dev/zero")
    assert identity_of("12345:6", tmp_path) == Identity(12345, 6, (), "/")


@pytest.mark.parametrize("user", ["nobody-here", "0:nobody-here"])
def test_a_name_that_the_image_does_not_have_is_told(tmp_path: Path, user: str) -> None:
    with pytest.raises(LabError, match="'nobody-here'"):
        identity_of(user, tmp_path)


@pytest.mark.parametrize(("user", "root"), [("", True), ("0", True), ("root:0", True), ("10001", False), ("a", False)])
def test_root_is_known_without_a_look_into_the_image(user: str, root: bool) -> None:
    assert is_root(user) is root


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("me:100000:65536\n", Range(100000, 65536)),
        ("you:1:2\n1000:5:6\nme:7:8\n", Range(5, 6)),
        ("me:many:ids\nme:1\n", None),
        ("you:1:2\n", None),
        ("", None),
    ],
)
def test_the_first_range_of_one_s_name_or_number_is_granted(text: str, expected: Range | None) -> None:
    assert granted(text, {"me", "1000"}) == expected
