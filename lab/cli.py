"""The command line of `flycast-lab`: what may be asked, and which part answers."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from lab.errors import LabError, RefusedError, UsageError
from lab.examples import EXAMPLES
from lab.faults import Faults, help_text, parse
from lab.start.rules import DISK_MB

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST_SECONDS, _DAY_SECONDS = 0.01, 86400
_LEAST_DISK_MB, _MOST_DISK_MB = 1, 65536


@dataclass(frozen=True, slots=True)
class LabOptions:
    """How the lab behaves, beside what fly.toml says."""

    autostop_interval_seconds: float
    boot_ms: int
    log_file: TextIO | None
    faults: Faults = field(default_factory=Faults)
    laptop: bool = False
    tunnel: bool = True
    disk_mb: int = DISK_MB
    unsafe: bool = False


class _Parser(argparse.ArgumentParser):
    """A parser that answers a mistake in one line with the way to help."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see '{self.prog} --help'\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _command(None, "flycast-lab", "Fly's private network on one Linux machine.", "")
    commands = parser.add_subparsers(dest="do", metavar="COMMAND", required=True, parser_class=_Parser)

    demo = _command(commands, "demo", "show the whole idea: names, wake, hello, 6PN, autostop", "")
    _add_lab_options(demo, autostop_seconds=2.0)
    _add_unsafe(demo)
    demo.set_defaults(fault=[], laptop=False, no_tunnel=False)
    run = _command(commands, "run", "bring the lab up, run CMD on a shell Machine, tear down", "run")
    _add_lab_options(run, autostop_seconds=300.0)
    _add_faults(run)
    _add_laptop(run)
    _add_unsafe(run)
    _add_program(run)
    up = _command(commands, "up", "stay up and print what happens, as `fly logs` does", "")
    _add_lab_options(up, autostop_seconds=300.0)
    _add_faults(up)
    _add_laptop(up)
    _add_unsafe(up)
    execute = _command(commands, "exec", "run CMD on a Machine of a lab that is up", "exec")
    _add_machine_choice(execute)
    _add_lab_choice(execute)
    _add_program(execute)
    shell = _command(commands, "shell", "open a shell, or CMD, on a terminal of its own in a lab that is up", "shell")
    _add_machine_choice(shell)
    _add_lab_choice(shell)
    _add_program(shell)
    status = _command(commands, "status", "show the apps and Machines of a lab that is up", "")
    status.add_argument("--json", action="store_true", help="as JSON; with --watch one line a change")
    status.add_argument("--watch", action="store_true", help="show every change until Ctrl-C, or the lab's end")
    _add_lab_choice(status)
    machine = _command(commands, "machine", "list, start, stop or suspend the Machines of a lab that is up", "machine")
    verbs = machine.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)
    listing = _command(verbs, "list", "show the Machines", "")
    listing.add_argument("--json", action="store_true", help="as JSON")
    _add_lab_choice(listing)
    for verb in ("start", "stop", "suspend"):
        change = _command(verbs, verb, f"{verb} a Machine", "")
        change.add_argument("id", metavar="ID", help="which Machine, as 'flycast-lab status' shows it")
        _add_lab_choice(change)
    fault = _command(commands, "fault", "switch faults of a lab that is up, and show those that are on", "fault")
    fault.add_argument(
        "faults", metavar="NAME[=VALUE|=off]", nargs="*", help="which fault, as 'flycast-lab up --help' lists them"
    )
    _add_lab_choice(fault)
    _add_wireguard(commands)
    _add_lab_choice(_command(commands, "down", "take down a lab that is up", ""))
    _command(commands, "doctor", "say what this host allows, and how to allow the rest", "")
    return parser


def _command(
    commands: argparse._SubParsersAction[_Parser] | None, name: str, what: str, examples: str
) -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    if commands is None:
        return _Parser(prog=name, description=what, epilog=EXAMPLES[examples], formatter_class=layout)
    epilog = EXAMPLES[examples] if examples else None
    return commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=epilog, formatter_class=layout
    )


