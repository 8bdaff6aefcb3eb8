"""What is going on: what is open now, and what was served, by ingress."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from private_svc.ingress import Ingress


class Activity:
    """Counts since the start, and what is open at this moment."""

    __slots__ = ("admin_connections", "hello_connections", "hellos", "refused", "requests")

    def __init__(self) -> None:
        self.requests: Counter[Ingress] = Counter()
        self.hellos: Counter[Ingress] = Counter()
        self.refused = 0
        self.admin_connections = 0
        self.hello_connections = 0
