"""Images with nothing in them but a shell, run as Machines: what the configuration asks for is what happens."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT
from tests.image.layers import FOLDER, claiming, layer, libraries_of, oci_archive

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.lab
ESCAPED = f"lab-image-escaped-{os.getpid()}"  # no other test's
needs_ids = pytest.mark.skipif(os.geteuid() != 0, reason="another USER than root takes root, or ids from newuidmap")


@cache
def programs() -> dict[str, bytes]:
    """Return a shell, `cat`, `id` and `ls` of the host, with the libraries they load."""
    found: dict[str, bytes] = {}
    for name in ("sh", "cat", "id", "ls"):
        program = shutil.which(name)
        assert program is not None
        found[f"bin/{name}"] = Path(program).read_bytes()
        found |= libraries_of(program)
    return found


def said_by(
    tmp_path: Path, script: str, *layers: Mapping[str, str | bytes], options: tuple[str, ...] = (), **run: Any
) -> str:
    """Run a script as the image's CMD; return the lab's log."""
    settings = {"Cmd": ["sh", "-c", f"{script}; echo end"]} | run
    contents = [layer({**programs(), "tmp": FOLDER}), *map(layer, layers)]
    archive = oci_archive(tmp_path / "image.tar", contents, **settings)
    (tmp_path / "fly.toml").write_text('app = "small"\nprimary_region = "ams"\n')
    log = tmp_path / "lab.log"
    log.unlink(missing_ok=True)
    done = subprocess.run(
        [*LAB, "run", f"--config={tmp_path / 'fly.toml'}", f"--image=oci-archive:{archive}", f"--log={log}", *options,
         "--", "sh", "-c", f"until grep -qE '(Main child exited|failed to start)' {log}; do :; done"],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    return done.stderr + (log.read_text() if log.exists() else "")


def test_the_image_is_the_file_system_and_init_adds_its_own(tmp_path: Path) -> None:
    said = said_by(tmp_path, "ls /; cat /etc/hostname /etc/resolv.conf; echo to-null > /dev/null; ls /dev /.fly")
    assert re.search(r"\] nameserver fdaa::3$", said, re.MULTILINE), said
    lines = {line.partition("[info] ")[2] for line in said.splitlines()}
    assert {"bin", "lib64", "tmp", "proc", "null", "shm", "end"} <= lines, said
    assert not {"home", "var", "root"} & lines, said


@pytest.mark.long
@needs_ids
def test_the_caller_s_umask_does_not_close_the_image_to_its_user(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        said = said_by(tmp_path, "ls /bin", User="4321")
    finally:
        os.umask(before)
    assert "[info] end\n" in said


@needs_ids
def test_user_groups_and_home_are_the_image_s(tmp_path: Path) -> None:
    etc = {"etc/passwd": "me:x:4321:99::/place:/bin/sh\n", "etc/group": "mine:x:99:\nlogs:x:55:me\n"}
    said = said_by(tmp_path, "id; echo $HOME > /dev/stdout", etc, User="me")
    assert "uid=4321(me) gid=99(mine) groups=99(mine),55(logs)" in said
    assert "[info] /place\n" in said


@pytest.mark.long
def test_environment_directory_and_entrypoint_are_the_image_s(tmp_path: Path) -> None:
    said = said_by(
        tmp_path, "echo $A $FLY_APP_NAME; pwd", {"place": FOLDER},
        Env=["PATH=/bin", "A=b=c"], WorkingDir="/place", Entrypoint=["sh", "-c", 'echo first; exec "$@"', "entry"],
    )  # fmt: skip
    assert re.findall(r"\[info\] (first|b=c small|/place|end)\n", said) == ["first", "b=c small", "/place", "end"], said


@pytest.mark.long
def test_a_command_takes_the_place_of_cmd_and_not_of_entrypoint(tmp_path: Path) -> None:
    said = said_by(tmp_path, "", options=("--command=other",), Entrypoint=["sh", "-c", 'echo "$1"', "entry"])
    assert "[info] other\n" in said


@pytest.mark.long
def test_a_higher_layer_replaces_and_takes_away(tmp_path: Path) -> None:
    below = {"d/a": "1", "d/b": "1", "o/x": "1", "o/y/z": "1", "file": "1", "dir/in": "1", "link": "-> /d/a"}
    above = {
        "d/.wh.a": "",
        "o/y/new": "2",
        "o/.wh..wh..opq": "",
        "file": FOLDER,
        "file/now": "2",
        "dir": "2",
        "link": "2",
    }
    said = said_by(tmp_path, "cd /; ls d o/* file dir; cat link dir", below, above)
    assert "cannot be unpacked" not in said
    assert re.findall(r"\[info\] (a|b|x|z|new|now)\n", said) == ["b", "now", "new"], said


@pytest.mark.long
@pytest.mark.parametrize(
    "entries",
    [
        {"etc": "-> /tmp"},
        {"etc/resolv.conf": "-> /tmp/elsewhere", "etc/hosts": "-> ../../../../../../etc/hosts"},
        {"dev": "-> /tmp", "proc": "-> tmp"},
        {f"../../../../../../../../tmp/{ESCAPED}": "out"},
        {"way": "-> /../../../../../tmp", f"way/{ESCAPED}": "out"},
    ],
    ids=["etc", "files", "dev", "dots", "through a link"],
)
def test_no_name_or_link_in_an_image_leads_to_the_host(tmp_path: Path, entries: dict[str, str]) -> None:
    before = Path("/etc/hosts").read_bytes(), Path("/etc/resolv.conf").read_bytes()
    said = said_by(tmp_path, "cat /etc/resolv.conf", entries)
    assert (Path("/etc/hosts").read_bytes(), Path("/etc/resolv.conf").read_bytes()) == before
    assert not Path("/tmp", ESCAPED).exists()  # noqa: S108 - where the image aims at
    assert "Traceback" not in said
    assert "nameserver fdaa::3" in said or "failed to start" in said, said


def test_a_link_for_a_directory_of_the_lab_s_does_not_lead_to_the_host_by_its_own_processes(tmp_path: Path) -> None:
    """The init that lays the file system stands in the host's root: /proc/self/cwd of a link would be there."""
    precious = tmp_path / "etc/hosts"
    precious.parent.mkdir()
    precious.write_text("precious\n")
    way = f"-> /proc/self/cwd{tmp_path}"
    said = said_by(tmp_path, "cat /etc/resolv.conf", {"etc": f"{way}/etc", "run": f"{way}/etc", ".fly": f"{way}/etc"})
    assert (precious.read_text(), list(precious.parent.iterdir())) == ("precious\n", [precious])
    assert "nameserver fdaa::3" in said, said


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ({"Cmd": None}, "nothing to run: image oci-archive:"),
        ({"Cmd": ["/no/such/program"]}, "cannot run '/no/such/program': No such file or directory"),
        ({"User": "nobody-here:x"}, "nobody-here"),
        pytest.param({"WorkingDir": "/not/there"}, "[info] end", id="a directory that is not there"),
    ],
)
def test_what_an_image_asks_in_vain_is_told(tmp_path: Path, run: dict[str, Any], expected: str) -> None:
    said = said_by(tmp_path, "true", **run)
    assert expected in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--image=no-such-image-here", "image 'no-such-image-here': not to be had here; buildah: "),
        ("--image=--help", "image '--help'"),
        ("--image=other=x", "--image: expected one NAME, got 'other=x'"),
        ("--image=", "--image: expected one NAME, got ''"),
    ],
)
def test_an_image_that_is_not_there_is_one_line(option: str, expected: str) -> None:
    if "buildah" in expected and shutil.which("buildah") is None:
        expected = "image 'no-such-image-here'"
    config = f"--config={PROJECT / 'fly.toml'}"
    done = subprocess.run(
        [*LAB, "run", config, option, "--", "true"],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode in {1, 2}
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_an_image_that_is_too_large_is_one_line(tmp_path: Path) -> None:
    archive = oci_archive(tmp_path / "image.tar", [claiming(100 * 1024**3)], Cmd=["true"])
    config = f"--config={PROJECT / 'fly.toml'}"
    done = subprocess.run(
        [*LAB, "run", config, f"--image=oci-archive:{archive}", "--", "true"],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert ": cannot be unpacked: layer 0: expected files of at most " in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_where_no_tool_is_installed_the_tools_are_named(tmp_path: Path) -> None:
    config = f"--config={PROJECT / 'fly.toml'}"
    done = subprocess.run(
        [sys.executable, "-m", "lab", "run", config, "--image=some", "--", "true"],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False, env={"PATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "expected buildah, podman, docker or oci-archive:FILE" in done.stderr
