"""Every rule of `check`, and the page that `explain` prints and docs/rules.md collects.

`python -m shell.check.catalog > docs/rules.md` writes the document.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from shell.check.addresses import RULES as OF_ADDRESSES
from shell.check.finding import Scope, Severity
from shell.check.judge import RULES as OF_FLY_TOML

if TYPE_CHECKING:
    from shell.check.finding import Rule

RULES: dict[str, Rule] = {rule.id: rule for rule in (*OF_FLY_TOML, *OF_ADDRESSES)}
_HEAD = """\
# Rules of flycast-probe check

What each id in the output of `flycast-probe check` means; `flycast-probe explain ID` prints the same. This page is made
by `python -m shell.check.catalog`.

An **error** is what breaks the app or exposes it, and decides the exit status. A **warning** is advice.

`check` knows fly.toml, the Dockerfile and the output of `fly ips list`, and no more. The service of this blueprint is
recognised by HELLO_PORT, HELLO_PROXY_PROTOCOL, IDLE_EXIT_SECONDS, PLATFORM_NETWORKS or PRIVATE_ONLY in `[env]`, or by a
process, CMD or ENTRYPOINT that runs `private_svc`. An app is known to be private where it is that service, where
`--ips` shows a private_v6 address, where `[env]` or a process names the app's own `.flycast` name, or with `--private`.
"""


def page_of(rule: Rule) -> str:
    """Return what a person needs to know of one rule, as Markdown."""
    severity = str(rule.severity)
    if rule.severity is Severity.ERROR and rule.scope is not Scope.EVERY_APP:
        severity += f" for {rule.scope}, at most a warning for others"
    return f"## {rule.id}\n\nSeverity: {severity}.\n\nWhy: {rule.why}\n\nFix: {rule.advice}\n"


def document() -> str:
    """Return docs/rules.md."""
    return "\n".join([_HEAD, *map(page_of, RULES.values())])


if __name__ == "__main__":
    sys.stdout.write(document())
