"""The panel as a list of sections, made from a `Status`; rendering.py makes a page and a text of the same list."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from private_svc.web.status import SEEN_BY_PROXY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from private_svc.peers import Peers
    from private_svc.web.status import Open, Sleep, Status

MACHINES_SHOWN = 24
INGRESS_TEXTS = {
    "flycast": ("over Flycast, through Fly Proxy", "Flycast → Fly Proxy → "),
    "public": ("through a public address and Fly Proxy", "public address → Fly Proxy → "),
    "platform": ("from Fly's host side", "Fly's host side → "),
    "six_pn": ("over 6PN, directly", "6PN → "),
    "loopback": ("from this Machine itself", ""),
    "unknown": ("from outside Fly's networks", "another network → "),
}
PHASES = {
    "bound": "the ports are bound, callers wait in the queue",
    "imported": "the HTTP server is imported",
    "serving": "HTTP requests are answered",
    "first_accept": "the first caller connected",
    "first_response": "the first answer was sent",
}
KEPT_OPEN = (
    "Not visible here: a caller that keeps a raw connection open after this service has closed it, as nc does at a "
    "terminal. Fly Proxy still counts it."
)


class Styled(NamedTuple):
    """A text with a look of its own; `style` holds classes of panel.css."""

    text: str
    style: str

    def __str__(self) -> str:
        return self.text


Row = tuple[str | Styled, ...]
_code = partial(Styled, style="code")


class Section(NamedTuple):
    """A titled table whose rows begin with a name; `bar` has the share of each row in a whole, from 0 to 1."""

    name: str
    title: str
    rows: Sequence[Row]
    summary: str = ""
    columns: tuple[str, ...] = ()
    bar: tuple[float, ...] = ()


def sections(status: Status, url: str) -> Iterator[Section]:
    """Yield the sections in reading order; `url` is where the reader found the panel, such as `my-app.flycast/`."""
    if status.fix:
        came, refused = counted(status.requests.get("public", 0), "request"), counted(status.refused, "caller")
        summary = f"{came} came through a public address, {refused} refused. These commands remove the address:"
        yield Section("exposed", "Exposed", [(_code(command),) for command in status.fix], summary)
    how, way = INGRESS_TEXTS[status.you.ingress]
    yield Section(
        "you", "You", [("from", _code(status.you.client)), ("way", f"You → {way}this Machine")], f"You came {how}"
    )
    yield Section("awake", "What keeps this Machine awake", _awake(status), verdict(status))
    yield _sleep(status.sleep, url)
    if status.peers is not None:
        yield Section("machines", "Machines of this app", _machines(status.peers, status.machine.machine_id))
    yield _boot(status.boot_ms)
    facts = asdict(status.machine).items()
    yield Section("facts", "Machine", [(_label(name), value) for name, value in facts if value])
    listeners = [(it["name"], f"{it['address']}, reached by {it['reach']}") for it in status.listeners]
    yield Section("sockets", "Bound sockets", listeners)
    requests, hellos = status.requests, status.hellos
    served = [(it, f"{requests.get(it, 0):,}", f"{hellos.get(it, 0):,}") for it in dict.fromkeys([*requests, *hellos])]
    refused = f"{counted(status.refused, 'public caller')} refused"
    yield Section("served", "Served", served, refused, ("came in", "requests", "hellos"))


def headline(status: Status) -> tuple[str, str]:
    """Return the state of this Machine, which must be up because it answers, and how long it has been up."""
    age = f"up {duration(status.uptime_ms / 1000)}"
    if status.resumes:
        age += f", {duration(status.awake_ms / 1000)} of it awake, {counted(status.resumes, 'resume')}"
    return "draining" if status.draining else "awake", age


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units: `4.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`, `5 min`."""
    for size, unit, part, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = int(seconds) % size // part
            return f"{int(seconds) // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds:.1f} s"


