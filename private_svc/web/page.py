"""The panel as a page: static HTML with the `Status` filled in, which needs no script.

Elements marked `data-live` are what panel.js replaces with newer ones. What is not ours to choose is escaped.
"""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from private_svc.web import boot_bar, panel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from private_svc.peers import Peer, Peers
    from private_svc.web.status import Open, Status

STATIC = Path(__file__).with_name("static")
PEERS_SHOWN = 24
WAY = {
    "flycast": ("Flycast", "Fly Proxy"),
    "public": ("public address", "Fly Proxy"),
    "platform": ("Fly's host side",),
    "six_pn": ("6PN",),
    "loopback": (),
    "unknown": ("another network",),
}
MEANING = {
    "bound": "ports bound, callers queue",
    "imported": "HTTP server imported",
    "serving": "panel answered",
    "first_accept": "first caller connected",
    "first_response": "first answer sent",
}


def as_html(status: Status) -> str:
    """Return the status as a page."""
    return Template(static_file("page.html")).substitute(
        title=escape(status.machine.app_name or "private-svc"),
        head=_head(status),
        exposed=_exposed(status),
        you=_you(status),
        verdict=escape(panel.verdict(status, "this page")),
        open=_list("visits", [*map(_visitor, status.open), *_said(panel.more(status))]),
        boot=_boot(status),
        peers=_peers(status.peers, status.machine.machine_id) if status.peers is not None else "",
        facts=_rows(panel.facts(status)),
        bound=_rows((it["name"], f"{it['address']}, reached by {it['reach']}") for it in status.listeners),
        served=_served(status),
        sleep=_sleep(status),
        off=_off(status.sleep.actions_off),
        form="" if status.sleep.actions_off else static_file("sleep.html"),
        command=escape(panel.sleep_command(status)),
        version=escape(status.version),
    )


@cache
def static_file(name: str) -> str:
    """Return a file that belongs to the page, read once."""
    return (STATIC / name).read_text(encoding="utf-8")


def _head(status: Status) -> str:
    machine, state = escape(status.machine.machine_id), panel.state(status)
    region = f" in {escape(status.machine.region)}" if status.machine.region else ""
    return (
        f'<p id="machine" data-machine="{machine}" data-state="{state}"><span class="pill {state}">{state}</span> '
        f"Machine <code>{machine}</code>{region}, {panel.age(status)}</p>"
    )


def _exposed(status: Status) -> str:
    if not status.fix:
        return ""
    commands = "".join(f"<li><code>{escape(command)}</code></li>" for command in status.fix)
    said, _, end_it = panel.exposed(status).partition(". ")
    return f"<p><strong>{escape(said)}.</strong> {escape(end_it)}</p><ol>{commands}</ol>"


def _you(status: Status) -> str:
    stops = ["You", *WAY[status.you.ingress], "this Machine"]
    way = "".join(f"<li>{escape(stop)}</li>" for stop in stops)
    return (
        f'<div><p class="how {status.you.ingress}">You came {escape(panel.HOW[status.you.ingress])}</p>'
        f'<p>from <code>{escape(status.you.client)}</code></p></div><ol class="way" aria-label="Your way in">{way}</ol>'
    )


def _visitor(visitor: Open) -> str:
    mark = "you" if visitor.is_you else "keeps" if visitor.keeps_awake else "lets"
    doing = f" <code>{escape(visitor.waits_for)}</code>" if visitor.waits_for else ""
    age = panel.duration(visitor.age_seconds)
    waiting = f", waiting {panel.duration(visitor.waiting_seconds)}" if visitor.waits_for else ", asks nothing"
    direct = "" if visitor.seen_by_proxy or not visitor.keeps_awake or visitor.is_you else ", past Fly Proxy"
    pill = f'<span class="pill {mark}">{panel.effect(visitor)}</span>'
    return (
        f'<p class="what"><span><b>{visitor.kind}</b>{doing}</span> {pill}</p>'
        f"<p>{visitor.caller.ingress} <code>{escape(visitor.caller.client)}</code>, "
        f"{visitor.listener} port, open {age}{waiting}{direct}</p>"
    )


def _boot(status: Status) -> str:
    phases = boot_bar.parts(status.boot_ms)
    bar = "".join(f'<rect class="{it.phase}" x="{it.x}" width="{it.width}" height="24"/>' for it in phases if it.width)
    rows = "".join(
        f'<tr><th scope="row"><svg class="key" viewBox="0 0 10 10" aria-hidden="true">'
        f'<rect class="{it.phase}" width="10" height="10"/></svg>{it.phase.replace("_", " ")}'
        f" <small>{MEANING[it.phase]}</small></th>"
        f"<td>{panel.moment(it.took_ms)}</td><td>{panel.moment(it.at_ms)}</td></tr>"
        for it in phases
    )
    return (
        f'<svg class="bar" viewBox="0 0 {boot_bar.WIDTH} 24" preserveAspectRatio="none" aria-hidden="true">{bar}</svg>'
        '<table><thead><tr><th scope="col">phase</th><th scope="col">took</th><th scope="col">after exec</th></tr>'
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _peers(peers: Peers, here: str) -> str:
    machines = panel.asleep_or_not(peers, here)
    hidden = len(machines) - PEERS_SHOWN
    items = [_peer(peer, now, here) for peer, now in machines[:PEERS_SHOWN]]
    items += [*_said(panel.about_peers(peers)), *_said(f"and {hidden:,} more" if hidden > 0 else "")]
    age = f" <small>{panel.duration(peers.age_seconds)} ago</small>" if machines else ""
    return f'<section id="peers" data-live><h2>Machines of this app{age}</h2>{_list("peers", items)}</section>'


def _peer(peer: Peer, now: str, here: str) -> str:
    mark = ' <span class="pill you">this one</span>' if peer.machine_id == here else ""
    name = f"<code>{escape(peer.machine_id)}</code> {escape(peer.region)}"
    return f'<p class="what"><span>{name} <span class="{now}">{now}</span></span>{mark}</p>'


def _served(status: Status) -> str:
    requests, hellos = status.requests, status.hellos
    rows = "".join(
        f'<tr><th scope="row">{way}</th><td>{requests.get(way, 0):,}</td><td>{hellos.get(way, 0):,}</td></tr>'
        for way in dict.fromkeys([*requests, *hellos])
    )
    return (
        '<table><thead><tr><th scope="col">came in</th><th scope="col">requests</th><th scope="col">hellos</th></tr>'
        f"</thead><tbody>{rows}</tbody></table><p>{panel.counted(status.refused, 'public caller')} refused</p>"
    )


def _sleep(status: Status) -> str:
    failure = status.sleep.failure
    said = f'<p class="failure"><strong>Not suspended.</strong> {escape(failure)}</p>' if failure else ""
    return f"<p>By itself: {escape(panel.by_itself(status.sleep))}.</p>{said}"


def _off(why: str) -> str:
    """Return why there are no actions, the command that turns them on apart from the sentence."""
    if not why:
        return ""
    sentence, _, command = why.rpartition("; ")
    sentence = escape(sentence[:1].upper() + sentence[1:])
    return f'<div class="off"><p>{sentence}. To turn them on:</p><p><code>{escape(command)}</code></p></div>'


def _rows(rows: Iterable[panel.Row]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in rows)}</dl>"


def _list(name: str, items: list[str]) -> str:
    return f'<ul class="{name}">{"".join(f"<li>{item}</li>" for item in items)}</ul>'


def _said(text: str) -> list[str]:
    return [f"<p>{escape(text)}</p>"] if text else []
