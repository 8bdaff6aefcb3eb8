"""The pages that `explain` prints, and docs/rules.md, which collects them: `python -m shell.pages > docs/rules.md`."""

from __future__ import annotations

import sys

from shell import proxy_codes
from shell.check import catalog

PAGES: dict[str, str] = {
    **{name: catalog.page_of(rule) for name, rule in catalog.RULES.items()},
    **{code: proxy_codes.page_of(code) for code in proxy_codes.CODES},
}
_HEAD = """\
# Rules of check, and codes of Fly Proxy

What each id in the output of `flycast-probe check` means, and each code of Fly Proxy in `fly logs`, such as `[PM05]`;
`flycast-probe explain ID` prints the same. This page is made by `python -m shell.pages`.

An **error** is what breaks the app or exposes it, and decides the exit status. A **warning** is advice.

`check` knows fly.toml, the Dockerfile and the output of `fly ips list`, and no more. The service of this blueprint is
recognised by HELLO_PORT, HELLO_PROXY_PROTOCOL, IDLE_EXIT_SECONDS, PLATFORM_NETWORKS or PRIVATE_ONLY in `[env]`, or by a
process, CMD or ENTRYPOINT that runs `private_svc`. An app is known to be private where it is that service, where
`--ips` shows a private_v6 address, where `[env]` or a process names the app's own `.flycast` name, or with `--private`.
"""


def document() -> str:
    """Return docs/rules.md."""
    return "\n".join([_HEAD, *PAGES.values()])


if __name__ == "__main__":
    sys.stdout.write(document())
