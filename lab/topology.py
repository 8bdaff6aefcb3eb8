"""From fly.toml files to a plan: apps, Machines, addresses.  Pure; the same input gives the same plan.

Address layout (docs/fly.md, "Addresses"): a 6PN address is the network's /48, 32 bits of host, 32 bits of Machine,
then `:2`; a Flycast address is `<network>:0:1::X`; each Machine has a 172.19.x.y/29 that the proxy dials.

Every organisation has a network of its own (its /48), with a shell Machine.  An app has one Flycast address: in the
network of its organisation or, when it was allocated there, in that of another one.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from lab import services
from lab.errors import UsageError
from lab.left_out import left_out
from lab.restart import DEFAULT, RestartPolicy
from lab.scale import check_groups, machines_of, parse_scale
from lab.upkeep import upkeep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.image.archive import Image
    from lab.scale import Part
    from lab.upkeep import Check
    from shell.flytoml import FlyToml, Service

HOME = "personal"  # Fly's name for the organisation everybody has
FIRST_NETWORK = 0x18
NAMESERVER = "fdaa::3"  # in every network
PROXY_IPV4 = "172.16.0.2"
MACHINES_IPV4 = "172.19.0.0/16"
SHELL_APP = "shell"
INTERNET = "2001:db8:0:1"  # RFC 3849: prefixes for documentation stand for the internet,
PUBLIC = "2001:db8:f17"  # and for what Fly announces to it
MAX_MACHINES = 8192  # as many /29 as there are in that network
_REGION = re.compile(r"[a-z]{3}")
_APP_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Network:
    """The private network of the organisation `name`; `prefix` is its /48, the first three groups."""

    name: str
    prefix: str

    @property
    def nameservers(self) -> tuple[str, str]:
        """Whom a Machine asks, and whom a WireGuard peer."""
        return NAMESERVER, f"{self.prefix}::3"


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """One Machine: who it is, where it is, what its init runs, and which installations of the host it shows."""

    machine_id: str
    network: Network
    app_name: str
    region: str
    process_group: str
    private_ip: str
    gateway_ip: str
    ipv4: str
    gateway_ipv4: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    directory: str
    memory_mb: int = 256
    installations: tuple[str, ...] = ()
    image: Image | None = None
    restart: RestartPolicy = DEFAULT
    checks: tuple[Check, ...] = ()

    @property
    def metadata(self) -> Mapping[str, str]:
        """Return what a deploy writes of it into the Machine's metadata."""
        return {"fly_platform_version": "v2", "fly_process_group": self.process_group, "fly_release_version": "1"}


@dataclass(frozen=True, slots=True)
class AppPlan:
    """One app: its network, its Flycast address and the network that reaches it, its services and its Machines."""

    name: str
    network: Network
    flycast_network: Network
    primary_region: str
    flycast_ip: str
    public_ip: str
    services: tuple[Service, ...]
    machines: tuple[MachinePlan, ...]
    kill_signal: str
    kill_timeout_seconds: float
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """Every app, and one shell Machine a network to look at them from."""

    apps: tuple[AppPlan, ...]
    shells: tuple[MachinePlan, ...]

    @property
    def shell(self) -> MachinePlan:
        """The shell Machine you are on unless you say otherwise."""
        return self.shells[0]

    @property
    def networks(self) -> tuple[Network, ...]:
        """The network of every organisation."""
        return tuple(shell.network for shell in self.shells)

    @property
    def public(self) -> bool:
        """Whether an app can be reached from the internet."""
        return any(app.public_ip for app in self.apps)

    @property
    def machines(self) -> tuple[MachinePlan, ...]:
        """Every Machine of every app, without the shell Machines."""
        return tuple(machine for app in self.apps for machine in app.machines)

    @property
    def images(self) -> tuple[Image, ...]:
        """Every image that a Machine runs, once."""
        return tuple({image.file: image for machine in self.machines if (image := machine.image)}.values())


