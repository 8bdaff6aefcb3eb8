"""Ctrl-C while `flycast-lab` still loads its own modules is as quiet as later."""

from __future__ import annotations

import subprocess
import sys

import pytest

INTERRUPTED_AT = """
import sys
_, where = sys.argv
sys.argv = ["flycast-lab", "doctor"]
class CtrlC:
    def find_spec(self, name, path, target=None):
        if name == where:
            raise KeyboardInterrupt
sys.meta_path.insert(0, CtrlC())
from lab.__main__ import entry
entry()
"""


@pytest.mark.parametrize("module", ["lab.inheritance", "lab.cli", "argparse", "lab.errors", "lab.faults", "lab.doctor"])
def test_ctrl_c_during_an_import_ends_it_without_a_traceback(module: str) -> None:
    argv = [sys.executable, "-c", INTERRUPTED_AT, module]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
