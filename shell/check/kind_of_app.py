"""Whose app it is, and whether it is known to be private: by that a finding is an error or a warning.

Rules
- The app is this blueprint's service where the file says so: one of the settings in `_OUR_SETTINGS` is in `[env]`, or a
  process of `[processes]`, or the CMD or ENTRYPOINT of the Dockerfile, runs `private_svc`. Nothing else counts: many
  apps have a PORT, an ADMIN_TOKEN or a path /healthz.
- The app is known to be private where it is this blueprint's service, where `[env]` or a process names the app's own
  `.flycast` name, where `fly ips list` shows a private_v6 address, or where the user says so (--private).
- fly.toml itself has no key for it. An app of which nothing is known may be a public website, which wants its https
  redirect and its public addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shell.check.finding import Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shell.check.finding import Finding
    from shell.flytoml import FlyToml

_OUR_SETTINGS = {"HELLO_PORT", "HELLO_PROXY_PROTOCOL", "IDLE_EXIT_SECONDS", "PLATFORM_NETWORKS", "PRIVATE_ONLY"}
_RUN_BY_DOCKERFILE = re.compile(r"^[ \t]*(?:CMD|ENTRYPOINT)\b.*", re.MULTILINE | re.IGNORECASE)
_OUR_PROGRAM = re.compile(r"""(?:^|[\s"',\[])(?:private_svc|(?:/[\w./-]*/)?private-svc)(?=$|[\s"',\]])""")


@dataclass(frozen=True, slots=True)
class KindOfApp:
    """What is known of the app; a blueprint's service is always private."""

    is_blueprint: bool = False
    is_private: bool = False

    def weighed(self, finding: Finding) -> Finding:
        """Return the finding with the severity that it has for this app."""
        holds = {
            Scope.EVERY_APP: True,
            Scope.PRIVATE: self.is_private,
            Scope.BLUEPRINT: self.is_blueprint,
        }
        return finding if holds[finding.rule.scope] else replace(finding, severity=Severity.WARNING)


def kind_of_app(fly_toml: FlyToml, dockerfile: str | None, *, said_private: bool) -> KindOfApp:
    """Recognise the app by its fly.toml and its Dockerfile; `said_private` is what the user or its addresses say."""
    is_blueprint = not _OUR_SETTINGS.isdisjoint(fly_toml.env) or _runs_ours(
        [*fly_toml.processes.values(), *_RUN_BY_DOCKERFILE.findall((dockerfile or "").replace("\\\n", " "))]
    )
    return KindOfApp(is_blueprint, said_private or is_blueprint or _names_its_flycast_name(fly_toml))


def _runs_ours(commands: Iterable[str]) -> bool:
    return any(_OUR_PROGRAM.search(command) for command in commands)


def _names_its_flycast_name(fly_toml: FlyToml) -> bool:
    if not fly_toml.app_name:
        return False
    own_name = re.compile(rf"(?<![\w.-]){re.escape(fly_toml.app_name)}\.flycast(?![\w-])", re.IGNORECASE)
    return any(own_name.search(text) for text in (*fly_toml.env.values(), *fly_toml.processes.values()))
