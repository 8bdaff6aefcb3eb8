"""Which Machine this is, from the variables that Fly sets (docs/fly.md, "Environment")."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Machine:
    """Who we are; None where Fly did not say, as on a laptop."""

    machine_id: str
    app_name: str | None
    region: str | None
    process_group: str | None
    image_ref: str | None
    machine_version: str | None
    private_ip: str | None
    public_ip: str | None


def whoami(environ: Mapping[str, str]) -> Machine:
    """Return this Machine; its id is the host name where `FLY_MACHINE_ID` is not set."""

    def said(name: str) -> str | None:
        return "".join(filter(str.isprintable, environ.get(name, ""))) or None

    return Machine(
        machine_id=said("FLY_MACHINE_ID") or socket.gethostname(),
        app_name=said("FLY_APP_NAME"),
        region=said("FLY_REGION"),
        process_group=said("FLY_PROCESS_GROUP"),
        image_ref=said("FLY_IMAGE_REF"),
        machine_version=said("FLY_MACHINE_VERSION"),
        private_ip=said("FLY_PRIVATE_IP"),
        public_ip=said("FLY_PUBLIC_IP"),
    )
