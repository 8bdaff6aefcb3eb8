"""Whose time a cold start was: the platform's and the app's, of one request or of the median one."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shell.wake.outcome import Sample


@dataclass(frozen=True, slots=True)
class Parts:
    """The two parts of a time, in ms."""

    platform_ms: float
    app_ms: float

    @property
    def app_share(self) -> float:
        """Return the app's part of the whole, from 0 to 1."""
        whole_ms = self.platform_ms + self.app_ms
        return self.app_ms / whole_ms if whole_ms else 0.0


def parts_of(sample: Sample) -> Parts | None:
    """Return the parts of one request, or None when nobody knows them."""
    platform_ms, app_ms = sample.judgement.platform_ms, sample.judgement.app_ms
    return None if platform_ms is None or app_ms is None else Parts(platform_ms, app_ms)


def median_parts(samples: Sequence[Sample]) -> Parts | None:
    """Return the median of each part over the requests whose parts are known."""
    known = [parts for sample in samples if (parts := parts_of(sample))]
    if not known:
        return None
    return Parts(median(parts.platform_ms for parts in known), median(parts.app_ms for parts in known))