def _add_program(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", metavar="-- CMD", nargs=argparse.REMAINDER, help="the program to run")


def _add_machine_choice(parser: argparse.ArgumentParser) -> None:
    which = "which Machine: an id, shell (default), shell.ORG, laptop, laptop.ORG, or internet"
    parser.add_argument("--machine", metavar="ID", default="shell", help=which)
    parser.add_argument("--laptop", dest="machine", action="store_const", const="laptop", help="as --machine laptop")


def _add_laptop(parser: argparse.ArgumentParser) -> None:
    own = "add a laptop on the internet, with a WireGuard tunnel into the lab"
    runs = "; CMD runs on it" if parser.prog.endswith(" run") else "; see 'exec --laptop'"
    parser.add_argument("--laptop", action="store_true", help=own + runs)
    parser.add_argument("--no-tunnel", action="store_true", help="leave its tunnel down, to bring it up yourself")


def _add_unsafe(parser: argparse.ArgumentParser) -> None:
    what = "go on where this host cannot keep an app inside its Machine; for apps that you trust"
    parser.add_argument("--unsafe", action="store_true", help=what)


def _add_wireguard(commands: argparse._SubParsersAction[_Parser]) -> None:
    what = "add, list or remove the WireGuard peers of a lab that is up with --laptop, as 'fly wireguard' does"
    wireguard = _command(commands, "wireguard", what, "laptop")
    verbs = wireguard.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)
    create = _command(verbs, "create", "add a peer and write its configuration", "")
    listing = _command(verbs, "list", "show the peers", "")
    listing.add_argument("--json", action="store_true", help="as JSON")
    remove = _command(verbs, "remove", "remove a peer", "")
    restart = _command(verbs, "restart", "restart the gateway, to see what peers make of it", "")
    remove.add_argument("organisation", metavar="ORG", help="its organisation")
    for verb in (create, listing, restart):
        verb.add_argument("organisation", metavar="ORG", nargs="?", default="", help="default: the first organisation")
    for verb in (create, listing, remove, restart):
        _add_lab_choice(verb)
    create.add_argument("region", metavar="REGION", nargs="?", default="", help="default: where the network's shell is")
    create.add_argument("name", metavar="NAME", nargs="?", default="", help="default: a generated interactive-… name")
    create.add_argument("file", metavar="FILE", nargs="?", default="stdout", help="a new file, or stdout (the default)")
    remove.add_argument("name", metavar="NAME", help="which peer")


def _add_lab_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lab", metavar="PID", type=_whole, help="which lab, when several are up")


def _add_lab_options(parser: argparse.ArgumentParser, autostop_seconds: float) -> None:
    add = parser.add_argument
    add("--config", metavar="FILE", action="append", type=Path, help="a fly.toml (repeat for several apps)")
    add(
        "--org",
        metavar="ORG=FILE",
        action="append",
        default=[],
        help="a fly.toml of an app in another organisation, whose network the others do not see (repeat); "
        "its shell Machine is shell.ORG",
    )
    add(
        "--flycast-in", metavar="APP=ORG", action="append", default=[],
        help="allocate the Flycast address of APP in the network of ORG: it is reached from there alone (repeat)",
    )  # fmt: skip
    add(
        "--command",
        metavar="CMD",
        help="what the Machines run (default: [processes], else the Dockerfile's CMD)",
    )
    add(
        "--image", metavar="[APP=]NAME", action="append", default=[],
        help="run Machines from this image: in the storage of buildah, podman or docker, or oci-archive:FILE "
        "or docker-archive:FILE",
    )  # fmt: skip
    add(
        "--secret", metavar="NAME[=VALUE]", action="append", default=[],
        help="a variable of every app's Machines, as `fly secrets set` makes one; without a value, that of this "
        "environment, which no list of processes shows (repeat)",
    )  # fmt: skip
    add(
        "--scale",
        metavar="N|R=N,…",
        default="1",
        help="Machines, e.g. 2, ams=2,cdg=1, or by process group web:ams=2,worker:1 (default: %(default)s)",
    )
    add(
        "--autostop-interval", metavar="S", type=_seconds, default=autostop_seconds,
        help="seconds between autostop passes (default: %(default)g; on Fly about 300)",
    )  # fmt: skip
    add(
        "--boot-ms",
        metavar="N",
        type=_whole,
        default=0,
        help="add this much to every Machine start (default: 0)",
    )
    add(
        "--disk", metavar="MB", type=_megabytes, default=DISK_MB,
        help="how much a Machine may write to its files, which are kept in memory (default: %(default)s; on Fly 8 GB)",
    )  # fmt: skip
    add("--public", action="store_true", help="also give every app a public address, and a host on the internet")
    add("--log", metavar="FILE", type=Path, help="append every log line to FILE")


def _add_faults(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fault", metavar="NAME[=VALUE]", action="append", default=[], help="switch a fault on (repeat); see below"
    )
    parser.epilog = f"{parser.epilog or ''}\nfaults:\n{help_text()}\n"


def _seconds(text: str) -> float:
    with suppress(ValueError):
        value = float(text)
        if _LEAST_SECONDS <= value <= _DAY_SECONDS:
            return value
    raise argparse.ArgumentTypeError(f"expected seconds from {_LEAST_SECONDS:g} to {_DAY_SECONDS}, got {text!r}")


def _megabytes(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) and _LEAST_DISK_MB <= int(text) <= _MOST_DISK_MB:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected {_LEAST_DISK_MB} to {_MOST_DISK_MB} megabytes, got {text[:99]!r}")


