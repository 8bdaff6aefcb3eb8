"""What every `.internal` and `.flycast` name holds, from a snapshot of one private network.  Pure.

Rules (docs/fly.md, "DNS", unless noted):

- AAAA answers hold started Machines only; `.flycast` always answers. Names ignore case.
- A name of something deployed exists even when all of it sleeps.  So does one that only has names below it
  (RFC 8020).
- `<group>.process` reads the metadata `fly_process_group`, as Fly does; metadata ignore case here, as names do.
- `top<n>.nearest.of` counts kilometres from the region of whoever asks, known by its 6PN address.
- `.flycast` exists in the app's own network and in the one its address was allocated to: allocated elsewhere, the name
  answers at home with an address that cannot be reached from there (our reading).
- `_api` is the network's own nameserver address.
- `_peer` holds the names of WireGuard peers, but for those that flyctl made up; each has its address below it.
- `_instances` holds `instance=ID,app=NAME,ip=6PN,region=REGION` joined by `;`, as published clients parse it.
- `<app>.fly.dev` is no name of Fly's own server; it holds the app's public address, as the Internet knows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lab.regions import distance_km
from lab.wireguard.peers import GENERATED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """What the names need to know of one deployed Machine."""

    machine_id: str
    region: str
    private_ip: str
    metadata: Mapping[str, str]
    started: bool


_Deployed = tuple[MachineRecord, ...]


@dataclass(frozen=True, slots=True)
class View:
    """What one private network may know at one moment."""

    apps: Mapping[str, _Deployed]  # deployed Machines by app
    flycast: Mapping[str, str]  # Flycast addresses by app
    public: Mapping[str, str]  # public addresses by app
    regions: Mapping[str, str]  # where each 6PN address is
    home_region: str  # where everybody else is
    api_ip: str
    peers: Mapping[str, str] = field(default_factory=dict)  # addresses of WireGuard peers by name, in lower case


@dataclass(frozen=True, slots=True)
class Records:
    """What an existing name holds; both may be empty."""

    addresses: tuple[str, ...] = ()
    text: str = ""


ZONES: Final = ("internal", "flycast")
PUBLIC_ZONE: Final = ["fly", "dev"]
_EMPTY: Final = Records()  # of a name that exists and holds nothing, or only has names below it
_TOP = re.compile(r"top([1-9][0-9]{0,5})")


def lookup(labels: Sequence[str], view: View, region: str) -> Records | None:
    """Return what a name in one of the `ZONES` holds for an asker in `region`, or None when it does not exist.

    `labels` are lower case, without the root.
    """
    match labels:
        case ["flycast"] | ["internal"]:
            return _EMPTY
        case [app_name, "flycast"]:
            return Records(addresses=(view.flycast[app_name],)) if app_name in view.flycast else None
        case [*below, "_peer", "internal"]:
            return _of_peers(below, view)
        case [*below, "_apps" | "_instances" | "_api" as list_name, "internal"]:
            return _of_network((*below, list_name), view)
        case [*below, app_name, "internal"] if app_name in view.apps:
            return _of_app(tuple(below), view.apps[app_name], region)
    return None


def in_public(labels: Sequence[str], view: View) -> Records | None:
    """Return what a name of the `PUBLIC_ZONE` holds, or None when it does not exist."""
    address = view.public.get(".".join(labels[: -len(PUBLIC_ZONE)]))
    return Records(addresses=(address,)) if address else None


def _of_network(name: tuple[str, ...], view: View) -> Records | None:
    match name:
        case ("_apps",):
            return Records(text=",".join(sorted(view.apps)))
        case ("_instances",):
            return Records(text=_instances(view, deployed=False))
        case ("all", "_instances"):
            return Records(text=_instances(view, deployed=True))
        case ("_api",):
            return Records(addresses=(view.api_ip,))
    return None


def _of_peers(name: Sequence[str], view: View) -> Records | None:
    match name:
        case []:
            return Records(text=",".join(sorted(peer for peer in view.peers if not peer.startswith(GENERATED))))
        case [peer] if peer in view.peers:
            return Records(addresses=(view.peers[peer],))
    return None


def _of_app(below: tuple[str, ...], deployed: _Deployed, region: str) -> Records | None:
    if below in _LISTS:
        return _LISTS[below](deployed)
    match below:
        case (top, "nearest", "of") if found := _TOP.fullmatch(top):
            return Records(addresses=_started(_nearest(deployed, region))[: int(found[1])])
        case (key, "kv", "_metadata"):
            return _EMPTY if any(key == name.lower() for m in deployed for name in m.metadata) else None
    return _some(filter(_matching(below), deployed))


def _matching(below: tuple[str, ...]) -> Callable[[MachineRecord], bool]:
    match below:
        case (machine_id, "vm"):
            return lambda machine: machine_id == machine.machine_id.lower()
        case (group, "process"):
            return lambda machine: _has_metadata(machine, "fly_process_group", group)
        case (value, key, "kv", "_metadata"):
            return lambda machine: _has_metadata(machine, key, value)
        case (region,):
            return lambda machine: region == machine.region.lower()
    return lambda _: False


def _has_metadata(machine: MachineRecord, key: str, value: str) -> bool:
    return (key, value) in ((k.lower(), v.lower()) for k, v in machine.metadata.items())


def _nearest(deployed: _Deployed, region: str) -> _Deployed:
    return tuple(sorted(deployed, key=lambda m: (distance_km(region, m.region), m.machine_id)))


def _some(machines: Iterable[MachineRecord]) -> Records | None:
    deployed = tuple(machines)
    return Records(addresses=_started(deployed)) if deployed else None


def _started(machines: _Deployed) -> tuple[str, ...]:
    return tuple(machine.private_ip for machine in machines if machine.started)


def _vms(machines: Iterable[MachineRecord]) -> str:
    return ",".join(sorted(f"{machine.machine_id} {machine.region}" for machine in machines))


def _regions(machines: Iterable[MachineRecord]) -> str:
    return ",".join(sorted({machine.region for machine in machines}))


_LISTS: Final[dict[tuple[str, ...], Callable[[_Deployed], Records | None]]] = {
    (): lambda deployed: Records(addresses=_started(deployed)),
    ("global",): lambda deployed: Records(addresses=_started(deployed)),
    ("vms",): lambda deployed: Records(text=_vms(m for m in deployed if m.started)),
    ("all", "vms"): lambda deployed: Records(text=_vms(deployed)),
    ("regions",): lambda deployed: Records(text=_regions(m for m in deployed if m.started)),
    ("all", "regions"): lambda deployed: Records(text=_regions(deployed)),
    ("all",): lambda _: _EMPTY,
    ("vm",): lambda deployed: _EMPTY if deployed else None,
    ("process",): lambda deployed: _EMPTY if deployed else None,
    ("of",): lambda _: _EMPTY,
    ("nearest", "of"): lambda _: _EMPTY,
    ("_metadata",): lambda deployed: _EMPTY if deployed else None,
    ("kv", "_metadata"): lambda deployed: _EMPTY if deployed else None,
}


def _instances(view: View, *, deployed: bool) -> str:
    return ";".join(
        f"instance={machine.machine_id},app={app_name},ip={machine.private_ip},region={machine.region}"
        for app_name, machines in sorted(view.apps.items())
        for machine in machines
        if deployed or machine.started
    )
