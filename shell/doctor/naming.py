"""The rungs that names answer: is this the network, the organisation, the app; where it is, and where not.

Rules
- Only the private network's nameserver knows `_apps.internal` (docs/fly.md, "DNS"); one of the Internet says NXDOMAIN.
- A Flycast address is reachable within its own /48 only (docs/fly.md, "Addresses"). Which /48 this machine is in, its
  own addresses tell; where they do not, the nameserver's address `<network>::3`.
- `.internal` holds started Machines only: all asleep and no answer belong together.
- An address of `<app>.fly.dev` outside fdaa::/16 is a public way in. None, or fdaa alone, is none.
"""

from __future__ import annotations

from difflib import get_close_matches
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from shell.addresses import AddressKind, take_apart
from shell.answers import Answer, Outcome, listed_machines, listed_words
from shell.doctor.faults import Fault
from shell.doctor.finding import Finding, failed, ok, skipped
from shell.names.grammar import is_app_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shell.doctor.service_view import ServiceView

NAMESERVER, ORGANISATION, DEPLOYED = "private nameserver", "organisation", "deployed"
FLYCAST_ADDRESS, INTERNAL, PUBLIC = "Flycast address", ".internal name", "not public"
_SHOWN = 8
_LEAST_LIKENESS = 0.75
_HEX_DIGITS = 32


def networks_of(if_inet6: str, servers: Iterable[str]) -> frozenset[str]:
    """Return the /48s that this machine's addresses (as /proc/net/if_inet6 has them) lie in, else the nameservers'."""
    words = (line.split()[0] for line in if_inet6.splitlines() if line.strip())
    own = {take_apart(str(IPv6Address(int(word, 16)))).network for word in words if len(word) == _HEX_DIGITS}
    theirs = {take_apart(server).network for server in servers if ":" in server}
    return frozenset(own - {""} or theirs - {""})


def judge_nameserver(app_name: str, apps: Answer) -> Finding:
    """Judge by `_apps.internal` whether a nameserver of the private network answers."""
    if apps.outcome.silent:
        return failed(NAMESERVER, _asked(apps), apps.ending, Fault.NO_NAMESERVER, app_name)
    if apps.outcome not in {Outcome.OK, Outcome.NODATA}:
        return failed(NAMESERVER, _asked(apps), apps.ending, Fault.PUBLIC_NAMESERVER, app_name)
    return ok(NAMESERVER, _asked(apps), f"{apps.server} answers after {apps.elapsed_ms:.0f} ms")


def judge_organisation(app_name: str, apps: Answer) -> Finding:
    """Judge by `_apps.internal` whether the app is one of this organisation's."""
    names = listed_words(apps)
    if app_name in names:
        return ok(ORGANISATION, _asked(apps), f"{app_name} is here, among {_some(names)}")
    got = f"apps here: {_some(names)}"
    sound = [name for name in names if is_app_name(name)]  # it goes into a command that a person may copy
    near = get_close_matches(app_name, sound, n=1, cutoff=_LEAST_LIKENESS)
    fault = Fault.MISSPELT_APP if near else Fault.WRONG_ORGANISATION
    return failed(ORGANISATION, _asked(apps), got, fault, app_name, what="".join(near))


def judge_deployed(app_name: str, all_vms: Answer) -> Finding:
    """Judge by `all.vms` whether the app has Machines."""
    if not all_vms.outcome.told:
        return failed(DEPLOYED, _asked(all_vms), all_vms.ending, Fault.NO_NAMESERVER, app_name)
    machines = listed_machines(all_vms)
    if not machines:
        return failed(DEPLOYED, _asked(all_vms), all_vms.outcome, Fault.NOT_DEPLOYED, app_name)
    return ok(
        DEPLOYED, _asked(all_vms), _some(f"{machine.machine_id} {machine.region}".strip() for machine in machines)
    )


def judge_flycast_address(app_name: str, flycast: Answer, own_networks: frozenset[str]) -> Finding:
    """Judge whether there is a Flycast address, and in this machine's network."""
    did = _asked(flycast)
    if not flycast.outcome.told:
        return failed(FLYCAST_ADDRESS, did, flycast.ending, Fault.NO_NAMESERVER, app_name)
    if not flycast.records:
        return failed(FLYCAST_ADDRESS, did, flycast.outcome, Fault.NO_FLYCAST_ADDRESS, app_name)
    address = take_apart(flycast.records[0])
    if not own_networks:
        return ok(FLYCAST_ADDRESS, did, f"{address.text} (this machine's own network is not known: not compared)")
    shown = ", ".join(sorted(own_networks))
    if address.kind is not AddressKind.FLYCAST or address.network not in own_networks:
        got = f"{address.text}, {address.kind} in {address.network or 'no private network'}; this machine: {shown}"
        return failed(FLYCAST_ADDRESS, did, got, Fault.OTHER_NETWORK, app_name, what=shown)
    return ok(FLYCAST_ADDRESS, did, f"{address.text}, in this machine's network {address.network}")


def judge_internal(app_name: str, internal: Answer, vms: Answer) -> Finding:
    """Judge whether `APP.internal` answers for the started Machines, or all are asleep."""
    for answer in (internal, vms):
        if not answer.outcome.told:
            return failed(INTERNAL, _asked(answer), answer.ending, Fault.NO_NAMESERVER, app_name)
    if internal.records:
        return ok(INTERNAL, _asked(internal), _some(internal.records))
    started = listed_machines(vms)
    if started:
        got = f"{internal.outcome}, but {len(started)} Machines are started"
        return failed(INTERNAL, f"{_asked(internal)}; {_asked(vms)}", got, Fault.STALE_NAMES, app_name)
    return ok(INTERNAL, f"{_asked(internal)}; {_asked(vms)}", "all asleep again, so it has no answer")


def judge_public(app_name: str, answers: Iterable[Answer], view: ServiceView | None) -> Finding:
    """Judge by `APP.fly.dev`, and by what the service saw, whether there is a public way in."""
    asked = tuple(answers)
    did = "; ".join(_asked(answer) for answer in asked)
    found = [record for answer in asked for record in answer.records if not _is_private(record)]
    if found:
        return failed(PUBLIC, did, f"public: {_some(found)}", Fault.PUBLIC, app_name, what=found[0])
    if view and view.public_requests:
        got = f"the service has seen {view.public_requests} requests through a public address since it started"
        return failed(PUBLIC, "read /api/status", got, Fault.PUBLIC, app_name, what="ADDRESS")
    untold = [answer for answer in asked if not answer.outcome.told]
    if untold:
        return skipped(PUBLIC, did, f"could not be told: {untold[0].ending}")
    return ok(PUBLIC, did, "no public address")


def _asked(answer: Answer) -> str:
    return f"ask {answer.server or 'the nameserver'} for {answer.name} {answer.record_type}"


def _some(words: Iterable[str]) -> str:
    """Write the first few of a list."""
    listed = list(words)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return (", ".join(listed[:_SHOWN]) or "none") + more


def _is_private(record: str) -> bool:
    return ":" in record and take_apart(record).kind not in {AddressKind.OTHER, AddressKind.LOOPBACK}
