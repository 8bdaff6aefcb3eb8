"""Callers that a private service refuses: count them, log at most once a minute, and name the command that helps.

A private app should have no public address. Fly Proxy tells which one a caller used: the last entry of X-Forwarded-For
is the app's own address (docs/fly.md, "Who is calling"), and so is the destination in a PROXY preface.

A caller of unknown origin comes from an address that is neither on 6PN nor in PLATFORM_NETWORKS. If Fly has begun to
dial from there, PLATFORM_NETWORKS needs that network, too.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from private_svc import logs
from private_svc.ingress import Ingress, parse

if TYPE_CHECKING:
    from private_svc.activity import Activity
    from private_svc.ingress import Caller

LOG_SECONDS = 60.0
ADDRESSES_AT_MOST = 8
ALLOW_NETWORK = (
    "if {client} belongs to Fly's host side, add its network to PLATFORM_NETWORKS, which is 172.16.0.0/12 by default"
)


class Exposure:
    """The public addresses that callers used, and the refused callers."""

    def __init__(self, app_name: str | None, activity: Activity) -> None:
        self._app_name = app_name or "APP"
        self._activity = activity
        self._log_limits = {ingress: logs.RateLimit(LOG_SECONDS) for ingress in Ingress}
        self._addresses: dict[str, None] = {}

    def refuse(self, caller: Caller) -> None:
        """Count `caller` as refused, and log it."""
        ingress, refused = caller.ingress, self._activity.refused
        refused[ingress] += 1
        if self._log_limits[ingress].allows():
            is_public = ingress is Ingress.PUBLIC
            logs.event(
                "refused",
                level=logging.WARNING,
                ingress=ingress,
                client=caller.client,
                refused=refused[ingress],
                fix=f"this app has a public address: {'; '.join(self.fix)}" if is_public else advice(caller),
            )

    def through(self, app_address: str) -> None:
        """Note the address of ours that a public caller used."""
        address = parse(app_address.strip())
        if address is not None and len(self._addresses) < ADDRESSES_AT_MOST:
            self._addresses[str(address)] = None

    @property
    def fix(self) -> tuple[str, ...]:
        """Return the commands that take the public addresses away."""
        release = (f"fly ips release {address} -a {self._app_name}" for address in self._addresses or ("ADDRESS",))
        return f"fly ips list -a {self._app_name}", *release


def advice(caller: Caller) -> str:
    """Return how to let a caller of unknown origin in."""
    return ALLOW_NETWORK.format(client=caller.client or "the caller")
