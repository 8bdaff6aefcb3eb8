from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.errors import UsageError
from lab.restart import DEFAULT, RestartKind, RestartPolicy
from lab.upkeep import Check, CheckKind, Upkeep, upkeep
from shell.flytoml import read

if TYPE_CHECKING:
    from pathlib import Path


def reading(directory: Path, text: str) -> Upkeep:
    path = directory / "fly.toml"
    path.write_text(text)
    return upkeep(read(path))


def test_a_file_that_says_nothing_restarts_on_failure_and_checks_nothing(tmp_path: Path) -> None:
    said = reading(tmp_path, 'app = "x"\n')
    assert said.restart_of("app") == DEFAULT == RestartPolicy(RestartKind.ON_FAILURE, 10)
    assert said.checks_of("app") == ()


def test_a_restart_policy_holds_for_the_groups_it_names_or_for_the_rest(tmp_path: Path) -> None:
    said = reading(
        tmp_path,
        '[[restart]]\npolicy = "always"\nprocesses = ["web", "worker"]\n[[restart]]\npolicy = "never"\nretries = 3\n',
    )
    assert said.restart_of("worker").kind is RestartKind.ALWAYS
    assert said.restart_of("cron") == RestartPolicy(RestartKind.NEVER, 3)


def test_checks_of_every_section_are_read(tmp_path: Path) -> None:
    said = reading(
        tmp_path,
        """
        [http_service]
        internal_port = 8080
        [[http_service.checks]]
        interval = "30s"
        timeout = "5s"
        grace_period = "10s"
        method = "get"
        path = "/healthz"
        headers = { X-Ask = "yes" }
        [[services]]
        internal_port = 1848
        processes = ["app"]
        [[services.ports]]
        port = 1848
        [[services.tcp_checks]]
        interval = 20000
        [[services.http_checks]]
        path = "ready"
        [checks.alive]
        type = "tcp"
        port = 9
        grace_period = "1m30s"
        processes = ["worker"]
        """,
    )
    tcp = Check(CheckKind.TCP, 1848, "", (1848,), interval_seconds=20, processes=("app",))
    alive = Check(CheckKind.TCP, 9, "alive", grace_seconds=90, processes=("worker",))
    http = Check(CheckKind.HTTP, 8080, "", (80, 443), 30, 5, 10, path="/healthz", headers=(("X-Ask", "yes"),))
    ready = Check(CheckKind.HTTP, 1848, "", (1848,), path="/ready", processes=("app",))
    assert said.checks == (http, tcp, ready, alive)
    assert said.checks_of("worker") == (http, alive)


@pytest.mark.parametrize(
    ("section", "value", "seconds"),
    [
        ("http_service.checks", '"500ms"', 1), ("http_service.checks", '"5m"', 60), ("http_service.checks", "10000", 1),
        ("http_service.checks", "10000000000", 10), ("services.http_checks", "10000", 10),
        ("services.tcp_checks", '""', 15),
    ],
)  # fmt: skip
def test_an_interval_is_read_in_the_unit_of_its_section_and_kept_within_bounds(
    tmp_path: Path, section: str, value: str, seconds: float
) -> None:
    service = "[http_service]" if section.startswith("http_service") else "[[services]]"
    (check,) = reading(tmp_path, f"{service}\ninternal_port = 1\n[[{section}]]\ninterval = {value}\n").checks
    assert check.interval_seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[[restart]]\npolicy = "no"\n', 2, "restart[0].policy: expected on-failure, always or never"),
        ('[[restart]]\npolicy = "always"\nretries = -1\n', 3, "restart[0].retries: expected a number of at least 0"),
        ("[checks.x]\nport = 1\n", 1, "checks.x.type: expected http or tcp, got the string ''"),
        ('[checks.x]\ntype = "tcp"\n', 1, "checks.x.port: expected the port to check, 1 to 65535, got 0"),
        ('[checks.x]\ntype = "tcp"\nport = 1\ninterval = "1s"\n', 4, "checks.x.interval: expected at least 2s"),
        ('[checks.x]\ntype = "tcp"\nport = 1\ntimeout = "61s"\n', 4, "checks.x.timeout: expected at most 60s"),
        ('[checks.x]\ntype = "tcp"\nport = 1\ngrace_period = -1\n', 4, "checks.x.grace_period: expected at least 0s"),
        ('[[http_service.checks]]\nprotocol = "https"\n', 2, "http_service.checks[0].protocol: expected http"),
        ('[[http_service.checks]]\npath = "/a b"\n', 2, "http_service.checks[0].path: expected a path such as"),
        ('[[http_service.checks]]\nmethod = "GET /"\n', 2, "http_service.checks[0].method: expected a method such"),
        ('[[http_service.checks]]\nheaders = { a = "b\\r\\nc" }\n', 2, "http_service.checks[0].headers.a: expected a"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_line_and_place(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        reading(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'fly.toml'}:{line}: {said}"), caught.value
