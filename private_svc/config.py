"""Every setting is an environment variable and a row of `SETTINGS`; the row parses it, explains it and documents it.

Read before the ports are bound, so it imports nothing: dataclasses alone would cost 8 ms of every cold start.
Source: DESIGN "private_svc".
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs milliseconds before the bind
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    Kind = tuple[str, Callable[[str], object]]


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
    if _whole(whole, 300) == 300 and fraction.strip("0"):  # noqa: PLR2004 - Fly's highest kill_timeout
        raise ValueError(text)
    return float(text) if point and _whole(fraction, 999) else float(whole)


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

    __slots__ = ("default", "expected", "meaning", "name", "parse")

    def __init__(self, name: str, kind: Kind, default: str, meaning: str) -> None:
        self.name = name
        self.expected, self.parse = kind
        self.default = default
        self.meaning = meaning


PORT = ("a port, 0 to 65535", _port)
SWITCH = ("1 or 0", _switch)
SECONDS = ("seconds, 0 to 300", _seconds)
NETWORKS = ("networks like 172.16.0.0/12, separated by commas, none in fdaa::/16", _networks)
LOG_FORMAT = ("auto, text or json", _log_format)

SETTINGS = (
    Setting("PORT", PORT, "8080", "admin HTTP listener; 0 = any free port"),
    Setting("HELLO_PORT", PORT, "1848", "raw TCP hello listener; 0 = any free port"),
    Setting("PRIVATE_ONLY", SWITCH, "1", "1 = refuse what came in through a public address"),
    Setting("PLATFORM_NETWORKS", NETWORKS, "172.16.0.0/12", "Fly's host side: peers whose Fly-Client-IP is believed"),
    Setting("DRAIN_SECONDS", SECONDS, "8", "finish in-flight work after a signal; keep it below kill_timeout"),
    Setting("LOG_FORMAT", LOG_FORMAT, "auto", "auto = text on a terminal, JSON lines otherwise"),
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
    """Return the text of `--help`: every setting with its default and what it expects."""
    rows = (f"  {it.name:<18} {it.meaning}\n{'':<21}{it.expected}; default {it.default};" for it in SETTINGS)
    return "\n".join(
        [
            "usage: private-svc [--help | --version]",
            "",
            "Settings are environment variables:",
            "",
            *rows,
            "",
            "SIGINT or SIGTERM drains and exits 0; a second signal exits at once with 128 + its number.",
            "Exit status 1: a port could not be bound. 2: a setting or an option cannot be used.",
        ]
    )
