"""What an app can do on the network that Fly's own would not let it do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.stranger import found_by, stranger

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.lab

FORGES = """
import socket
forged = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
refused = []
for level, option in ((socket.IPPROTO_IPV6, 78), (socket.IPPROTO_IP, 15)):
    try:
        forged.setsockopt(level, option, 1)
    except PermissionError:
        refused.append(option)
try:
    forged.bind(("fdaa::3", 53))
except OSError as error:
    print("found:", (refused, error.strerror))
else:
    forged.connect(("fdaa::3", 53))
    print("found:", (refused, "bound to", forged.getsockname()))
"""


def test_an_app_cannot_send_from_the_address_of_the_nameserver_or_of_another_machine(tmp_path: Path) -> None:
    """Another Machine would believe such an answer; on Fly nothing leaves with another address than the Machine's."""
    assert found_by(stranger(tmp_path / "app", FORGES)) == ([78, 15], "Cannot assign requested address")
