"""Which files of the host an app can change or read from its Machine, although nobody shows them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.stranger import found_by, stranger

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.lab

BY_ITS_OWN_PROGRAM = """
import errno, os
try:
    os.chmod("/proc/self/exe", 0o4777)
except OSError as error:
    print("found:", repr(errno.errorcode[error.errno]))
else:
    print("found: 'changed'")
"""


def test_an_app_that_runs_as_the_program_of_its_init_cannot_change_that_file(tmp_path: Path) -> None:
    """It is the interpreter of the lab, which an ordinary user owns who has installed it at home."""
    env = f'[env]\nPATH = "/proc/self:/usr/bin:/bin"\nPYTHONHOME = "{sys.base_prefix}"\n'
    assert found_by(stranger(tmp_path / "app", BY_ITS_OWN_PROGRAM, command="exe app.py", more=env)) == "EROFS"


WITH_A_SERVICE = """
import os, socket, subprocess, sys
subprocess.run(["mount", "-t", "tmpfs", "none", "/opt"], check=True)
service = socket.socket(socket.AF_UNIX)
service.bind("/opt/service")
os.chmod("/opt/service", 0o777)
service.listen()
service.set_inheritable(True)
open("/opt/file", "w").write("shown")
os.execvp(sys.argv[1], sys.argv[1:])
"""
CALLS_THE_SERVICE = """
import os, socket
try:
    socket.socket(socket.AF_UNIX).connect("/opt/service")
except OSError as error:
    print("found:", (error.strerror, open("/opt/file").read(), os.access("/opt", os.W_OK)))
else:
    print("found: 'connected'")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can put a service into /opt")
def test_a_service_of_the_host_that_has_its_socket_in_opt_is_not_reached(tmp_path: Path) -> None:
    before = ("unshare", "--mount", sys.executable, "-c", WITH_A_SERVICE)
    app = stranger(tmp_path / "app", CALLS_THE_SERVICE)
    assert found_by(app, before=before) == ("Connection refused", "shown", False)
