"""Where the time of a request that woke a Machine went: network, platform, boot, answer, body.

| part     | from                                | to                                      | measured by            |
|----------|-------------------------------------|-----------------------------------------|------------------------|
| network  | the question to DNS                 | the end of the TCP handshake            | the probe              |
| platform | the end of the handshake            | the process begins, or notices a resume | first byte less age    |
| boot     | the process begins                  | it can answer                           | the app, `boot`        |
| answer   | it can answer, or notices a resume  | the first byte                          | what is left           |
| body     | the first byte                      | the last byte                           | the probe              |
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shell.phases import Timed

NAMES = ("network", "platform", "boot", "answer", "body")


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a time, in ms; of one request they add up to its total."""

    network_ms: float
    platform_ms: float
    boot_ms: float
    answer_ms: float
    body_ms: float

    @property
    def ms(self) -> tuple[float, ...]:
        """Return the parts in the order of `NAMES`."""
        return astuple(self)


def divide(timed: Timed, awake_ms: float, boot_ms: float) -> Parts:
    """Return the parts of a request at whose answer the process was `awake_ms` old, or that long resumed."""
    platform_ms = max(0.0, timed.first_byte_ms - awake_ms)
    boot_ms = min(boot_ms, timed.first_byte_ms - platform_ms)
    return Parts(
        network_ms=timed.resolve_ms + timed.connect_ms,
        platform_ms=platform_ms,
        boot_ms=boot_ms,
        answer_ms=timed.first_byte_ms - platform_ms - boot_ms,
        body_ms=timed.total_ms - timed.until_first_byte_ms,
    )


def median_parts(known: Sequence[Parts]) -> Parts | None:
    """Return the median of each part, or None where none is known."""
    return Parts(*map(median, zip(*(parts.ms for parts in known), strict=True))) if known else None
