from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shell.flytoml import AutoStop, Concurrency, FlyToml, FlyTomlError, HealthCheck, Port, Restart, Service, read

if TYPE_CHECKING:
    from pathlib import Path


def read_text(folder: Path, text: str) -> FlyToml:
    path = folder / "fly.toml"
    path.write_text(text, encoding="utf-8")
    return read(path)


def test_a_file_with_nothing_in_it_has_the_defaults(tmp_path: Path) -> None:
    config = read_text(tmp_path, "")
    assert config == FlyToml(
        path=tmp_path / "fly.toml",
        app_name="",
        primary_region="",
        kill_signal="SIGINT",
        kill_timeout_seconds=5.0,
        env={},
        processes={},
        services=(),
        dockerfile=None,
        memory_mb=256,
    )


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    config = read_text(
        tmp_path,
        """
        app = "shop"
        primary_region = "ams"
        kill_signal = "SIGTERM"
        kill_timeout = "1m"
        [build]
        dockerfile = "docker/App"
        [env]
        PORT = 8080
        [processes]
        Web = "serve"
        [http_service]
        internal_port = 8080
        force_https = true
        auto_stop_machines = "suspend"
        auto_start_machines = false
        min_machines_running = 1
        processes = ["Web"]
        [http_service.concurrency]
        type = "requests"
        soft_limit = 5
        hard_limit = 10
        [[services]]
        internal_port = "1848"
        protocol = "tcp"
        auto_stop_machines = true
        concurrency = "3,4"
        [[services.ports]]
        port = "1848"
        [[services.ports]]
        start_port = 9000
        end_port = 9010
        handlers = ["proxy_proto"]
        [[vm]]
        memory = "1gb"
        """,
    )
    assert config.app_name == "shop"
    assert config.primary_region == "ams"
    assert (config.kill_signal, config.kill_timeout_seconds) == ("SIGTERM", 60.0)
    assert config.env == {"PORT": "8080"}
    assert config.processes == {"Web": "serve"}
    assert config.dockerfile == tmp_path / "docker/App"
    assert config.memory_mb == 1024
    assert config.services == (
        Service(
            internal_port=8080,
            ports=(Port(80, 80, ("http",), force_https=True), Port(443, 443, ("tls", "http"))),
            concurrency=Concurrency("requests", 5, 10),
            auto_stop=AutoStop.SUSPEND,
            auto_start=False,
            min_machines_running=1,
            processes=("Web",),
        ),
        Service(
            internal_port=1848,
            ports=(Port(1848, 1848), Port(9000, 9010, ("proxy_proto",))),
            concurrency=Concurrency("requests", 3, 4),
            auto_stop=AutoStop.STOP,
        ),
    )


def test_keys_match_whatever_their_case_and_names_keep_theirs(tmp_path: Path) -> None:
    config = read_text(tmp_path, 'APP = "a"\n[HTTP_Service]\nInternal_Port = 1\n[Env]\nMixed = "x"\n')
    assert config.app_name == "a"
    assert config.services[0].internal_port == 1
    assert config.env == {"Mixed": "x"}


def test_the_dockerfile_beside_is_found(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    assert read_text(tmp_path, "").dockerfile == tmp_path / "Dockerfile"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("true", AutoStop.STOP),
        ("false", AutoStop.OFF),
        ('"off"', AutoStop.OFF),
        ('"stop"', AutoStop.STOP),
        ('"suspend"', AutoStop.SUSPEND),
    ],
)
def test_every_way_to_write_autostop(tmp_path: Path, written: str, meant: AutoStop) -> None:
    config = read_text(tmp_path, f"[http_service]\nauto_stop_machines = {written}\n")
    assert config.services[0].auto_stop is meant


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("120", 120),
        ("1.5", 1),
        ("true", 5),
        ('""', 5),
        ("[90]", 5),
        ('"1m30s"', 90),
        ('"500ms"', 0.5),
        ('"1.5h"', 5400),
        ('"+2s"', 2),
        ('"-2s"', -2),
        ('"0"', 0),
        ('"1us"', 1e-6),
        ('"1µs"', 1e-6),
        ('".5s"', 0.5),
    ],
)
def test_every_way_to_write_kill_timeout(tmp_path: Path, written: str, seconds: float) -> None:
    assert read_text(tmp_path, f"kill_timeout = {written}\n").kill_timeout_seconds == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["120", "10x", "s", "-", "1s 2s", "1.s2", "1..5s", "٣s"])
