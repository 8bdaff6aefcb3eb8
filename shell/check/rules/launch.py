"""What flyctl makes of the file as a whole: the name, the build, and parts that stand in another file.

Rules (docs/fly.md, "Addresses" and "flyctl")
- The name of an app is a DNS label: small letters, digits and dashes.
- Without a `[build]` strategy, launch scans the Dockerfile, and its first EXPOSE replaces `internal_port`.
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
_IN_ANOTHER_FILE = (("", "machine_config"), ("experimental", "machine_config"), ("", "container"), ("build", "compose"))

APP_NAME = error(
    "app-name",
    "Fly knows no such app, and no .internal or .flycast name can be made of it.",
    "Write the name that `fly apps list` shows: small letters, digits and dashes.",
)
BUILD_STRATEGY = warning(
    "build-strategy",
    "`fly launch` scans the Dockerfile and puts its first EXPOSE in place of internal_port.",
    'Write dockerfile = "Dockerfile" into [build].',
)
UNREAD_PART = warning(
    "unread-part",
    "flyctl takes more of the Machine from another file, which check does not read.",
    "Look through that file yourself: services and checks in it are not judged here.",
)
RULES = (APP_NAME, BUILD_STRATEGY, UNREAD_PART)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge the name and the build, and name the parts that are not judged."""
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
    for section, key in _IN_ANOTHER_FILE:
        holder = subject.root.table(section) if section else subject.root
        if holder and holder.values.get(key):
            yield UNREAD_PART.broken(holder.path(key), f"{key} is not judged here", "look through that file yourself")
