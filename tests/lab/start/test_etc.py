"""The /etc of a Machine: a copy of what every user of the host may read, bounded, and the files of Fly's init."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from lab.start import etc

if TYPE_CHECKING:
    from pathlib import Path

OWNER = (os.geteuid(), os.getegid())
MEGABYTE = 1024 * 1024


@pytest.fixture
def host(tmp_path: Path) -> Path:
    place = tmp_path / "host"
    place.mkdir()
    return place


def copied(host: Path, owner: tuple[int, int] = OWNER) -> Path:
    target = host.with_name("copy")
    etc.copy(str(host), str(target), owner)
    return target


def names(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*")}


def write(path: Path, data: bytes = b"text", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_what_every_user_may_read_is_there_with_its_content_and_mode(host: Path) -> None:
    write(host / "passwd", b"root:x:0:0\n")
    write(host / "init.d/app", b"#!/bin/sh\n", 0o755)
    (host / "empty").mkdir()
    copy = copied(host)
    assert names(copy) == {"passwd", "init.d", "init.d/app", "empty"}
    assert (copy / "passwd").read_bytes() == b"root:x:0:0\n"
    assert stat.S_IMODE((copy / "init.d/app").stat().st_mode) == 0o755


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o000, 0o711, 0o660])
def test_a_file_that_others_may_not_read_is_not_there_even_for_root(host: Path, mode: int) -> None:
    write(host / "shadow", b"secret", mode)
    assert names(copied(host)) == set()


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o751, 0o754])
def test_a_directory_that_others_may_not_enter_and_list_is_not_there(host: Path, mode: int) -> None:
    write(host / "ssl/private/key")
    (host / "ssl/private").chmod(mode)
    assert names(copied(host)) == {"ssl"}


def test_a_link_stays_a_link_and_leads_nowhere_that_it_did_not(host: Path, tmp_path: Path) -> None:
    secret = write(tmp_path / "secret", b"secret", 0o600)
    (host / "link").symlink_to(secret)
    (host / "directory").symlink_to(tmp_path)
    (host / "localtime").symlink_to("../usr/share/zoneinfo/UTC")
    copy = copied(host)
    assert [(copy / name).readlink() for name in ("link", "directory")] == [secret, tmp_path]
    assert str((copy / "localtime").readlink()) == "../usr/share/zoneinfo/UTC"


def test_what_is_neither_file_nor_directory_nor_link_is_not_there_and_is_not_waited_for(host: Path) -> None:
    os.mkfifo(host / "fifo", 0o666)
    if os.geteuid() == 0:
        os.mknod(host / "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    write(host / "file")
    assert names(copied(host)) == {"file"}


def test_a_huge_file_is_not_there(host: Path) -> None:
    write(host / "largest", bytes(MEGABYTE))
    write(host / "huge", bytes(MEGABYTE + 1))
    copy = copied(host)
    assert names(copy) == {"largest"}
    assert (copy / "largest").stat().st_size == MEGABYTE


def test_the_whole_is_bounded(host: Path) -> None:
    for number in range(40):
        write(host / f"{number % 4}/{number}", bytes(MEGABYTE))
    copy = copied(host)
    assert sum(path.stat().st_size for path in copy.rglob("*") if path.is_file()) == 32 * MEGABYTE


@pytest.mark.parametrize("umask", [0o077, 0o777], ids=oct)
def test_the_modes_are_those_of_the_host_whatever_the_umask_of_the_caller(host: Path, umask: int) -> None:
    write(host / "alternatives/passwd")
    before = os.umask(umask)
    try:
        copy = copied(host)
    finally:
        os.umask(before)
    found = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in (copy, *copy.rglob("*"))}
    assert found == {"copy": "0o755", "alternatives": "0o755", "passwd": "0o644"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_copy_belongs_to_the_machine_s_root_and_nothing_in_it_is_set_id(host: Path) -> None:
    write(host / "directory/file", mode=0o6755)
    copy = copied(host, (70000, 70001))
    found = [path.stat() for path in (copy, *copy.rglob("*"))]
    assert {(status.st_uid, status.st_gid) for status in found} == {(70000, 70001)}
    assert not any(status.st_mode & 0o7000 for status in found)


def test_a_laptop_knows_itself_and_no_resolver() -> None:
    files = etc.laptop_files("my-laptop")
    assert "127.0.1.1\tmy-laptop\n" in files["hosts"]
    assert "nameserver" not in files["resolv.conf"]
    assert files["hostname"] == "my-laptop\n"
