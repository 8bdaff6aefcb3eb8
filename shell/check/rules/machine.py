"""What `fly launch` and the platform make of it.

Rules (docs/fly.md, "Addresses" and "flyctl")
- The name of an app is a DNS label: small letters, digits and dashes.
- Without a `[build]` strategy, launch scans the Dockerfile, and its first EXPOSE replaces `internal_port`.
- Without `[[vm]]`, launch adds one with 1 GB.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shell.check.finding import Edit, error, warning
from shell.names.grammar import is_app_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding
    from shell.check.subject import Subject

_STRATEGIES = ("builder", "buildpacks", "builtin", "compose", "dockerfile", "image")
_EXPOSE = re.compile(r"^[ \t]*EXPOSE[ \t]+([^\s#]+)", re.MULTILINE | re.IGNORECASE)

APP_NAME = error("app-name", "Fly knows no such app, and no .internal or .flycast name can be made of it.")
BUILD_STRATEGY = warning(
    "build-strategy", "`fly launch` scans the Dockerfile and puts its first EXPOSE in place of internal_port."
)
NO_VM = warning("no-vm", "`fly launch` adds a [[vm]] with 1 GB of memory, four times what a small service needs.")
RULES = (APP_NAME, BUILD_STRATEGY, NO_VM)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge the name, the build and the size."""
    name = subject.fly_toml.app_name
    if name and not is_app_name(name):
        message = f"expected the name of an app (a-z, 0-9, -), got {name!r:.80}"
        yield APP_NAME.broken("app", message, "the name that `fly apps list` shows")
    build = subject.root.table("build")
    exposed = _EXPOSE.search(subject.dockerfile or "")
    if exposed and not (build and any(build.values.get(key) for key in _STRATEGIES)):
        message = f"expected a [build] strategy beside a Dockerfile with EXPOSE {exposed[1]:.20}, got none"
        place = "build.dockerfile"
        yield BUILD_STRATEGY.broken(place, message, '[build] dockerfile = "Dockerfile"', Edit(place, "Dockerfile"))
    if not any(subject.root.tables(key) for key in ("vm", "compute", "computes")):
        message = "expected a [[vm]] with a size or memory, got none"
        yield NO_VM.broken("vm", message, '[[vm]] with size = "shared-cpu-1x" and memory = "256mb"')
