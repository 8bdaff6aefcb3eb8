"""Which files of the host an app can change or read from its Machine, although nobody shows them."""

from __future__ import annotations

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
