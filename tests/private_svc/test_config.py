from __future__ import annotations

import pytest

from private_svc import config

BAD = {
    "PORT": ["", "-1", "65536", "80 ", "1_000", "٣", "http", "0x50", "8080.0", "9" * 5000],
    "HELLO_PORT": ["", "-1", "65536", "+1", "Off"],
    "METRICS_PORT": ["", "-1", "65536", "none"],
    "ADMIN_TOKEN": ["", "short", "with a space in it", "x" * 15, "x" * 513, "sixteen chars \t..", "é" * 20],
    "PRIVATE_ONLY": ["", "2", "yes", "true", "-1"],
    "PLATFORM_NETWORKS": ["", "172.16.0.0/12,", "172.16.0.1/12", "fdaa::/16", "::/0", "fdaa:0:18::/48", "host"],
    "ALLOWED_HOSTS": ["", "a,,b", "http://a", "a:80", "*.example.com"],
    "HELLO_PROXY_PROTOCOL": ["", "1", "yes", "On"],
    "DRAIN_SECONDS": ["", "-1", "301", "300.5", "nan", "inf", "1e2", "1.", ".5", "8s"],
    "IDLE_EXIT_SECONDS": ["", "-1", "1.5", "86401"],
    "IDLE_ACTION": ["", "stop", "Exit"],
    "APP": ["", "module", ":factory", "module:", "a-b:c", "a:b:c", "a.b:c d"],
    "APP_PATH": [
        "",
        "app",
        "/app",
        "app/",
        "//",
        "/app//x/",
        "/./",
        "/a/../",
        "/a b/",
        "/a%20b/",
        "/a?b/",
        "/{a}/",
        "/é/",
        "/_/",
        "/api/",
        "/api/mine/",
        "/static/",
        "/whoami/",
        "/healthz/",
        "/flycast-probe.pyz/",
    ],
    "RAW": ["", "module", ":handler", "module:", "a-b:c"],
    "AUTH": ["", "module", ":check", "module:", "a:b:c"],
    "LOG_FORMAT": ["", "JSON", "xml"],
}


def test_without_variables_the_defaults_of_the_design_hold() -> None:
    settings = config.read({})
    values = vars(settings)
    assert values == {
        "port": 8080,
        "hello_port": 1848,
        "metrics_port": 9091,
        "admin_token": None,
        "private_only": True,
        "platform_networks": ("172.16.0.0/12",),
        "allowed_hosts": None,
        "hello_proxy_protocol": False,
        "drain_seconds": 8.0,
        "idle_exit_seconds": 0,
        "idle_action": "exit",
        "app": None,
        "raw": None,
        "app_path": "/app/",
        "auth": None,
        "log_format": "auto",
    }


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
def test_a_bad_value_is_named_with_what_was_expected_and_what_came(name: str, value: str) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.read({name: value})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{name}: expected ")
    if name == "ADMIN_TOKEN":
        assert problem.endswith(f", got a value of {len(value)} characters (not shown)"), "a secret is never shown"
    else:
        assert problem.endswith(f", got {value!r}")
    assert "\n" not in problem


def test_every_bad_value_is_reported_at_once() -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.read({name: values[-1] for name, values in BAD.items()})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == list(BAD)


def test_every_setting_has_bad_values_in_this_file() -> None:
    assert {setting.name for setting in config.SETTINGS} == set(BAD)


def test_every_port_is_accepted_and_no_other() -> None:
    others = {"HELLO_PORT": "0", "METRICS_PORT": "0"}
    assert [config.read({"PORT": str(port)} | others).port for port in range(65536)] == list(range(65536))


def test_ports_that_are_taken_twice_are_told_with_everything_else() -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.read({"PORT": "80", "HELLO_PORT": "80", "METRICS_PORT": "80", "LOG_FORMAT": "xml"})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "LOG_FORMAT",
        "HELLO_PORT",
        "METRICS_PORT",
    ]


def test_two_listeners_cannot_share_a_port_unless_the_kernel_chooses() -> None:
    with pytest.raises(config.ConfigError, match="HELLO_PORT: expected another port than PORT, got '1848'"):
        config.read({"PORT": "1848"})
    with pytest.raises(config.ConfigError, match="METRICS_PORT: expected another port than HELLO_PORT, got '9091'"):
        config.read({"HELLO_PORT": "9091"})
    assert config.read({"PORT": "0", "HELLO_PORT": "0", "METRICS_PORT": "0"}).port == 0
    settings = config.read({"HELLO_PORT": "off", "METRICS_PORT": "off"})
    assert (settings.hello_port, settings.metrics_port) == (None, None)


@pytest.mark.parametrize("setting", config.SETTINGS, ids=lambda setting: setting.name)
def test_the_default_of_a_setting_can_be_used_and_help_shows_it(setting: config.Setting) -> None:
    given = {} if setting.default is None else {setting.name: setting.default}
    config.read({"PORT": "1", "HELLO_PORT": "2", "METRICS_PORT": "3"} | given)
    assert setting.name in config.usage()
    assert f"{setting.expected}; default {setting.default or 'unset'}\n" in config.usage()


@pytest.mark.parametrize("path", ["/", "/app/", "/shop/admin/", "/~me/v1.2/", "/apiary/"])
def test_an_application_may_be_mounted_wherever_nothing_of_ours_is(path: str) -> None:
    assert config.read({"APP_PATH": path}).app_path == path


def test_drain_seconds_may_have_a_fraction() -> None:
    assert config.read({"DRAIN_SECONDS": "2.25"}).drain_seconds == 2.25
    assert config.read({"DRAIN_SECONDS": "0.05"}).drain_seconds == 0.05


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="frozen"):
        config.read({}).port = 1
