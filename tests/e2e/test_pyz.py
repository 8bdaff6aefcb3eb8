"""The probe as one file, fetched from the service by a shell Machine that has nothing but `curl` and `python3`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from shell import archive
from tests.e2e.running import PROJECT, RunningLab

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.lab

BARE = "env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin python3 -I"


def test_the_service_hands_out_the_probe_and_the_file_times_a_wake(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "fly.toml", tmp_path)
    shutil.copy(PROJECT / "Dockerfile", tmp_path)
    (tmp_path / "private_svc").symlink_to(PROJECT / "private_svc")
    assert archive.main([str(tmp_path / "flycast-probe.pyz")]) == 0
    with RunningLab("--autostop-interval", "1", configs=[tmp_path / "fly.toml"]) as lab:
        said = lab.shell(
            'cd "$(mktemp -d)" && trap \'rm -r "$PWD"\' EXIT && curl -sSO http://private-svc.flycast/flycast-probe.pyz '
            f"&& {BARE} flycast-probe.pyz wake private-svc --wait 30 --warm 1"
        )
    assert "cold proven" in said, said
