"""What every part of the service is told when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from private_svc.activity import Activity
    from private_svc.awake import Awake
    from private_svc.boot import Boot
    from private_svc.config import Config
    from private_svc.exposure import Exposure
    from private_svc.ingress import Classifier
    from private_svc.listeners import Listener
    from private_svc.machine import Machine


@dataclass(frozen=True, slots=True)
class Context:
    """The settings, this Machine, and the accounts that are kept of it."""

    config: Config
    machine: Machine
    boot: Boot
    listeners: tuple[Listener, ...]
    who: Classifier
    activity: Activity
    exposure: Exposure
    awake: Awake
