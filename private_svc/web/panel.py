"""The panel in words: what a `Status` says to a terminal, and the sentences that the page shares with it."""

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from private_svc.peers import Peer, Peers
    from private_svc.web.status import Open, Sleep, Status

HOW = {
    "flycast": "over Flycast, through Fly Proxy",
    "public": "through a public address",
    "platform": "from Fly's host side",
    "six_pn": "over 6PN, directly",
    "loopback": "from this Machine itself",
    "unknown": "from outside Fly's networks",
}

Row = tuple[str, str]


def as_text(status: Status) -> str:
    """Return the status for a terminal."""
    lines = [headline(status)]
    if status.fix:
        lines += ["", exposed(status), *(f"  {command}" for command in status.fix)]
    for title, rows in _sections(status):
        lines += ["", title, *(f"  {name:<16} {value}".rstrip() for name, value in rows)]
    return "\n".join(lines) + "\n"


def headline(status: Status) -> str:
    """Return the status in one line."""
    return f"Machine {status.machine.machine_id} is {state(status)}, {age(status)}"


def state(status: Status) -> str:
    """Return the state of this Machine, which answers and so is up."""
    return "draining" if status.draining else "awake"


def age(status: Status) -> str:
    """Return how long this Machine is up, and how much of it awake."""
    up = f"up {duration(status.uptime_ms / 1000)}"
    if not status.resumes:
        return up
    return f"{up}, {duration(status.awake_ms / 1000)} of it awake, {counted(status.resumes, 'resume')}"


def exposed(status: Status) -> str:
    """Return what came in through a public address; the commands that end it are in `status.fix`."""
    came, refused = counted(status.requests.get("public", 0), "request"), counted(status.refused, "caller")
    return f"Exposed: {came} came through a public address, {refused} refused. To end it:"


def verdict(status: Status, you: str) -> str:
    """Return what keeps this Machine awake in one sentence; `you` is what the reader is, as in `this page`."""
    if status.draining:
        return "It is going: what is under way ends, nothing new begins"
    total, unseen = sum(status.kept_awake_by.values()), status.unseen_by_proxy
    if not total:
        return f"Nothing but {you}: Fly may stop it"
    sentence = _and([counted(count, kind) for kind, count in status.kept_awake_by.items()])
    sentence += " keeps it awake" if total == 1 else " keep it awake"
    if unseen:
        sentence += f"; {'it' if total == 1 else f'{unseen} of them'} came directly, which Fly Proxy does not count"
    return sentence


def effect(visitor: Open) -> str:
    """Return what an open connection does to the sleep of this Machine."""
    if visitor.is_you:
        return "this is you"
    return "keeps it awake" if visitor.keeps_awake else "lets it sleep"


def waiting(visitor: Open) -> str:
    """Return for how long an open connection is here, and what it waits for."""
    here = f"open {duration(visitor.age_seconds)}"
    if not visitor.waits_for:
        return f"{here}, asks nothing"
    return f"{here}, waits {duration(visitor.waiting_seconds)} for {visitor.waits_for}"


def more(status: Status) -> str:
    """Return how many open connections are not listed; "" when all are."""
    hidden = status.open_count - len(status.open)
    return f"and {counted(hidden, 'more connection')}" if hidden else ""


def duration(seconds: float) -> str:
    """Return a length of time as people say it: `4.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`, `5 min`."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(int(seconds), 60)
    hours, rest_min = divmod(minutes, 60)
    days, rest_h = divmod(hours, 24)
    parts = [(days, "d"), (rest_h, "h"), (rest_min, "min"), (rest_s, "s")]
    first = next(place for place, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def moment(ms: float) -> str:
    """Return how long after exec something was, in milliseconds while that is a small number."""
    return f"{ms:.1f} ms" if ms < 10_000 else duration(ms / 1000)  # noqa: PLR2004 - small


def counted(count: int, noun: str) -> str:
    """Return a number of things: `1 request`, `2 requests`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def facts(status: Status) -> list[Row]:
    """Return what Fly told this Machine about itself."""
    machine = status.machine
    told = [
        ("app", machine.app_name or "not on Fly"),
        ("Machine", machine.machine_id),
        ("region", machine.region),
        ("process group", machine.process_group),
        ("image", machine.image_ref),
        ("Machine version", machine.machine_version),
        ("6PN address", machine.private_ip),
        ("public IPv6", machine.public_ip),
    ]
    return [(name, value) for name, value in told if value]