def test_what_is_no_go_duration_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(FlyTomlError, match='kill_timeout: expected a duration such as "10s", got the string'):
        read_text(tmp_path, f'kill_timeout = "{text}"\n')


def test_the_legacy_place_of_kill_timeout_counts(tmp_path: Path) -> None:
    assert read_text(tmp_path, "[experimental]\nkill_timeout = 9\n").kill_timeout_seconds == 9


@pytest.mark.parametrize(
    ("table", "memory_mb"),
    [
        ('memory = "256mb"', 256),
        ('memory = "1gb"', 1024),
        ('memory = "2GiB"', 2048),
        ('memory = "512"', 512),
        ("memory = 512", 512),
        ("memory_mb = 300", 300),
        ('size = "shared-cpu-2x"', 512),
        ('size = "performance-1x"', 2048),
        ('size = "tiny"', 256),
        ('memory = "much"', 256),
        ("memory = true", 256),
        ("cpus = 1", 256),
    ],
)
@pytest.mark.parametrize("section", ["[[vm]]", "[vm]", "[compute]", "[[computes]]"])
def test_every_way_to_write_memory(tmp_path: Path, section: str, table: str, memory_mb: int) -> None:
    assert read_text(tmp_path, f"{section}\n{table}\n").memory_mb == memory_mb


def test_values_of_variables_become_text_as_go_writes_them(tmp_path: Path) -> None:
    config = read_text(tmp_path, '[env]\nA=1\nB=true\nC=1.5\nD=[1,2]\nF=100000.0\nG=0.00001\nH={z=1,a="x"}\n')
    assert config.env == {
        "A": "1",
        "B": "true",
        "C": "1.5",
        "D": "[1 2]",
        "F": "100000",
        "G": "1e-05",
        "H": "map[a:x z:1]",
    }


def test_old_processes_and_single_tables_are_read(tmp_path: Path) -> None:
    config = read_text(
        tmp_path,
        '[[processes]]\nname = "web"\ncommand = "run"\n[services]\ninternal_port = 8080.0\n'
        "[[services.ports]]\nport = 80.0\n",
    )
    assert config.processes == {"web": "run"}
    assert config.services == (Service(8080, ports=(Port(80, 80),)),)


