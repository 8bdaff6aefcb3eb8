"""Every setting is an environment variable and a row of `SETTINGS`; the row parses it, explains it and documents it.

Read before the ports are bound, so it imports nothing: dataclasses alone would cost 8 ms of every cold start.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs milliseconds before the bind
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    Kind = tuple[str, Callable[[str], object]]

_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_PATH_CHARACTERS = _HOST_CHARACTERS | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ~")
_OUR_PATHS = ("_", "api", "flycast-probe.pyz", "healthz", "static", "whoami")


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


def _port_or_off(text: str) -> int | None:
    return None if text == "off" else _port(text)


def _switch(text: str) -> bool:
    return bool(_whole(text, 1))


def _seconds(text: str) -> float:
    whole, point, fraction = text.partition(".")
    if _whole(whole, 300) == 300 and fraction.strip("0"):  # noqa: PLR2004 - Fly's highest kill_timeout
        raise ValueError(text)
    return float(text) if point and _whole(fraction, 999) else float(whole)


def _long_seconds(text: str) -> int:
    return _whole(text, 86400)


def _networks(text: str) -> tuple[str, ...]:
    from ipaddress import IPv6Network, ip_network  # noqa: PLC0415 - only for who sets it

    six_pn = IPv6Network("fdaa::/16")
    networks = [ip_network(part.strip()) for part in text.split(",")]
    if any(isinstance(network, IPv6Network) and network.overlaps(six_pn) for network in networks):
        raise ValueError(text)
    return tuple(map(str, networks))


def _one_of(*words: str) -> Kind:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return f"{', '.join(words[:-1])} or {words[-1]}", parse


def _on(text: str) -> bool:
    if text not in {"on", "off"}:
        raise ValueError(text)
    return text == "on"


def _token(text: str) -> str:
    if not (16 <= len(text) <= 512 and text.isascii() and text.isprintable() and " " not in text):  # noqa: PLR2004 - below
        raise ValueError(text)
    return text


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(part.strip().lower().rstrip(".") for part in text.split(","))
    if not all(host and set(host) <= _HOST_CHARACTERS for host in hosts):
        raise ValueError(text)
    return hosts


def _in_module(text: str) -> tuple[str, str]:
    module, _, name = text.partition(":")
    if not all(word.isidentifier() for word in (*module.split("."), name)):
        raise ValueError(text)
    return module, name


def _path(text: str) -> str:
    if text == "/":
        return text
    before, *words, after = text.split("/")
    if before or after or not words or words[0] in _OUR_PATHS:
        raise ValueError(text)
    if not all(word.strip(".") and set(word) <= _PATH_CHARACTERS for word in words):
        raise ValueError(text)
    return text


class Setting:
    """One environment variable: how it is read and what it is for; without a default it may be left unset."""

    __slots__ = ("default", "expected", "meaning", "name", "parse", "secret")

    def __init__(self, name: str, kind: Kind, default: str | None, meaning: str, *, secret: bool = False) -> None:
        self.name = name
        self.expected, self.parse = kind
        self.default = default
        self.meaning = meaning
        self.secret = secret

    def problem(self, text: str) -> str:
        """Return the line that says why `text` cannot be used, which never shows a secret."""
        came = f"a value of {len(text)} characters (not shown)" if self.secret else repr(text)
        return f"{self.name}: expected {self.expected}, got {came}"


PORT = ("a port, 0 to 65535", _port)
PORT_OR_OFF = ("a port, 0 to 65535, or off", _port_or_off)
SWITCH = ("1 or 0", _switch)
SECONDS = ("seconds like 8 or 0.5, 0 to 300, three decimals at most", _seconds)
LONG_SECONDS = ("whole seconds, 0 to 86400", _long_seconds)
NETWORKS = ("networks like 172.16.0.0/12 (its first address), separated by commas, none in fdaa::/16", _networks)
TOKEN = ("16 to 512 printable ASCII characters, no spaces", _token)
HOSTS = ("host names, separated by commas", _hosts)
ON = ("on or off", _on)
FACTORY = ("module:factory", _in_module)
HANDLER = ("module:handler", _in_module)
CHECK = ("module:check", _in_module)
PATH = (f"/, or a path like /app/ that does not begin with {', '.join(_OUR_PATHS)}", _path)

SETTINGS = (
    Setting("PORT", PORT, "8080", "admin HTTP listener; 0 = any free port"),
    Setting("HELLO_PORT", PORT_OR_OFF, "1848", "raw TCP listener; 0 = any free port, off = none"),
    Setting(
        "METRICS_PORT", PORT_OR_OFF, "9091", "Prometheus text, over 6PN and ::1 only; 0 = any free port, off = none"
    ),
    Setting("ADMIN_TOKEN", TOKEN, None, "secret for actions; unset = the panel is read-only", secret=True),
    Setting(
        "PRIVATE_ONLY", SWITCH, "1", "1 = refuse callers through a public address, and on Fly callers of unknown origin"
    ),
    Setting("PLATFORM_NETWORKS", NETWORKS, "172.16.0.0/12", "Fly's host side: peers whose Fly-Client-IP is believed"),
    Setting("ALLOWED_HOSTS", HOSTS, None, "public names a browser may call this by, beside .flycast and .internal"),
    Setting("HELLO_PROXY_PROTOCOL", ON, "off", "on = expect Fly Proxy's PROXY preface on the hello port"),
    Setting("DRAIN_SECONDS", SECONDS, "8", "finish in-flight work after a signal; keep it below kill_timeout"),
    Setting("IDLE_EXIT_SECONDS", LONG_SECONDS, "0", "leave or suspend after this long with no work; 0 = never"),
    Setting("IDLE_ACTION", _one_of("exit", "suspend"), "exit", "what to do then"),
    Setting("APP", FACTORY, None, "your own aiohttp application"),
    Setting("APP_PATH", PATH, "/app/", "where APP is mounted; / = everywhere, and the panel moves to /_/"),
    Setting("RAW", HANDLER, None, "your own handler of the raw port; unset = it says hello"),
    Setting("AUTH", CHECK, None, "your own check of who may use the admin listener; /healthz asks nobody"),
    Setting("LOG_FORMAT", _one_of("auto", "text", "json"), "auto", "auto = text on a terminal, JSON lines otherwise"),
)


class Config:
    """What the environment asked for; read once, never changed."""

    port: int
    hello_port: int | None
    metrics_port: int | None
    admin_token: str | None
    private_only: bool
    platform_networks: tuple[str, ...]
    allowed_hosts: tuple[str, ...] | None
    hello_proxy_protocol: bool
    drain_seconds: float
    idle_exit_seconds: int
    idle_action: str
    app: tuple[str, str] | None
    raw: tuple[str, str] | None
    app_path: str
    auth: tuple[str, str] | None
    log_format: str

    def __init__(self, values: Mapping[str, object]) -> None:
        vars(self).update({name.lower(): value for name, value in values.items()})

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
            problems.append(setting.problem(text))
    problems += _ports_taken_twice(values)
    if problems:
        raise ConfigError(problems)
    return Config(values)


def _default(setting: Setting) -> object:
    if setting.default is None or setting.parse is _networks:  # the parser of networks would import ipaddress
        return setting.default and (setting.default,)
    return setting.parse(setting.default)


def _ports_taken_twice(values: Mapping[str, object]) -> list[str]:
    problems = []
    taken: dict[object, str] = {}
    for name in ("PORT", "HELLO_PORT", "METRICS_PORT"):
        port = values.get(name)
        if port in taken:
            problems.append(f"{name}: expected another port than {taken[port]}, got {str(port)!r}")
        elif port:
            taken[port] = name
    return problems


def usage() -> str:
    """Return the text of `--help`: every setting with its default and what it expects."""
    rows = (f"  {it.name:<20} {it.meaning}\n{'':<23}{it.expected}; default {it.default or 'unset'}" for it in SETTINGS)
    return "\n".join(
        [
            "usage: private-svc [--help | --version]",
            "",
            "Settings are environment variables:",
            "",
            *rows,
            "",
            "SIGINT or SIGTERM drains and exits 0; a second signal exits at once with 128 + its number.",
            "Exit status 1: a port could not be bound, or a part of the service failed.",
            "Exit status 2: a setting, an option, APP, RAW or AUTH cannot be used.",
        ]
    )
