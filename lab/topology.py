"""From fly.toml files to a plan: apps, Machines, addresses.  Pure; the same input gives the same plan.

Address layout (FLY_FACTS section 1): a 6PN address is the network's /48, 32 bits of host, 32 bits of Machine,
then `:2`; a Flycast address is `<network>:0:1::X`; each Machine has a 172.19.x.y/29 that the proxy dials.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from lab import services
from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shell.flytoml import FlyToml, Service

NETWORK = "fdaa:0:18"
NAMESERVERS = ("fdaa::3", f"{NETWORK}::3")
PROXY_IPV4 = "172.16.0.2"
SHELL_APP = "shell"
INTERNET = "2001:db8:0:1"  # RFC 3849: prefixes for documentation stand for the internet,
PUBLIC = "2001:db8:f17"  # and for what Fly announces to it
MAX_MACHINES = 8192  # as many /29 as 172.19.0.0/16 has
_REGION = re.compile(r"[a-z]{3}")
_COUNT = re.compile(r"[0-9]{1,4}")
_APP_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """One Machine: who it is, where it is, and what its init runs."""

    machine_id: str
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


@dataclass(frozen=True, slots=True)
class AppPlan:
    """One app: its Flycast address, its services and its Machines."""

    name: str
    primary_region: str
    flycast_ip: str
    public_ip: str
    services: tuple[Service, ...]
    machines: tuple[MachinePlan, ...]
    kill_signal: str
    kill_timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Topology:
    """A private network: its apps, and the shell Machine to look at them from."""

    apps: tuple[AppPlan, ...]
    shell: MachinePlan

    @property
    def public(self) -> bool:
        """Whether an app can be reached from the internet."""
        return any(app.public_ip for app in self.apps)

    @property
    def machines(self) -> tuple[MachinePlan, ...]:
        """Every Machine of every app, without the shell Machine."""
        return tuple(machine for app in self.apps for machine in app.machines)


@dataclass(frozen=True, slots=True)
class AppSource:
    """A fly.toml and the command each process group runs."""

    config: FlyToml
    commands: Mapping[str, tuple[str, ...]]


def parse_scale(text: str, primary_region: str) -> dict[str, int]:
    """Read `--scale`: `3` in the primary region, or `ams=2,cdg=1`; raise `UsageError` on anything else."""
    counts: dict[str, int] = {}
    for part in [f"{primary_region}={text}"] if text.isdecimal() else text.split(","):
        region, _, number = part.partition("=")
        if not _REGION.fullmatch(region) or not _COUNT.fullmatch(number) or int(number) == 0 or region in counts:
            raise UsageError(f"--scale: expected a number or REGION=N,… with regions like ams, got {text[:99]!r}")
        counts[region] = int(number)
    return counts


def plan(sources: Sequence[AppSource], scale: str, env: Mapping[str, str], *, public: bool = False) -> Topology:
    """Lay out every app of `sources`; `env` is what each Machine gets beside its own variables.

    With `public` each app has a public address too, as after a deploy that was not careful.
    """
    apps: list[AppPlan] = []
    count = 1  # the shell Machine is the first
    for source in sources:
        if source.config.app_name in {app.name for app in apps}:
            raise UsageError(f"{source.config.path}: app {source.config.app_name!r} was given twice")
        app = _plan_app(source, len(apps), count, scale, env, public=public)
        count += len(app.machines)
        if count > MAX_MACHINES:
            raise UsageError(f"--scale: at most {MAX_MACHINES - 1} Machines fit in one lab, got {count - 1}")
        apps.append(app)
    shell_region = apps[0].primary_region
    shell = _plan_machine(0, SHELL_APP, shell_region, SHELL_APP, 0, env)
    return Topology(tuple(apps), replace(shell, argv=()))


def small_machine() -> MachinePlan:
    """Return the plan of a lone shell Machine, to try a host with."""
    return _plan_machine(0, SHELL_APP, "ams", SHELL_APP, 0, {})


def _plan_app(
    source: AppSource, index: int, first: int, scale: str, env: Mapping[str, str], *, public: bool
) -> AppPlan:
    config = source.config
    if not _APP_NAME.fullmatch(config.app_name):
        expected = "a name of lower-case letters, digits and dashes"
        raise UsageError(f"{config.path}: app: expected {expected}, got {config.app_name!r}")
    region = config.primary_region or "ams"
    if not _REGION.fullmatch(region):
        raise UsageError(f"{config.path}: primary_region: expected three letters like ams, got {region!r}")
    services.check(config, source.commands)
    machines: list[MachinePlan] = []
    for group, argv in source.commands.items():
        for place, number in parse_scale(scale, region).items():
            for serial in range(number):
                machine = _plan_machine(first + len(machines), config.app_name, place, group, serial, env)
                own = {**machine.env, **config.env, "PRIMARY_REGION": region}
                own["FLY_VM_MEMORY_MB"] = str(config.memory_mb)
                directory = str(config.path.resolve().parent)
                machines.append(replace(machine, argv=argv, env=own, directory=directory))
    return AppPlan(
        name=config.app_name,
        primary_region=region,
        flycast_ip=f"{NETWORK}:0:1::{index + 2:x}",
        public_ip=f"{PUBLIC}::{index + 2:x}" if public else "",
        services=config.services,
        machines=tuple(machines),
        kill_signal=config.kill_signal,
        kill_timeout_seconds=config.kill_timeout_seconds,
    )


def _plan_machine(
    index: int, app_name: str, region: str, group: str, serial: int, env: Mapping[str, str]
) -> MachinePlan:
    digest = hashlib.sha256(f"{app_name}/{group}/{region}/{serial}".encode()).hexdigest()
    host = int(hashlib.sha256(region.encode()).hexdigest()[:7], 16)
    serial_bits = (index * 40503 + 0x5A1D) & 0xFFFF  # odd factor: another index, another value
    own = (host << 32) | (int(digest[:4], 16) << 16) | serial_bits
    groups = ":".join(f"{own >> shift & 0xFFFF:x}" for shift in (48, 32, 16, 0))
    subnet = IPv4Address("172.19.0.0") + 8 * index
    machine_id = digest[4:18]
    private_ip = f"{NETWORK}:{groups}:2"
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
        app_name=app_name,
        region=region,
        process_group=group,
        private_ip=private_ip,
        gateway_ip=f"{NETWORK}:{groups}:1",
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
        where = f"{config.path}: processes"
        return {group: _split(text, f"{where}.{group}") for group, text in config.processes.items()}
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
