"""Where header fields ask a request to go: four of the client's, and the app's `fly-replay`.  Pure.

Rules (docs/fly.md, "Proxy"):

- `fly-prefer-region` and `fly-force-region` list regions in their order; `fly-prefer-instance-id` and
  `fly-force-instance-id` name a Machine. What is forced has no fallback; a forced Machine outranks all else.
- `fly-replay` is `field=value;…`, a value in quotes if need be: `region`, `instance`, `prefer_instance`, `app`,
  `state`, `elsewhere`. Its regions are forced unless `any` is among them. `timeout` and `fallback` exist on Fly
  and are refused here by name.
- A region may be an alias: `any`, `apac`, `eu`, `na`, `sa`, `us`, `usa`. Which regions Fly counts to each is not
  documented; ours are the continents they are on.
- The request that is sent on has `fly-replay-src: instance=…;region=…;t=<µs>;state=…`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.proxy.choice import NO_WISH, Wish
from lab.proxy.errors import BadReplayError

if TYPE_CHECKING:
    from lab.proxy.heads import Fields

WISHES: Final = (b"fly-force-instance-id", b"fly-prefer-instance-id", b"fly-force-region", b"fly-prefer-region")

_US: Final = frozenset({"atl", "bos", "den", "dfw", "ewr", "iad", "lax", "mia", "ord", "phx", "sea", "sjc"})
_ALIASES: Final = {
    "apac": frozenset({"bom", "hkg", "nrt", "sin", "syd"}),
    "eu": frozenset({"ams", "arn", "cdg", "fra", "lhr", "mad", "otp", "waw"}),
    "na": _US | {"gdl", "qro", "yul", "yyz"},
    "sa": frozenset({"bog", "eze", "gig", "gru", "scl"}),
    "us": _US,
    "usa": _US,
}
_ANY: Final = "any"
_FIELD: Final = re.compile(r'\s*+([a-z_]+)\s*+=\s*+(?:"([^"]*)"\s*+|([^;"]*+))(?:;|$)', re.IGNORECASE)
_KNOWN: Final = ("app", "elsewhere", "instance", "prefer_instance", "region", "state")


@dataclass(frozen=True, slots=True)
class Replay:
    """What a `fly-replay` asks for; an empty `app_name` is the app that asked."""

    wish: Wish
    app_name: str = ""
    state: str = ""

    def source(self, machine_id: str, region: str, unix_us: int) -> bytes:
        """Return `fly-replay-src` for a request that this Machine sent on."""
        state = f";state={self.state}" if self.state else ""
        return f"instance={machine_id};region={region};t={unix_us}{state}".encode("latin-1")


def wish_of(fields: Fields) -> Wish:
    """Return where a client wants its request to go."""
    if fields.has_none_of(WISHES):
        return NO_WISH
    forced_id, preferred_id, forced, preferred = (_first(fields, name) for name in WISHES)
    regions, anywhere = _regions(forced or preferred)
    return Wish(
        regions=regions,
        regions_only=bool(forced) and not anywhere,
        machine_id=forced_id or preferred_id,
        machine_only=bool(forced_id),
    )


def parse_replay(value: bytes, machine_id: str) -> Replay:
    """Read the `fly-replay` of that Machine; raise `BadReplayError` with what was expected."""
    given = _pairs(value.decode("latin-1"))
    if unknown := sorted(given.keys() - set(_KNOWN)):
        raise BadReplayError(f"the lab knows {', '.join(_KNOWN)}, got {unknown[0][:60]!r}")
    if not given:
        raise BadReplayError("expected one of app, elsewhere, instance, prefer_instance, region, got nothing")
    if given.get("elsewhere", "") not in ("", "true", "false"):
        raise BadReplayError(f"elsewhere: expected true or false, got {given['elsewhere'][:60]!r}")
    regions, anywhere = _regions(given.get("region", ""))
    instance = given.get("instance", "")
    wish = Wish(
        regions=regions,
        regions_only=bool(regions) and not anywhere,
        machine_id=instance or given.get("prefer_instance", ""),
        machine_only=bool(instance),
        shunned=machine_id if given.get("elsewhere") == "true" else "",
    )
    return Replay(wish, given.get("app", ""), given.get("state", ""))


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _FIELD.match(text, at)
        if match is None:
            raise BadReplayError(f"expected field=value;…, got {text[at : at + 60]!r}")
        found[match[1].lower()] = match[2] if match[2] is not None else match[3].strip()
        at = match.end()
    return found


def _regions(text: str) -> tuple[tuple[frozenset[str], ...], bool]:
    """Return the sets of regions a list names before `any`, and whether it has `any`."""
    sets: list[frozenset[str]] = []
    for name in filter(None, (part.strip().lower() for part in text.split(","))):
        if name == _ANY:
            return tuple(sets), True
        sets.append(_ALIASES.get(name, frozenset({name})))
    return tuple(sets), False


def _first(fields: Fields, name: bytes) -> str:
    return next((value.decode("latin-1") for value in fields.values(name)), "")