@dataclass(frozen=True, slots=True)
class AppSource:
    """A fly.toml, the command each process group runs, the app's organisation, its secrets, its Machines' image.

    Without an image Machines see the app's directory, the host's system directories and, for each process group, the
    `installations` of its program; `hints` say what the lab does otherwise than Fly.
    """

    config: FlyToml
    commands: Mapping[str, tuple[str, ...]]
    organisation: str = HOME
    image: Image | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    installations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hints: tuple[str, ...] = ()


def plan(
    sources: Sequence[AppSource],
    scale: str,
    env: Mapping[str, str],
    *,
    public: bool = False,
    flycast_in: Mapping[str, str] | None = None,
) -> Topology:
    """Lay out every app of `sources`; `env` is what each Machine gets beside its own variables.

    With `public` each app has a public address too, as after a deploy that was not careful.  `flycast_in` names, by
    app, the organisation whose network has its Flycast address.
    """
    elsewhere = flycast_in or {}
    _check_apps(sources, elsewhere)
    parts = parse_scale(scale)
    check_groups(parts, sorted({group for source in sources for group in source.commands}))
    shells = _plan_shells(sources, elsewhere, env)
    networks = {shell.network.name: shell.network for shell in shells}
    apps: list[AppPlan] = []
    count = len(shells)  # the shell Machines are the first
    for index, source in enumerate(sources):
        home = networks[source.organisation]
        reached = networks[elsewhere.get(source.config.app_name, home.name)]
        app = _plan_app(source, index, count, parts, env, home=home, reached=reached, public=public)
        count += len(app.machines)
        if count > MAX_MACHINES:
            most = MAX_MACHINES - len(shells)
            raise UsageError(f"--scale: at most {most} Machines fit in one lab, got {count - len(shells)}")
        apps.append(app)
    return Topology(tuple(apps), shells)


def _check_apps(sources: Sequence[AppSource], flycast_in: Mapping[str, str]) -> None:
    seen: set[str] = set()
    for source in sources:
        name = source.config.app_name
        if not _APP_NAME.fullmatch(name):
            expected = "a name of lower-case letters, digits and dashes"
            raise UsageError(f"{source.config.place('app')}: expected {expected}, got {name!r}")
        if name in seen:
            raise UsageError(f"{source.config.place('app')}: expected an app once, got {name!r} twice")
        seen.add(name)
    for name, organisation in flycast_in.items():
        if name not in seen:
            raise UsageError(f"--flycast-in: expected one of the apps {', '.join(sorted(seen))}, got {name!r}")
        check_organisation(organisation, "--flycast-in")


def check_organisation(name: str, option: str) -> None:
    """Raise `UsageError` when `name` cannot be an organisation's."""
    if not _APP_NAME.fullmatch(name):
        expected = "an organisation of lower-case letters, digits and dashes"
        raise UsageError(f"{option}: expected {expected}, got {name[:99]!r}")


def _plan_shells(
    sources: Sequence[AppSource], flycast_in: Mapping[str, str], env: Mapping[str, str]
) -> tuple[MachinePlan, ...]:
    """Give each organisation a network, and a shell Machine where its first app is."""
    regions: dict[str, str] = {}
    for source in sources:
        regions.setdefault(source.organisation, source.config.primary_region or "ams")
    for name in flycast_in.values():
        regions.setdefault(name, sources[0].config.primary_region or "ams")
    return tuple(_plan_shell(index, name, region, env) for index, (name, region) in enumerate(regions.items()))


def _plan_shell(index: int, organisation: str, region: str, env: Mapping[str, str]) -> MachinePlan:
    network = Network(organisation, f"fdaa:0:{FIRST_NETWORK + index:x}")
    return _plan_machine(index, network, SHELL_APP, region, SHELL_APP, index, env)


def small_topology() -> Topology:
    """Return a network with nothing but its shell Machine, to try a host with."""
    return Topology((), (_plan_shell(0, HOME, "ams", {}),))