def asleep_or_not(peers: Peers, machine_id: str) -> list[tuple[Peer, str]]:
    """Return the Machines of the app and what each is: the one that answers first, then the started ones."""
    ordered = sorted(peers.machines or (), key=lambda it: (it.machine_id != machine_id, not it.started, it))
    return [(it, "started" if it.started else "asleep") for it in ordered]


def about_peers(peers: Peers) -> str:
    """Return how far the list of Machines can be believed; "" when there is nothing to say."""
    if peers.problem:
        return f"DNS: {peers.problem}"
    if peers.machines is None:
        return "asking DNS"
    return "" if peers.machines else "DNS knows no Machine of this app"


def by_itself(sleep: Sleep) -> str:
    """Return when this Machine goes to sleep without being told."""
    if not sleep.idle_exit_seconds:
        return "when Fly's autostop finds it without load (IDLE_EXIT_SECONDS is 0)"
    does = "exits" if sleep.idle_action == "exit" else "suspends"
    seconds = sleep.idle_exit_seconds
    after = f"{seconds} s" if seconds < 60 else duration(seconds)  # noqa: PLR2004 - a minute
    return f"{does} after {after} without work"


def sleep_command(status: Status) -> str:
    """Return the command that puts this Machine to sleep."""
    app_name = status.machine.app_name
    port = next((it["address"].rpartition(":")[2] for it in status.listeners if it["name"] == "admin"), "8080")
    host = f"{app_name}.flycast" if app_name else f"localhost:{port}"
    return f'curl -X POST -H "Authorization: Bearer $ADMIN_TOKEN" {host}/api/sleep'


def _sections(status: Status) -> list[tuple[str, list[Row]]]:
    """Return the status as titled rows, in the order people look for them."""
    sleep, peers = status.sleep, status.peers
    awake = [(it.kind.value, _visitor(it)) for it in status.open if not it.is_you]
    sections = [
        ("You", [("came in", f"{status.you.ingress}: {HOW[status.you.ingress]}"), ("client", status.you.client)]),
        (verdict(status, "this request"), awake + ([("", more(status))] if more(status) else [])),
        ("Machine", facts(status)),
        ("Bound", [(it["name"], f"{it['address']}, reached by {it['reach']}") for it in status.listeners]),
        ("Boot, after exec", [(phase.replace("_", " "), moment(ms)) for phase, ms in status.boot_ms.items()]),
        ("Served", [*starmap(_served, (("requests", status.requests), ("hellos", status.hellos)))]),
        ("Sleep", [("by itself", by_itself(sleep)), ("by hand", sleep.actions_off or sleep_command(status))]),
    ]
    if sleep.failure:
        sections[-1][1].append(("last failure", sleep.failure))
    if peers is not None:
        here = status.machine.machine_id
        listed = [(it.machine_id, _peer(it, now, here)) for it, now in asleep_or_not(peers, here)]
        sections.insert(3, ("Machines", listed + ([("", about_peers(peers))] if about_peers(peers) else [])))
    return sections


def _visitor(visitor: Open) -> str:
    return f"{visitor.caller.ingress} {visitor.caller.client}, {waiting(visitor)}; {effect(visitor)}"


def _peer(peer: Peer, now: str, here: str) -> str:
    return f"{peer.region}, {now}{', this one' if peer.machine_id == here else ''}"


def _served(name: str, counts: Mapping[str, int]) -> Row:
    return name, ", ".join(f"{count} {ingress}" for ingress, count in counts.items()) or "none"


def _and(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
