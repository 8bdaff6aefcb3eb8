"""What the kernel is told for far-delay and far-loss: few kernels have netem, so the message itself is looked at."""

from __future__ import annotations

from pathlib import Path

from pyroute2.netlink.rtnl.tcmsg import sched_netem

WHOLE = 2**32 - 1  # a probability of 1, tc-netem's q_netem


def test_a_delay_is_microseconds_and_a_loss_percent() -> None:
    told = sched_netem.get_parameters({"delay": 60_000, "loss": 5})
    nanoseconds_a_microsecond, nanoseconds_a_tick = (
        int(field, 16) for field in Path("/proc/net/psched").read_text("ascii").split()[:2]
    )
    ticks = 60_000 * nanoseconds_a_microsecond / nanoseconds_a_tick
    assert abs(told["delay"] - ticks) <= ticks / 1000
    assert abs(told["loss"] - WHOLE * 0.05) <= WHOLE / 1000
