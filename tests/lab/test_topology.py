from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

import pytest

from lab.apps import secrets_from
from lab.errors import UsageError
from lab.restart import RestartKind, RestartPolicy
from lab.topology import AppSource, Topology, group_commands, plan
from shell.flytoml import FlyToml, FlyTomlError, read


def config(app_name: str = "demo", *, processes: dict[str, str] | None = None) -> FlyToml:
    return FlyToml(
        path=Path("/nowhere/fly.toml"),
        app_name=app_name,
        primary_region="ams",
        kill_signal="SIGINT",
        kill_timeout_seconds=5,
        env={"COLOUR": "blue"},
        processes=processes or {},
        services=(),
        dockerfile=None,
        memory_mb=256,
    )


def lay_out(scale: str = "1", *names: str, public: bool = False) -> Topology:
    sources = [AppSource(config(name), {"app": ("true",)}) for name in names or ("demo",)]
    return plan(sources, scale, {"PATH": "/bin"}, public=public)


def in_organisations(*names: str, flycast_in: dict[str, str] | None = None) -> Topology:
    """Lay out one app an organisation, named after it."""
    sources = [AppSource(config(f"app-{name}"), {"app": ("true",)}, name) for name in names]
    return plan(sources, "1", {}, flycast_in=flycast_in)


def test_each_organisation_has_a_prefix_and_a_shell_machine_of_its_own() -> None:
    topology = in_organisations("personal", "one", "two", "one-more")
    assert [network.name for network in topology.networks] == ["personal", "one", "two", "one-more"]
    assert len({network.prefix for network in topology.networks}) == 4
    for app, shell in zip(topology.apps, topology.shells, strict=True):
        within = ip_network(f"{shell.network.prefix}::/48")
        addresses = [shell.private_ip, app.flycast_ip, *(machine.private_ip for machine in app.machines)]
        assert all(IPv6Address(address) in within for address in addresses)
        assert shell.network.nameservers == ("fdaa::3", f"{shell.network.prefix}::3")
    everybody = [*topology.shells, *topology.machines]
    assert len({machine.machine_id for machine in everybody}) == len({m.ipv4 for m in everybody}) == 8


def test_a_flycast_address_lies_in_the_network_it_was_allocated_in() -> None:
    topology = in_organisations("personal", "other", flycast_in={"app-other": "personal", "app-personal": "third"})
    personal, other, third = topology.networks
    assert third.name == "third", "an organisation may have no app of its own"
    at_home, away = topology.apps
    assert (at_home.network, at_home.flycast_network) == (personal, third)
    assert (away.network, away.flycast_network) == (other, personal)
    assert at_home.flycast_ip.startswith(f"{third.prefix}:0:1::")
    assert away.flycast_ip.startswith(f"{personal.prefix}:0:1::")


def test_a_secret_is_a_variable_of_every_machine_and_wins_over_env() -> None:
    secrets = {"ADMIN_TOKEN": "correct-horse", "COLOUR": "red"}
    topology = plan([AppSource(config(), {"app": ("true",)}, secrets=secrets)], "2", {})
    for machine in topology.machines:
        assert secrets.items() <= machine.env.items()
    assert "ADMIN_TOKEN" not in topology.shells[0].env, "a shell Machine belongs to another app"


def test_a_secret_is_given_or_taken_from_the_environment() -> None:
    secrets = secrets_from(["A=x=y", "B", "C="], {"B": "from here", "D": "unasked"})
    assert secrets == {"A": "x=y", "B": "from here", "C": ""}