def _whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at most 7 digits, got {text[:99]!r}")
    return int(text)


def main(argv: Sequence[str]) -> int:
    """Do what the command line asks; return the exit status."""
    arguments = build_parser().parse_args(argv)
    if given := getattr(arguments, "secret", []):
        from lab.linux import own_arguments  # noqa: PLC0415 - only this option needs it

        own_arguments.hide(given)  # before the first fork, so that no process of the lab shows a secret
    try:
        return _do(arguments)
    except UsageError as error:
        print(f"flycast-lab: {error}", file=sys.stderr)
        return 2
    except RefusedError as error:
        print(f"flycast-lab: the host refused {error}; see 'flycast-lab doctor'", file=sys.stderr)
        return 1
    except LabError as error:
        print(f"flycast-lab: {error}", file=sys.stderr)
        return 1


def _do(arguments: argparse.Namespace) -> int:
    match arguments.do:
        case "doctor":
            _require_netlink()
            from lab import doctor  # noqa: PLC0415 - each command loads what it needs

            return doctor.report(sys.stdout)
        case "wireguard":
            from lab.wireguard import command  # noqa: PLC0415

            return command.do(arguments)
        case "exec" | "shell" | "status" | "machine" | "fault" | "down":
            from lab import remote  # noqa: PLC0415

            return remote.do(arguments)
        case _:
            return _bring_up(arguments)


def _bring_up(arguments: argparse.Namespace) -> int:
    _require_netlink()
    public = arguments.public or arguments.do == "demo"
    from lab import apps  # noqa: PLC0415

    faults = parse(arguments.fault)
    given = apps.given_apps(arguments.config, arguments.org)
    topology = apps.read_topology(
        given, arguments.command, arguments.scale,
        public=public, flycast_in=apps.flycast_places(arguments.flycast_in), images=arguments.image,
        secrets=apps.secrets_from(arguments.secret, os.environ),
    )  # fmt: skip
    _require_tunnel(arguments)
    options = LabOptions(
        arguments.autostop_interval, arguments.boot_ms, _opened_log(arguments.log), faults,
        laptop=arguments.laptop, tunnel=not arguments.no_tunnel,
        disk_mb=arguments.disk, unsafe=arguments.unsafe or _shows_the_blueprint(arguments),
    )  # fmt: skip
    from lab import session  # noqa: PLC0415

    if arguments.do == "demo":
        return session.demo(topology, options)
    if arguments.do == "up":
        return session.up(topology, options)
    return session.run(topology, options, program_of(arguments))


def _shows_the_blueprint(arguments: argparse.Namespace) -> bool:
    """Tell whether this is the demo of the blueprint's own service, which may run where nothing is isolated."""
    own, files = Path(__file__).resolve().parents[1] / "fly.toml", arguments.config or [Path("fly.toml")]
    of_others = arguments.org or arguments.image or arguments.command
    return arguments.do == "demo" and not of_others and all(file.resolve() == own for file in files)


def _require_netlink() -> None:
    """Say how to install what only the lab needs; importing it here would slow every command down."""
    if importlib.util.find_spec("pyroute2") is None:
        raise LabError("the lab needs pyroute2, which is not installed: pip install 'flycast-private-service[lab]'")


def _require_tunnel(arguments: argparse.Namespace) -> None:
    if arguments.no_tunnel and not arguments.laptop:
        raise UsageError("--no-tunnel: expected --laptop beside it; without a laptop there is no tunnel")
    if arguments.laptop:
        from lab.wireguard.need import missing  # noqa: PLC0415

        if reason := missing():
            raise LabError(f"--laptop: no WireGuard tunnel can be had here: {reason}")


def program_of(arguments: argparse.Namespace, default: Sequence[str] = ()) -> list[str]:
    """Return the program after `--`, else `default`; raise `UsageError` when there is neither."""
    program: list[str] = arguments.program
    if program[:1] == ["--"]:
        program = program[1:]
    program = program or list(default)
    if not program:
        raise UsageError(f"{arguments.do}: expected a program, as in 'flycast-lab {arguments.do} -- bash'")
    return program


def _opened_log(path: Path | None) -> TextIO | None:
    if path is None:
        return None
    from lab.streams import queued  # noqa: PLC0415 - each command loads what it needs

    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        return queued(os.open(path, flags | os.O_NONBLOCK, 0o666))  # else a FIFO would wait here for its reader
    except OSError as error:
        if path.is_fifo():
            raise UsageError(f"--log: nobody reads {path}; start its reader first, e.g. cat {path}") from None
        raise UsageError(f"--log: cannot write {path}: {error.strerror}") from None
