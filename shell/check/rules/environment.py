"""What must not stand in `[env]`.

Rules (docs/fly.md, "Environment" and "flyctl")
- `FLY_*` belongs to Fly.
- What a build puts into a web page (`PUBLIC_`, `NEXT_PUBLIC_`, `VITE_` and the like) is no secret.
- fly.toml is committed, and `fly config show` prints it to everyone in the organisation: a secret belongs in
  `fly secrets`. The value is looked at and never shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shell.check.finding import error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding
    from shell.check.subject import Subject

_SECRET_NAME = re.compile(
    r"(?:.*_)?(?:TOKEN|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|APIKEY"
    r"|(?:API|SECRET|PRIVATE|ACCESS|ENCRYPTION|SIGNING|MASTER|ACCOUNT)_KEY(?:_BASE)?)",
    re.IGNORECASE,
)
_PUBLISHED_NAME = re.compile(r"(?:[A-Z]+_)?PUBLIC_.*|VITE_.*|REACT_APP_.*|GATSBY_.*|VUE_APP_.*", re.IGNORECASE)
_SECRET_VALUES = {  # how the secrets of well-known kinds begin, and what they are
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----": "a private key",
    r"(?:ghp|gho|ghs|ghr|ghu)_[A-Za-z0-9]{20,}|github_pat_\w{20,}": "a GitHub token",
    r"glpat-[\w-]{16,}": "a GitLab token",
    r"(?:FlyV1\s|fm1[ar]_|fm2_|fo1_)\S{8,}": "a Fly token",
    r"(?:AKIA|ASIA)[0-9A-Z]{16}\b": "an AWS key",
    r"AIza[\w-]{30,}": "a Google key",
    r"(?:sk|rk)_(?:live|test)_\w{10,}": "a Stripe key",
    r"sk-[\w-]{20,}": "an API key",
    r"xox[abeoprs]-[\w-]{10,}": "a Slack token",
    r"npm_[A-Za-z0-9]{30,}": "an npm token",
    r"eyJ[\w-]{10,}\.eyJ[\w-]{5,}\.": "a JSON web token",
    r"[a-z][a-z0-9+.-]*://[^\s:/@]*:[^\s/@]+@": "an address with a password in it",
}
_PUBLISHABLE = {"a Google key", "a JSON web token"}  # also what a page of the browser is given
_MOST_CHARACTERS = 2000  # of a value: enough to tell, and no more work than that
_PLAIN = {"", "0", "1", "true", "false", "on", "off", "yes", "no", "none"}
_PLACE = re.compile(r"/\S*|\$\{?\w+\}?|<[^>]*>|\{+[^{}]*\}+")  # a file that holds the secret, or a gap to fill in
_WITHOUT_VALUE = re.compile(r"[a-z][a-z0-9+.-]*://[^\s:/@]*:(?:\$\{?\w+\}?|<[^>]*>)@", re.IGNORECASE)

FLY_VARIABLE = warning(
    "fly-variable",
    "The names that begin with FLY_ belong to Fly, which may set them itself.",
    "Take the variable out, or choose another name.",
)
SECRET_IN_ENV = error(
    "secret-in-env",
    "fly.toml is committed and shown by `fly config show`: everyone who sees it has the secret.",
    "Take the value out of fly.toml, make a new secret, and set it with `fly secrets set`.",
)
RULES = (FLY_VARIABLE, SECRET_IN_ENV)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge every variable."""
    for name, value in subject.fly_toml.env.items():
        place = f"env.{name}"
        if name.upper().startswith("FLY_"):
            message = f"{name:.60} has a name that belongs to Fly"
            yield FLY_VARIABLE.broken(place, message, "take it out, or choose another name")
        if found := _secret(name, value):
            message = f"{name:.60} holds {found}"
            shown = name if re.fullmatch(r"\w{1,60}", name, re.ASCII) else "NAME"
            yield SECRET_IN_ENV.broken(place, message, f"take it out, make a new one, then: fly secrets set {shown}=…")


def _secret(name: str, value: str) -> str:
    """Return what the value of a variable seems to be, "" for no secret."""
    head = value[:_MOST_CHARACTERS]
    published = _PUBLISHED_NAME.fullmatch(name[:_MOST_CHARACTERS])
    if head.strip().lower() in _PLAIN or _WITHOUT_VALUE.match(head):
        return ""
    for pattern, kind in _SECRET_VALUES.items():
        if re.search(pattern, head):
            return "" if published and kind in _PUBLISHABLE else kind
    if published or _PLACE.fullmatch(head):
        return ""
    return "a secret by its name" if _SECRET_NAME.fullmatch(name[-_MOST_CHARACTERS:]) else ""
