"""The panel: the `Status` of this Machine as text and as a page."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from private_svc.web.status import Open, Status

STATIC = Path(__file__).with_name("static")
UNSET = "not on Fly"
HOW = {
    "flycast": "over Flycast, through Fly Proxy",
    "public": "through a public address",
    "platform": "from Fly's host side",
    "six_pn": "over 6PN, directly",
    "loopback": "from this Machine itself",
    "unknown": "from outside Fly's networks",
}


Section = tuple[str, list[tuple[str, str]]]


def as_text(status: Status) -> str:
    """Return the status for a terminal."""
    lines = [headline(status)]
    for title, rows in sections(status):
        lines += ["", title, *(f"  {name:<16} {value}" for name, value in rows)]
    return "\n".join(lines) + "\n"


def as_html(status: Status) -> str:
    """Return the status as a page that needs no script."""
    cards = "".join(_card(title, rows) for title, rows in sections(status)[1:])  # the head says how you came
    page = Template(static_file("page.html"))
    return page.substitute(
        title=escape(status.machine.app_name or "private-svc"),
        how=escape(f"You came {HOW[status.you.ingress]}"),
        ingress=escape(status.you.ingress),
        client=escape(status.you.client),
        headline=escape(headline(status)),
        exposed=_banner(status),
        cards=cards,
        version=escape(status.version),
    )


@cache
def static_file(name: str) -> str:
    """Return a file that belongs to the page, read once."""
    return (STATIC / name).read_text(encoding="utf-8")


def headline(status: Status) -> str:
    """Return the status in one line."""
    state = "draining" if status.draining else "awake"
    return f"Machine {status.machine.machine_id} is {state}, up {duration(status.uptime_ms / 1000)}"


def duration(seconds: float) -> str:
    """Return a length of time as people say it: `4.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(int(seconds), 60)
    hours, rest_min = divmod(minutes, 60)
    days, rest_h = divmod(hours, 24)
    if days:
        return f"{days} d {rest_h} h"
    return f"{hours} h {rest_min} min" if hours else f"{minutes} min {rest_s} s"


def sections(status: Status) -> list[Section]:
    """Return the status as titled rows, in the order people look for them."""
    machine, counts = status.machine, {"requests": status.requests, "hellos": status.hellos}
    about = [
        ("app", machine.app_name or UNSET),
        ("machine", machine.machine_id),
        ("region", machine.region or UNSET),
        ("process group", machine.process_group or UNSET),
        ("image", machine.image_ref or UNSET),
        ("machine version", machine.machine_version or UNSET),
        ("6PN address", machine.private_ip or UNSET),
        ("public IPv6", machine.public_ip or "none"),
    ]
    return [
        ("You", [("came in", f"{status.you.ingress}: {HOW[status.you.ingress]}"), ("client", status.you.client)]),
        ("Machine", about),
        ("Bound", [(it["name"], f"{it['address']}, reached by {it['reach']}") for it in status.listeners]),
        ("Boot", [(phase.replace("_", " "), f"{ms:.1f} ms") for phase, ms in status.boot_ms.items()]),
        ("Served", [*((name, _counts(of)) for name, of in counts.items()), ("refused", f"{status.refused} public")]),
        ("Open now", [_visitor(visitor) for visitor in status.open] or [("nobody", "")]),
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _visitor(visitor: Open) -> tuple[str, str]:
    waits = (
        f"waits {duration(visitor.waiting_seconds)} for {visitor.waits_for}" if visitor.waits_for else "asks nothing"
    )
    mark = "this request" if visitor.is_you else "keeps it awake" if visitor.keeps_awake else "lets it sleep"
    return visitor.listener, f"{visitor.caller.ingress} {visitor.caller.client}, {waits}; {mark}"


def _card(title: str, rows: list[tuple[str, str]]) -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<section><h2>{escape(title)}</h2><dl>{items}</dl></section>"


def _banner(status: Status) -> str:
    if not status.fix:
        return ""
    commands = ", ".join(f"<code>{escape(command)}</code>" for command in status.fix)
    return (
        f'<p class="exposed" role="alert"><strong>Exposed.</strong> {status.requests.get("public", 0)} requests came '
        f"through a public address, {status.refused} callers were refused. To end it: {commands}.</p>"
    )
