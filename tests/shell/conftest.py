from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.shell.scripted_dns import ScriptedDns

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def nameserver() -> Iterator[ScriptedDns]:
    with ScriptedDns() as server:
        yield server