@pytest.mark.parametrize("texts", [["=v"], ["1A=v"], ["A-B=v"], ["FLY_REGION=v"], ["A=v", "A=v"], ["NOT_HERE"], [""]])
def test_a_secret_that_cannot_be_is_refused_and_its_value_never_shown(texts: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^--secret: expected ") as caught:
        secrets_from([text.replace("=v", "=hunter2") for text in texts], {"A": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_the_same_input_gives_the_same_plan() -> None:
    assert lay_out("ams=2,cdg=1") == lay_out("ams=2,cdg=1")


def test_every_machine_has_addresses_of_its_own() -> None:
    machines = lay_out("ams=40,cdg=40", "one", "two").machines
    for field in ("machine_id", "private_ip", "gateway_ip", "ipv4", "gateway_ipv4"):
        values = [getattr(machine, field) for machine in machines]
        assert len(set(values)) == len(values) == 160, f"{field} is not unique"


def test_addresses_have_the_shape_fly_gives_them() -> None:
    topology = lay_out("3")
    network = ip_network("fdaa:0:18::/48")
    for machine in topology.machines:
        address = IPv6Address(machine.private_ip)
        assert address in network
        assert str(address).endswith(":2")
        assert IPv6Address(machine.gateway_ip) in ip_network(f"{machine.private_ip}/112", strict=False)
        assert IPv4Address(machine.gateway_ipv4) in ip_network(f"{machine.ipv4}/29", strict=False)
        assert len(machine.machine_id) == 14
    assert IPv6Address(topology.apps[0].flycast_ip) in ip_network("fdaa:0:18:0:1::/80")


def test_a_machine_knows_who_it_is_and_what_fly_toml_says() -> None:
    machine = lay_out().machines[0]
    expected = {
        "FLY_APP_NAME": "demo",
        "FLY_MACHINE_ID": machine.machine_id,
        "FLY_ALLOC_ID": machine.machine_id,
        "FLY_REGION": "ams",
        "FLY_PRIVATE_IP": machine.private_ip,
        "FLY_PROCESS_GROUP": "app",
        "FLY_VM_MEMORY_MB": "256",
        "PRIMARY_REGION": "ams",
        "COLOUR": "blue",
        "PATH": "/bin",
    }
    assert expected.items() <= machine.env.items()


def test_only_an_app_that_was_asked_to_be_is_public() -> None:
    assert lay_out().apps[0].public_ip == ""
    assert not lay_out().public
    assert IPv6Address(lay_out(public=True).apps[0].public_ip) in ip_network("2001:db8::/32")


def test_more_machines_than_addresses_are_refused() -> None:
    with pytest.raises(UsageError, match="at most 8191 Machines"):
        lay_out("9000")


@pytest.mark.parametrize("name", ["", "UPPER", "a_b", "-a", "a" * 64])
def test_an_app_name_that_dns_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="app: expected a name"):
        plan([AppSource(config(name), {"app": ("true",)})], "1", {})


def test_an_app_may_be_given_only_once() -> None:
    with pytest.raises(UsageError, match="expected an app once, got 'same' twice"):
        lay_out("1", "same", "same")


def test_the_command_comes_from_the_option_then_processes_then_the_image() -> None:
    both = config(processes={"web": "serve --now", "worker": "work"})
    assert group_commands(both, "other 'two words'", ("image",)) == {
        "web": ("other", "two words"),
        "worker": ("other", "two words"),
    }
    assert group_commands(config(), "true", ()) == {"app": ("true",)}
    assert group_commands(both, None, ("image",)) == {"web": ("serve", "--now"), "worker": ("work",)}
    assert group_commands(config(), None, ("image",)) == {"app": ("image",)}


def test_nothing_to_run_says_where_was_looked() -> None:
    with pytest.raises(UsageError, match=r"nothing to run: no --command, no \[processes\].*no CMD in a Dockerfile"):
        group_commands(config(), None, ())


@pytest.mark.parametrize("command", ["", "   ", "'open"])
def test_a_command_that_cannot_be_split_is_refused(command: str) -> None:
    with pytest.raises(UsageError, match="--command: expected"):
        group_commands(config(), command, ())


def plan_of(path: Path) -> Topology:
    found = read(path)
    return plan([AppSource(found, group_commands(found, None, ()))], "1", {})


WHOLE = """\
app = "x"
primary_region = "ams"
kill_signal = "SIGINT"
[env]
PORT = "1"
[processes]
web = "serve"
[http_service]
internal_port = 80
processes = ["web"]
[[services]]
internal_port = 81
protocol = "tcp"
concurrency = { type = "requests", soft_limit = 1, hard_limit = 2 }
processes = ["web"]
[[services.ports]]
port = 1
handlers = ["proxy_proto"]
proxy_proto_options = { version = "v2" }
force_https = false
[[restart]]
policy = "never"
retries = 1
[checks.up]
type = "tcp"
port = 1
interval = "2s"
timeout = "2s"
"""


@pytest.mark.parametrize(
    ("line", "written", "where"),
    [
        (1, 'app = "X_y"', "app"),
        (2, 'primary_region = "nowhere"', "primary_region"),
        (3, 'kill_signal = "SIGFOO"', "kill_signal"),
        (3, "kill_signal = 15", "kill_signal"),
        (5, 'PORT = "\\u0000"', "env.PORT"),
        (7, 'web = "\'open"', "processes.web"),
        (7, 'web = " "', "processes.web"),
        (9, "internal_port = 0", "http_service.internal_port"),
        (9, 'internal_port = "80"', "http_service.internal_port"),
        (10, 'processes = ["other"]', "http_service.processes"),
        (12, "internal_port = 99999", "services[0].internal_port"),
        (13, 'protocol = "icmp"', "services[0].protocol"),
        (14, 'concurrency = { type = "donuts" }', "services[0].concurrency.type"),
        (14, "concurrency = { soft_limit = -1 }", "services[0].concurrency.soft_limit"),
        (14, "concurrency = { hard_limit = -1 }", "services[0].concurrency.hard_limit"),
        (16, "[[services.ports]]\nport = 0", "services[0].ports[0]"),
        (16, "[[services.ports]]\nstart_port = 9\nend_port = 8", "services[0].ports[0]"),
        (16, "[[services.ports]]\nport = 80", "services[0].ports[0]"),
        (16, "[[services.ports]]\nstart_port = 1000\nend_port = 9999", "services"),
        (18, 'handlers = ["htp"]', "services[0].ports[0].handlers"),
        (18, 'handlers = ["http", "proxy_proto"]', "services[0].ports[0].handlers"),
        (19, 'proxy_proto_options = { version = "v3" }', "services[0].ports[0].proxy_proto_options.version"),
        (20, "force_https = true", "services[0].ports[0].force_https"),
        (22, 'policy = "no"', "restart[0].policy"),
        (23, "retries = -1", "restart[0].retries"),
        (25, 'type = "script"', "checks.up.type"),
        (26, "port = 0x10000", "checks.up.port"),
        (27, 'interval = "1s"', "checks.up.interval"),
        (27, 'interval = "1"', "checks.up.interval"),
        (28, 'timeout = "61s"', "checks.up.timeout"),
    ],
)
def test_every_mistake_is_told_with_the_line_it_is_on(tmp_path: Path, line: int, written: str, where: str) -> None:
    lines = WHOLE.splitlines()
    lines[line - 1 : line + written.count("\n")] = [written]
    path = tmp_path / "fly.toml"
    path.write_text("\n".join(lines))
    with pytest.raises((UsageError, FlyTomlError)) as caught:
        plan_of(path)
    at = 11 if where == "services" else line
    assert str(caught.value).startswith(f"{path}:{at}: {where}: "), caught.value


def test_the_file_without_its_mistakes_is_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    path.write_text(WHOLE)
    (machine,) = plan_of(path).machines
    assert machine.restart == RestartPolicy(RestartKind.NEVER, 1)
    assert [check.name for check in machine.checks] == ["up"]
