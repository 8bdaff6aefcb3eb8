"""What fuzzing has found in the lab."""

from __future__ import annotations

import time

import pytest

from lab.proxy.errors import BadReplayError
from lab.proxy.routing_fields import parse_replay

CPU_SECONDS = 0.1


def test_a_fly_replay_of_many_spaces_is_refused_at_once() -> None:
    began_s = time.process_time()
    with pytest.raises(BadReplayError):
        parse_replay(b"region=ams" + b" " * 6_000 + b'"', "m1")
    assert time.process_time() - began_s < CPU_SECONDS
