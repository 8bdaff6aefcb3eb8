"""Make the parts of a service in this process, as life.py does."""

from __future__ import annotations

from ipaddress import ip_network
from types import MappingProxyType
from typing import TYPE_CHECKING

from private_svc import config
from private_svc.activity import Activity
from private_svc.awake import Awake
from private_svc.boot import Boot, clock
from private_svc.context import Context
from private_svc.exposure import Exposure
from private_svc.ingress import Classifier, Here
from private_svc.machine import whoami

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from private_svc.ingress import Caller

PLATFORM = "172.16.0.0/12"
HERE = Here((ip_network(PLATFORM),))
FLY = {
    "FLY_MACHINE_ID": "148e21b7c06389",
    "FLY_APP_NAME": "private-<svc>",
    "FLY_REGION": "ams",
    "FLY_PRIVATE_IP": "fdaa:0:18:a7b:7d:f066:b83b:2",
}


class SeenAs(Classifier):
    """Every caller seems to come from one peer."""

    def __init__(self, peer: str, platform_networks: str = PLATFORM) -> None:
        super().__init__(Here(tuple(map(ip_network, platform_networks.split(",")))))
        self._peer = peer

    def of_peer(self, _: str, getsockname: Callable[[], tuple[str, ...]]) -> Caller:
        return super().of_peer(self._peer, getsockname)


def context(
    who: Classifier | None = None, *, fly: Mapping[str, str] = MappingProxyType(FLY), **settings: str
) -> Context:
    """Return a context with these settings; it has been serving for a second."""
    boot = Boot(clock() - 1)
    boot.stamp("serving")
    activity = Activity()
    machine = whoami(fly)
    exposure = Exposure(machine.app_name, activity)
    return Context(config.read(settings), machine, boot, (), who or Classifier(HERE), activity, exposure, Awake())