def counted(count: int, noun: str) -> str:
    """Return a number of things: `1 request`, `2 requests`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def verdict(status: Status) -> str:
    """Return in one sentence what keeps this Machine awake."""
    if status.draining:
        return "This Machine is leaving: it finishes what is under way and accepts nothing new"
    total, uncounted = sum(status.kept_awake_by.values()), status.unseen_by_proxy
    if not total:
        return "Nothing but your own request keeps this Machine awake, so Fly may stop it"
    *kinds, last = (counted(count, kind) for kind, count in status.kept_awake_by.items())
    who = " and ".join(filter(None, [", ".join(kinds), last]))
    end = f"{'it' if total == 1 else f'{uncounted} of them'} came directly, so Fly Proxy does not count "
    end += "it" if uncounted == 1 else "them"
    return f"{who} {'keeps' if total == 1 else 'keep'} this Machine awake{f'; {end}' if uncounted else ''}"


def _label(name: str) -> str:
    return name.replace("_", " ").replace("ip", "IP").replace("machine", "Machine")


def _awake(status: Status) -> list[Row]:
    rows = [_connection(it) for it in status.open]
    if status.open_count > len(rows):
        rows.append((f"and {counted(status.open_count - len(rows), 'more connection')}",))
    if any(status.hellos.get(ingress) for ingress in SEEN_BY_PROXY):
        rows.append((Styled(KEPT_OPEN, "note"),))
    return rows


def _connection(it: Open) -> Row:
    if it.is_you:
        effect = Styled("this is you", "pill you")
    else:
        effect = Styled("keeps it awake", "pill keeps") if it.keeps_awake else Styled("lets it sleep", "pill lets")
    note = f"{it.caller.ingress} {it.caller.client}, {it.listener} port, open for {duration(it.age_seconds)}, "
    note += f"waiting for {duration(it.waiting_seconds)}" if it.waits_for else "no request"
    if it.keeps_awake and not (it.seen_by_proxy or it.is_you):
        note += ", not counted by Fly Proxy"
    return Styled(it.kind, "kind"), _code(it.waits_for), effect, Styled(note, "note")


def _sleep(sleep: Sleep, url: str) -> Section:
    summary = "It sleeps when Fly's autostop finds no load (IDLE_EXIT_SECONDS is 0)"
    if sleep.idle_exit_seconds:
        action = "exits" if sleep.idle_action == "exit" else "suspends"
        summary = f"It {action} after {duration(sleep.idle_exit_seconds)} without work"
    rows: list[Row] = [("not suspended", Styled(sleep.failure, "failure"))] if sleep.failure else []
    if sleep.actions_off:
        why, _, command = sleep.actions_off.rpartition("; ")
        rows += [("by hand", why), ("to turn on", _code(command))]
    else:
        rows.append(("by hand", _code(f'curl -X POST -H "X-Admin-Token: $ADMIN_TOKEN" {url}api/sleep')))
    return Section("sleep", "Sleep", rows, summary)


def _machines(peers: Peers, here: str) -> list[Row]:
    """Return the Machines of the app: the one that answers first, then those that are started."""
    listed = sorted(peers.machines or (), key=lambda it: (it.machine_id != here, not it.started, it))
    rows: list[Row] = []
    for it in listed[:MACHINES_SHOWN]:
        state, note = "started" if it.started else "asleep", "this one" if it.machine_id == here else ""
        rows.append((_code(it.machine_id), it.region, Styled(state, state), Styled(note, "pill you")))
    if len(listed) > MACHINES_SHOWN:
        rows.append((f"and {len(listed) - MACHINES_SHOWN:,} more",))
    answered = f"{'answered' if listed else 'knew no Machine of this app'} {duration(peers.age_seconds)} ago"
    return [*rows, ("DNS", peers.problem or ("has not answered yet" if peers.machines is None else answered))]


def _boot(boot_ms: Mapping[str, float]) -> Section:
    """Return the phases in the order in which they were reached; each lasts from the one before it.

    A first caller may come an hour after the boot: a phase later than twice the boot has no share of the bar.
    """
    reached = sorted(boot_ms.items(), key=lambda item: item[1])
    latest_ms = 2 * boot_ms.get("serving", float("inf"))
    whole_ms = max((ms for _, ms in reached if ms <= latest_ms), default=0.0) or 1.0
    rows, bar, before_ms = [], [], 0.0
    for phase, ms in reached:
        took = _moment(ms - before_ms)
        rows.append((Styled(phase.replace("_", " "), "key"), Styled(PHASES[phase], "note"), took, _moment(ms)))
        bar.append((ms - before_ms) / whole_ms if ms <= latest_ms else 0.0)
        before_ms = ms
    return Section("boot", "Boot", rows, "", ("phase", "what happened", "took", "after exec"), tuple(bar))


def _moment(ms: float) -> str:
    return f"{ms:.1f} ms" if ms < 10_000 else duration(ms / 1000)  # noqa: PLR2004 - a small number
