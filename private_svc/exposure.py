"""What came in through a public address: counted, said in the log once a minute at most, and how to end it.

A private app should have no public address. Fly Proxy tells which one a caller used: the last entry of
X-Forwarded-For is the app's own address (FLY_FACTS section 3), and so is the destination in a PROXY preface.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from private_svc import logs
from private_svc.ingress import parse

if TYPE_CHECKING:
    from private_svc.activity import Activity
    from private_svc.ingress import Caller

LOG_SECONDS = 60.0
ADDRESSES_AT_MOST = 8


class Exposure:
    """The public ways in that were used."""

    def __init__(self, app_name: str | None, activity: Activity) -> None:
        self._app_name = app_name or "APP"
        self._activity = activity
        self._logged_s = float("-inf")
        self._addresses: dict[str, None] = {}

    def refuse(self, caller: Caller) -> None:
        """Note that `caller` was refused."""
        self._activity.refused += 1
        now_s = time.monotonic()
        if now_s - self._logged_s >= LOG_SECONDS:
            self._logged_s = now_s
            logs.event(
                "refused",
                level=logging.WARNING,
                ingress=caller.ingress,
                client=caller.client,
                refused=self._activity.refused,
                fix=f"this app has a public address: {'; '.join(self.fix)}",
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
