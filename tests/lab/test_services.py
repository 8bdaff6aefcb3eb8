from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lab import services
from lab.errors import UsageError
from shell.flytoml import Concurrency, Port, Service, read
from tests.lab.test_topology import config

if TYPE_CHECKING:
    from pathlib import Path

GOOD = Service(8080, ports=(Port(80, 80, ("http",)), Port(443, 443, ("tls", "http"))))


def preface(version: str) -> Port:
    return Port(5, 5, ("proxy_proto",), proxy_proto_version=version)


def told(*found: Service, kill_signal: str = "SIGINT", env: dict[str, str] | None = None) -> str:
    given = replace(config(), services=found, kill_signal=kill_signal, env=env or {})
    with pytest.raises(UsageError) as error:
        services.check(given, ["app"])
    return str(error.value)


def test_what_can_be_served_passes() -> None:
    raw = Service(1848, ports=(Port(20, 30), preface("v2"), Port(6, 6, ("tls", "proxy_proto"))))
    services.check(replace(config(), services=(GOOD, Service(1848), raw)), ["app"])


def test_ports_with_tls_are_left_out_and_ranges_are_whole() -> None:
    service = replace(GOOD, ports=(*GOOD.ports, Port(20, 22)))
    assert [port for port, _ in services.served_ports(service)] == [80, 20, 21, 22]


def test_a_service_with_tls_ports_only_is_told_in_one_line() -> None:
    only_tls = Service(1883, ports=(Port(8883, 8883, ("tls",)), Port(443, 443, ("tls", "http"))))
    (line,) = services.unreachable("mqtt", [GOOD, only_tls, Service(1)])
    assert line.startswith("app 'mqtt': the service on internal port 1883 has only ports with tls (8883, 443)")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (Service(0), "internal_port: expected the port the app listens on, 1 to 65535, got none"),
        (Service(99999), "got 99999"),
        (Service(-1), "got -1"),
        (Service(53, "udp"), "protocol: the lab serves tcp only, got 'udp'"),
        (Service(1, ports=(Port(0, 0),)), "expected ports within 1 to 65535, got 0 to 0"),
        (Service(1, ports=(Port(10, 5),)), "got 10 to 5"),
        (Service(1, ports=(Port(1, 70000),)), "got 1 to 70000"),
        (Service(1, ports=(Port(1, 65535),)), "at most 1024 ports an app, got 65535"),
        (Service(1, ports=(Port(5, 5, ("pg_tls",)),)), "the lab has http, tls and proxy_proto only, got 'pg_tls'"),
        (Service(1, ports=(Port(5, 5, ("proxy_proto", "http")),)), "proxy_proto is for raw TCP here, got http with it"),
        (Service(1, ports=(preface("v3"),)), "proxy_proto_options.version: expected v1 or v2, got 'v3'"),
        (Service(1, ports=(Port(5, 5), Port(4, 6))), "expected a port of its own, got 5, which is taken already"),
        (Service(1, ports=(Port(5, 5, force_https=True),)), "force_https: expected http among the handlers, got none"),
        (Service(1, ports=(Port(5, 5, ("tls",), force_https=True),)), "got tls; a deploy would fail"),
        (Service(1, processes=("web",)), "processes: expected some of app, got 'web'"),
        (Service(1, concurrency=Concurrency("donuts")), "concurrency.type: expected requests or connections"),
        (
            Service(1, concurrency=Concurrency("requests", -1)),
            "soft_limit: expected a limit above 0, got -1",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_served_is_told_with_file_and_place(service: Service, expected: str) -> None:
    line = told(service)
    assert line.startswith("/nowhere/fly.toml:1: ")
    assert expected in line
    assert "\n" not in line


def test_the_version_of_the_preface_is_read_from_fly_toml(tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    ports = (
        '[[services.ports]]\nport = 1\nhandlers = ["proxy_proto"]\n'
        '[[services.ports]]\nport = 2\nhandlers = ["proxy_proto"]\nproxy_proto_options = { version = "v2" }\n'
    )
    path.write_text(f'app = "demo"\n[[services]]\ninternal_port = 1848\n{ports}')
    assert [port.proxy_proto_version for port in read(path).services[0].ports] == ["v1", "v2"]


def test_a_kill_signal_that_does_not_exist_is_told() -> None:
    assert "kill_signal: expected one of SIGINT, " in told(GOOD, kill_signal="SIGFOO")


@pytest.mark.parametrize("env", [{"": "x"}, {"A=B": "x"}, {"A": "x\0y"}])
def test_a_variable_no_process_can_have_is_told(env: dict[str, str]) -> None:
    assert "expected a variable without NUL" in told(GOOD, env=env)
