"""Inside the app's own Machine: which sockets are bound, and who can reach them.

Rules (docs/fly.md, "Environment" and "Binding")
- Fly's init appends to /etc/hosts: `fly-local-6pn` is the 6PN address, the Machine ID the 172.19 address that
  Fly Proxy dials.
- /proc/net/tcp6 shows `[::]` with and without V6ONLY alike, so a connection to each address is what tells.

| 172.19 | 6PN | ::1 | 127.0.0.1 | the app is                       |
|--------|-----|-----|-----------|----------------------------------|
| yes    | yes |     |           | reached by both: well            |
| yes    | no  |     |           | bound to IPv4 only               |
| no     | yes | yes |           | bound to [::] with V6ONLY        |
| no     | yes | no  |           | bound to the 6PN address only    |
| no     | no  | yes | or yes    | bound to localhost only          |
| no     | no  | no  | no        | on another port, or on none      |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shell.doctor.faults import Fault
from shell.doctor.finding import Finding, failed, ok

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection

    from shell.doctor.finding import Question
    from shell.doctor.listening import Listening

    Connect = Callable[[str, int, float], socket.socket]

_CONNECT_SECONDS = 2.0
_SIX_PN_NAME, _IPV4_NAME = "fly-local-6pn", "fly-global-services"


@dataclass(frozen=True, slots=True)
class Here:
    """The addresses of this Machine."""

    private_ip: str
    ipv4: str


@dataclass(frozen=True, slots=True)
class Reach:
    """Who gets a connection to one port."""

    ipv4: bool
    six_pn: bool
    localhost6: bool
    localhost4: bool

    def __str__(self) -> str:
        """Say it address by address."""
        names = {"172.19": self.ipv4, "6PN": self.six_pn, "::1": self.localhost6, "127.0.0.1": self.localhost4}
        return ", ".join(f"{name} {'yes' if reached else 'no'}" for name, reached in names.items())


def read_hosts(hosts: str, machine_id: str) -> Here | None:
    """Return the addresses that /etc/hosts gives this Machine; None where it does not."""
    by_name: dict[str, str] = {}
    for line in hosts.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        by_name.update(dict.fromkeys(names, address))
    private_ip, ipv4 = by_name.get(_SIX_PN_NAME, ""), by_name.get(machine_id) or by_name.get(_IPV4_NAME, "")
    return Here(private_ip, ipv4) if private_ip and ipv4 and ":" not in ipv4 else None


def try_port(here: Here, port: int, connect: Connect) -> Reach:
    """Connect to one port at every address of this Machine."""
    addresses = (f"::ffff:{here.ipv4}", here.private_ip, "::1", "::ffff:127.0.0.1")
    return Reach(*(_takes_connections(address, port, connect) for address in addresses))


def look(
    question: Question, hosts: str, machine_id: str, sockets: Collection[Listening], connect: Connect
) -> list[Finding]:
    """Try the internal port and the hello port at every address of this Machine."""
    app_name = question.app_name or "APP"
    here = read_hosts(hosts, machine_id)
    if here is None:
        return [failed("Machine", "read /etc/hosts", "no fly-local-6pn there", Fault.NOT_IN_A_MACHINE, app_name)]
    ports = (question.internal_port, question.hello_port)
    return [judge_port(port, try_port(here, port, connect), sockets, app_name) for port in dict.fromkeys(ports) if port]


def judge_port(port: int, reach: Reach, sockets: Collection[Listening], app_name: str) -> Finding:
    """Name the case of the table above."""
    rung, did = f"port {port}", f"connect to port {port} at each address of this Machine"
    if reach.ipv4 and reach.six_pn:
        return ok(rung, did, f"dual stack: Flycast and 6PN reach it ({reach})")
    others = ", ".join(str(other) for other in sorted({listening.port for listening in sockets} - {port}))
    fault = _fault(reach) or (Fault.WRONG_PORT if others else Fault.NO_SOCKET)
    return failed(rung, did, str(reach), fault, app_name, port=port, what=others)


def _takes_connections(address: str, port: int, connect: Connect) -> bool:
    try:
        connect(address, port, _CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _fault(reach: Reach) -> Fault | None:
    """Return the fault of a port that something listens on; None when nothing does."""
    if reach.ipv4:
        return Fault.IPV4_ONLY
    if reach.six_pn:
        return Fault.V6ONLY if reach.localhost6 else Fault.SIX_PN_ONLY
    return Fault.LOCALHOST_ONLY if reach.localhost6 or reach.localhost4 else None
