"""Every setting is an environment variable and a row of `SETTINGS`; the row parses it, explains it and documents it.

Read before the ports are bound, so it imports nothing: dataclasses alone would cost 8 ms of every cold start.
Source: DESIGN "private_svc".
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs milliseconds before the bind
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn


class ConfigError(Exception):
    """Some settings cannot be used; `problems` holds one line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _whole(text: str, highest: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(highest)) and int(text) <= highest):
        raise ValueError(text)
    return int(text)


def _port(text: str) -> int:
    return _whole(text, 65535)


def _switch(text: str) -> bool:
    return bool(_whole(text, 1))


def _seconds(text: str) -> float:
    whole, point, fraction = text.partition(".")
    seconds = _whole(whole, 300) + (_whole(fraction, 999) / 10 ** len(fraction) if point else 0)
    if seconds > 300:  # noqa: PLR2004 - Fly's highest kill_timeout
        raise ValueError(text)
    return float(seconds)


def _networks(text: str) -> tuple[str, ...]:
    from ipaddress import IPv6Network, ip_network  # noqa: PLC0415 - only for who sets it

    six_pn = IPv6Network("fdaa::/16")
    networks = [ip_network(part.strip()) for part in text.split(",")]
    if any(isinstance(network, IPv6Network) and network.overlaps(six_pn) for network in networks):
        raise ValueError(text)
    return tuple(map(str, networks))


def _log_format(text: str) -> str:
    if text not in {"auto", "text", "json"}:
        raise ValueError(text)
    return text


class Setting:
    """One environment variable: how it is read and what it is for."""

    __slots__ = ("default", "example", "expected", "meaning", "name", "parse")

    def __init__(
        self,
        name: str,
        default: str,
        expected: str,
        meaning: str,
        example: str,
        parse: Callable[[str], object],
    ) -> None:
        self.name = name
        self.default = default
        self.expected = expected
        self.meaning = meaning
        self.example = example
        self.parse = parse


SETTINGS = (
    Setting("PORT", "8080", "a port, 0 to 65535", "admin HTTP listener; 0 = any free port", "9000", _port),
    Setting("HELLO_PORT", "1848", "a port, 0 to 65535", "raw TCP hello listener; 0 = any free port", "0", _port),
    Setting("PRIVATE_ONLY", "1", "1 or 0", "1 = refuse what came in through a public address", "0", _switch),
    Setting(
        "PLATFORM_NETWORKS",
        "172.16.0.0/12",
        "networks like 172.16.0.0/12, separated by commas, none in fdaa::/16",
        "peers that are Fly's host side, whose Fly-Client-IP is believed",
        "172.16.0.0/16,172.19.0.0/16",
        _networks,
    ),
    Setting(
        "DRAIN_SECONDS",
        "8",
        "seconds, 0 to 300",
        "finish in-flight work after SIGINT or SIGTERM; keep it below kill_timeout",
        "2.5",
        _seconds,
    ),
    Setting(
        "LOG_FORMAT",
        "auto",
        "auto, text or json",
        "auto = text on a terminal, JSON lines otherwise",
        "json",
        _log_format,
    ),
)


class Config:
    """What the environment asked for; read once, never changed."""

    __slots__ = ("drain_seconds", "hello_port", "log_format", "platform_networks", "port", "private_only")

    port: int
    hello_port: int
    private_only: bool
    platform_networks: tuple[str, ...]
    drain_seconds: float
    log_format: str

    def __init__(self, values: Mapping[str, object]) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, values[name.upper()])

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Config is frozen: {name} stays as it was read")


def read(environ: Mapping[str, str]) -> Config:
    """Return the settings in `environ`; raise `ConfigError` naming every one that cannot be used."""
    values: dict[str, object] = {}
    problems = []
    for setting in SETTINGS:
        text = environ.get(setting.name)
        if text is None:
            values[setting.name] = _default(setting)
            continue
        try:
            values[setting.name] = setting.parse(text)
        except ValueError:
            problems.append(f"{setting.name}: expected {setting.expected}, got {text!r}")
    if not problems and values["PORT"] == values["HELLO_PORT"] != 0:
        problems.append(f"HELLO_PORT: expected another port than PORT, got {str(values['PORT'])!r}")
    if problems:
        raise ConfigError(problems)
    return Config(values)


def _default(setting: Setting) -> object:
    return (setting.default,) if setting.parse is _networks else setting.parse(setting.default)


def usage() -> str:
    """Return the text of `--help`: every setting with its default, what it expects and an example."""
    width = max(len(setting.name) for setting in SETTINGS)
    lines = ["usage: private-svc [--help | --version]", "", "Settings are environment variables:", ""]
    for setting in SETTINGS:
        lines += [
            f"  {setting.name:<{width}}  {setting.meaning}",
            f"  {'':<{width}}  expects {setting.expected}; default {setting.default};",
            f"  {'':<{width}}  example {setting.name}={setting.example}",
        ]
    lines += [
        "",
        "SIGINT or SIGTERM drains and exits 0; a second signal exits at once with 128 + its number.",
        "Exit status 1: a port could not be bound. 2: a setting or an option cannot be used.",
    ]
    return "\n".join(lines)
