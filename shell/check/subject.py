"""What the rules look at: fly.toml as flyctl reads it, each part with its place, and the Dockerfile beside it.

Rules
- A Machine runs the services of one process group; a service without `processes` is in every group.
- Where the app is this blueprint's service, its settings have their defaults (README.md, "How it works").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shell.check.kind_of_app import KindOfApp
    from shell.flytoml import Document, FlyToml, Service, Table

_EVERY, _ANY = "", "*"  # no process group has such a name
_DEFAULTS = {"PORT": "8080", "HELLO_PORT": "1848", "DRAIN_SECONDS": "8", "HELLO_PROXY_PROTOCOL": "off"}
_WHOLE = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def is_http(service: Service) -> bool:
    """Return whether it is `[http_service]`."""
    return service.where == "http_service"


def listed_under(processes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys under which to list what runs in these groups, so that `looked_up_under` finds what it meets."""
    return (*(processes or (_EVERY,)), _ANY)


def looked_up_under(processes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys that list everything which shares a Machine with what runs in these groups."""
    return (*processes, _EVERY) if processes else (_ANY,)


@dataclass(frozen=True, slots=True)
class Subject:
    """One fly.toml: `raw` keeps the spelling of its keys, `tables` are those of the services by their key paths.

    `dockerfile` is the text that a build would use.
    """

    root: Table
    raw: Mapping[str, Any]
    fly_toml: FlyToml
    tables: Mapping[str, Table]
    dockerfile: str | None
    kind: KindOfApp

    @classmethod
    def of(cls, found: Document, fly_toml: FlyToml, dockerfile: str | None, kind: KindOfApp) -> Subject:
        """Put together what belongs to one file."""
        root = found.root
        sections = (root.table("http_service"), *root.tables("services"))
        tables = {table.where: table for table in sections if table}
        return cls(root, found.tree, fly_toml, tables, dockerfile, kind)

    @property
    def is_blueprint(self) -> bool:
        """Whether the app is this blueprint's service."""
        return self.kind.is_blueprint

    @property
    def services(self) -> tuple[Service, ...]:
        """The services, `[http_service]` first."""
        return self.fly_toml.services

    def setting(self, name: str) -> str | None:
        """Return a setting: from `[env]`, else the blueprint's default if it is that; None where it is not known."""
        return self.fly_toml.env.get(name, _DEFAULTS.get(name) if self.is_blueprint else None)

    def bound_port(self, name: str) -> int | None:
        """Return the port that a setting makes the service bind, None where that is not known."""
        text = self.setting(name) or ""
        return int(text) or None if _WHOLE.fullmatch(text) else None

    @property
    def drain_seconds(self) -> float | None:
        """How long this blueprint's service may drain; None for every other app."""
        text = self.setting("DRAIN_SECONDS") if self.is_blueprint else None
        return float(text) if text and _NUMBER.fullmatch(text) else None

    @property
    def leaves_by_itself(self) -> bool:
        """Whether the service ends its own idle Machine (IDLE_EXIT_SECONDS)."""
        return bool(self.fly_toml.env.get("IDLE_EXIT_SECONDS", "").strip("0"))

    def checks(self) -> Iterator[tuple[Table, str]]:
        """Yield every health check, and what a bare number means there."""
        for service in self.services:
            of_service = self.tables[service.where]
            if is_http(service):
                yield from ((table, "nanoseconds") for table in of_service.tables("checks"))
            else:
                for key in ("tcp_checks", "http_checks"):
                    yield from ((table, "milliseconds") for table in of_service.tables(key))
        if isinstance(self.root.values.get("checks"), list):
            yield from ((table, "milliseconds") for table in self.root.tables("checks"))
        elif named := self.root.table("checks"):
            for name in named.values:
                if table := named.table(name):
                    yield table, "milliseconds"
