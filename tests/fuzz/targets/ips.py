"""What `fly ips list --json` printed, or something else did: judged, or refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.check.addresses import addresses_in, judge_addresses
from shell.errors import UsageError
from tests.fuzz.target import Broken, kind, pure

if TYPE_CHECKING:
    from collections.abc import Hashable


def _check(data: bytes) -> Hashable:
    try:
        found = judge_addresses(addresses_in(data), "shop")
    except UsageError as error:
        if len(str(error)) > 500:  # it fits on a screen
            raise Broken(f"an error of {len(str(error))} characters") from error
        return kind(error)
    for finding in found:
        if max(len(finding.message), len(finding.fix)) > 500:
            raise Broken(f"repeats the input: {finding.message[:200]!r}, {finding.fix[:200]!r}")
    return frozenset(finding.rule.id for finding in found)


TARGET = pure("ips", _check, 2500)
