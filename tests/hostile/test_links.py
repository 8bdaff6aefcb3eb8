"""Links in an image that stand where the lab writes when it sets a Machine up lead nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.image.test_small_images import said_by

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.long]

NAMES = ("tmp", "var", "root", "home", "run", "sys", "proc", "dev", "etc", ".fly", "usr")
WRITE = "for place in / /tmp /var /root /home /run /dev /etc /.fly /usr; do echo out > $place/written; done"


@pytest.mark.parametrize("name", NAMES)
def test_neither_the_lab_nor_the_app_writes_through_a_link_of_the_image(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    said = said_by(tmp_path, WRITE, {name: f"-> {outside}"})
    assert list(outside.iterdir()) == [], f"something was written outside through a link:\n{said}"
    assert "[info] end\n" in said or "failed to start" in said, said
    assert "Traceback" not in said, said