def test_what_flyctl_calls_valid_is_read_even_when_nothing_could_run_from_it(tmp_path: Path) -> None:
    config = read_text(
        tmp_path,
        'app = "Bad_Name!"\nkill_signal = "SIGFOO"\n[http_service]\n[[services]]\n'
        '[[services]]\nprotocol = "icmp"\n[[services.ports]]\nhandlers = ["htp"]\n',
    )
    assert config.services[0].internal_port == 0
    assert config.services[1] == Service(0, "icmp", (Port(0, 0, ("htp",)),))
    assert len(config.services) == 2, "an empty [[services]] is dropped"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("app = 5", "app: expected a string, got 5"),
        (
            '[http_service]\ninternal_port = "8080"',
            "http_service.internal_port: expected an integer, got the string '8080'",
        ),
        ("[http_service]\ninternal_port = 8080.5", "http_service.internal_port: expected an integer, got 8080.5"),
        (
            "[http_service]\ninternal_port = true",
            "http_service.internal_port: expected an integer, got the boolean true",
        ),
        (
            '[http_service]\nforce_https = "yes"',
            "http_service.force_https: expected true or false, got the string 'yes'",
        ),
        (
            "[http_service]\nauto_stop_machines = 1",
            (
                "http_service.auto_stop_machines: autostop value is not a valid bool or string; "
                'expected true, false, "off", "stop" or "suspend"'
            ),
        ),
        (
            '[[services]]\nauto_stop_machines = "Stop"',
            (
                'services[0].auto_stop_machines: invalid autostop string value "Stop"; '
                'expected true, false, "off", "stop" or "suspend"'
            ),
        ),
        (
            '[http_service]\nconcurrency = "1,2"',
            "http_service.concurrency: expected a table, got the string '1,2'",
        ),
        (
            '[[services]]\nconcurrency = "20"',
            "services[0].concurrency: expected a table, or \"soft,hard\", got the string '20'",
        ),
        (
            '[[services]]\ninternal_port = "abc"',
            "services[0].internal_port: expected an integer, got the string 'abc'",
        ),
        ("[[services]]\ninternal_port = ' 80'", "services[0].internal_port: expected an integer, got the string ' 80'"),
        (
            '[[services]]\n[[services.ports]]\nport = 1\n[[services.ports]]\nhandlers = "http"',
            "services[0].ports[1].handlers: expected an array of strings, got the string 'http'",
        ),
        ("app = 'x'\nhttp_service = [{}]", "http_service: expected a table, got an array of tables"),
        ('services = "x"', "services: expected an array of tables, got the string 'x'"),
        ("kill_signal = 15", "kill_signal: expected a string, got 15"),
        ('env = "x"', "env: expected a table, got the string 'x'"),
        ('[processes]\nweb = ["a"]', "processes.web: expected a command as a string, got an array"),
        ('build = "x"', "build: expected a table, got the string 'x'"),
        ('vm = "x"', "vm: expected an array of tables, got the string 'x'"),
        (
            "[[services]]\n[services.ports]\nstart_port = '1'",
            "services[0].ports[0].start_port: expected an integer, got the string '1'",
        ),
        ("app = 'x'\nrestart = { policy = 'never' }", "restart: expected an array of tables, [[restart]], got a table"),
        (
            "[http_service]\nchecks = { path = '/' }",
            "http_service.checks: expected an array of tables, got a table",
        ),
        ("\nchecks = [{ type = 'tcp' }]", "checks[0].name: expected the name of the check as a string, got None"),
        ("[[services]]\nprocesses = [1]", "services[0].processes: expected an array of strings, got an array"),
    ],
)
def test_a_wrong_type_names_file_line_key_what_was_expected_and_what_came(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(FlyTomlError) as caught:
        read_text(tmp_path, text)
    line = text.count("\n") + 1  # the mistake is in the last one
    assert str(caught.value) == f"{tmp_path / 'fly.toml'}:{line}: {words}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("app = \n", 1),
        ('app = "a"\nb = = 1\n', 2),
        ('app = "a"\napp = "b"\n', 2),
        ("[env\n", 1),
        ('app = "open', 1),
        ("a = [1,\n", 2),
    ],
)
def test_a_syntax_error_names_line_and_column(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(FlyTomlError) as caught:
        read_text(tmp_path, text)
    assert f"fly.toml:{line}: not TOML: " in str(caught.value), caught.value
    assert " (column " in str(caught.value), caught.value


def test_bytes_that_are_not_utf_8_are_named_by_their_place(tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_bytes(b'app = "a"\nb = "\xff"\n')
    with pytest.raises(FlyTomlError, match=r"fly\.toml:2: not TOML: .* not UTF-8 \(column 6\)"):
        read(tmp_path / "fly.toml")


def test_restart_policies_are_read_with_their_place(tmp_path: Path) -> None:
    config = read_text(
        tmp_path, '[[restart]]\npolicy = "always"\nprocesses = ["web"]\n[[restart]]\npolicy = "no"\nretries = 3\n'
    )
    assert config.restarts == (Restart("always", None, ("web",)), Restart("no", 3))
    assert config.place(f"{config.restarts[1].where}.policy") == f"{config.path}:5: restart[1].policy"


def test_checks_are_read_as_flyctl_reads_them(tmp_path: Path) -> None:
    config = read_text(
        tmp_path,
        """
        [http_service]
        internal_port = 8080
        [[http_service.checks]]
        interval = 10000000000
        headers = { X-Ask = "yes" }
        [[services]]
        internal_port = 1848
        processes = ["app"]
        ports = [{ port = 1848 }]
        [services.tcp_checks]
        interval = 20000
        timeout = ""
        grace_period = false
        [[services.http_checks]]
        headers = [{ name = "X-Try", value = 1 }]
        [checks.Alive]
        type = "tcp"
        interval = "1m30s"
        """,
    )
    assert config.checks == (
        HealthCheck("http", 8080, "", (80, 443), interval_seconds=10, headers=(("X-Ask", "yes"),)),
        HealthCheck("tcp", 1848, "", (1848,), interval_seconds=20, processes=("app",)),
        HealthCheck("http", 1848, "", (1848,), headers=(("X-Try", "1"),), processes=("app",)),
        HealthCheck("tcp", 8080, "Alive", interval_seconds=90),
    )
    assert [config.lines.line_of(check.where) for check in config.checks] == [4, 11, 15, 17]