def _plan_app(
    source: AppSource, index: int, first: int, scale: Sequence[Part], env: Mapping[str, str], *,
    home: Network, reached: Network, public: bool,
) -> AppPlan:  # fmt: skip
    config = source.config
    region = config.primary_region or "ams"
    if not _REGION.fullmatch(region):
        raise UsageError(f"{config.place('primary_region')}: expected three letters like ams, got {region!r}")
    services.check(config, source.commands)
    kept, image = upkeep(config), source.image
    machines: list[MachinePlan] = []
    for group, argv in source.commands.items():
        for place, number in machines_of(scale, group, region).items():
            for serial in range(number):
                basis = image.env if image else {**env, "HOME": "/root"}  # as root's on Fly; the caller's is not there
                machine = _plan_machine(first + len(machines), home, config.app_name, place, group, serial, basis)
                own = {**machine.env, **config.env, **source.secrets, "PRIMARY_REGION": region}
                own["FLY_VM_MEMORY_MB"] = str(config.memory_mb)
                if image:
                    own["FLY_IMAGE_REF"] = image.name
                directory = image.directory if image else str(config.path.parent.resolve())
                machines.append(replace(
                    machine, argv=argv, env=own, directory=directory, memory_mb=config.memory_mb, image=image,
                    installations=source.installations.get(group, ()),
                    restart=kept.restart_of(group), checks=kept.checks_of(group),
                ))  # fmt: skip
    return AppPlan(
        name=config.app_name,
        network=home,
        flycast_network=reached,
        primary_region=region,
        flycast_ip=f"{reached.prefix}:0:1::{index + 2:x}",
        public_ip=f"{PUBLIC}::{index + 2:x}" if public else "",
        services=config.services,
        machines=tuple(machines),
        kill_signal=config.kill_signal,
        kill_timeout_seconds=config.kill_timeout_seconds,
        left_out=(*left_out(config), *source.hints),
    )


def _plan_machine(
    index: int, network: Network, app_name: str, region: str, group: str, serial: int, env: Mapping[str, str]
) -> MachinePlan:
    digest = hashlib.sha256(f"{app_name}/{group}/{region}/{serial}".encode()).hexdigest()
    host = int(hashlib.sha256(region.encode()).hexdigest()[:7], 16)
    serial_bits = (index * 40503 + 0x5A1D) & 0xFFFF  # odd factor: another index, another value
    own = (host << 32) | (int(digest[:4], 16) << 16) | serial_bits
    groups = ":".join(f"{own >> shift & 0xFFFF:x}" for shift in (48, 32, 16, 0))
    subnet = IPv4Network(MACHINES_IPV4).network_address + 8 * index
    machine_id = digest[4:18]
    private_ip = f"{network.prefix}:{groups}:2"
    identity = {
        "FLY_APP_NAME": app_name,
        "FLY_MACHINE_ID": machine_id,
        "FLY_ALLOC_ID": machine_id,
        "FLY_REGION": region,
        "FLY_PRIVATE_IP": private_ip,
        "FLY_PROCESS_GROUP": group,
        "FLY_IMAGE_REF": f"lab/{app_name}:local",
        "FLY_MACHINE_VERSION": "01LAB",
    }
    return MachinePlan(
        machine_id=machine_id,
        network=network,
        app_name=app_name,
        region=region,
        process_group=group,
        private_ip=private_ip,
        gateway_ip=f"{network.prefix}:{groups}:1",
        ipv4=str(subnet + 2),
        gateway_ipv4=str(subnet + 1),
        argv=(),
        env={**env, **identity},
        directory="/",
    )


def group_commands(config: FlyToml, command: str | None, image_command: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what each process group runs: `--command`, else `[processes]`, else the Dockerfile's CMD."""
    if command is not None:
        return dict.fromkeys(config.processes or ("app",), _split(command, "--command"))
    if config.processes:
        return {group: _split(text, config.place(f"processes.{group}")) for group, text in config.processes.items()}
    if image_command:
        return {"app": tuple(image_command)}
    looked = f"no --command, no [processes] in {config.path}, no CMD in a Dockerfile beside it"
    raise UsageError(f"nothing to run: {looked}")


def _split(command: str, where: str) -> tuple[str, ...]:
    try:
        argv = tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(f"{where}: expected a shell command, got {command!r} ({error})") from None
    if not argv or not argv[0] or "\0" in command:
        raise UsageError(f"{where}: expected a command, got {command[:99]!r}")
    return argv
