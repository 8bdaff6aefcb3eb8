"""Whether the health check of this blueprint's service can pass; paths of other apps are theirs.

Rules (docs/fly.md, "Proxy")
- Fly's check sends no token and follows no redirect; only 2xx is healthy.
- Of the service's own paths, `/healthz`, `/`, `/whoami` and `/api/status` answer anybody; `/api/…` else needs the token
  or another method, and `/app` redirects to `/app/`. APP_PATH may say another path than `/app/`; where it is `/`, all
  paths are the application's, and the service's own but `/healthz` are below `/_/`.
- With AUTH, `/healthz` alone answers a check, which has no login.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.check.finding import Scope, error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding
    from shell.check.subject import Subject

_OPEN = "/api/status"
_HEALTH = "/healthz"
_HEALTHZ = 'path = "/healthz"'

CHECK_NEEDS_TOKEN = error(
    "check-needs-token",
    "The check has no token, so it never passes: deploys fail and Fly Proxy sends the Machine no requests.",
    "Check /healthz, which answers without a token.",
    Scope.BLUEPRINT,
)
CHECK_NEEDS_LOGIN = error(
    "check-needs-login",
    "The check has no login for AUTH, so it never passes: deploys fail and Fly Proxy sends the Machine no requests.",
    "Check /healthz, which AUTH is not asked about.",
    Scope.BLUEPRINT,
)
CHECK_REDIRECTS = error(
    "check-redirects",
    "A check follows no redirect and takes it for a failure.",
    "Check /healthz, or write the path with the slash at its end.",
    Scope.BLUEPRINT,
)
RULES = (CHECK_NEEDS_TOKEN, CHECK_NEEDS_LOGIN, CHECK_REDIRECTS)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge the path of every check."""
    if not subject.is_blueprint:
        return
    env = subject.fly_toml.env
    app_path = env.get("APP_PATH", "/app/")
    base = "/_" if app_path == "/" and "APP" in env else ""
    redirects = "/_" if base else app_path.rstrip("/")
    for table, _ in subject.checks():
        written = table.text("path")
        path = written.partition("?")[0]
        place = table.path("path")
        if path == f"{base}/api" or (path.startswith(f"{base}/api/") and path != base + _OPEN):
            message = f"expected a path that answers without a token, got {written!r:.60}"
            yield CHECK_NEEDS_TOKEN.broken(place, message, _HEALTHZ)
        elif written and path != _HEALTH and "AUTH" in env:
            message = f"expected a path that answers without the login of AUTH, got {written!r:.60}"
            yield CHECK_NEEDS_LOGIN.broken(place, message, _HEALTHZ)
        elif path and path == redirects:
            message = f"expected a path that answers 200, got {written!r:.60}, which redirects to {path}/"
            yield CHECK_REDIRECTS.broken(place, message, f'{_HEALTHZ} or "{path}/"')
