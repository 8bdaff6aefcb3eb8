"""`flycast-lab wireguard`: peers of a lab that is up, with flyctl's arguments in flyctl's order."""

from __future__ import annotations

import getpass
import json
import os
import random
import re
import socket
import sys
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import remote
from lab.errors import UsageError
from lab.wireguard.peers import GENERATED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    Ask = Callable[[dict[str, Any]], dict[str, Any]]

_GATEWAY_SECONDS = 30  # until a restarted one is back
_USABLE = re.compile(r"[A-Za-z0-9_=+.-]{1,15}\.conf")  # by wg-quick; 15 is IFNAMSIZ - 1
_STDOUT = "stdout"  # flyctl's word for it
_COLUMNS = (("NAME", "name"), ("REGION", "region"), ("PEER IP", "peer_ip"))
_WARNING = """\
The output includes a private key, which nobody can recover: who loses it removes the peer and adds it again."""


def do(arguments: argparse.Namespace) -> int:
    """Carry out one verb on the chosen lab; return the exit status."""
    ask = partial(remote.ask, remote.chosen(arguments.lab), timeout_seconds=_GATEWAY_SECONDS)
    request = {"do": "wireguard", "verb": arguments.verb, "organisation": arguments.organisation}
    match arguments.verb:
        case "create":
            return _create(arguments, request, ask)
        case "list":
            return _list(ask(request), as_json=arguments.json)
        case "remove":
            reply = ask({**request, "name": arguments.name})
            print(f"Removed peer {arguments.name!r} of organisation {reply['organisation']}.")
        case _:
            print(f"The WireGuard gateway of organisation {ask(request)['organisation']} has been restarted.")
    return 0


def _create(arguments: argparse.Namespace, request: dict[str, Any], ask: Ask) -> int:
    with _output(arguments.file) as write:
        reply = ask({**request, "region": arguments.region, "name": arguments.name or _generated_name()})
        write(reply["configuration"])
    peer, organisation = reply["peer"], reply["organisation"]
    print(f"Created WireGuard peer {peer['name']!r} in region {peer['region']} for {organisation}.", file=sys.stderr)
    print(_WARNING, file=sys.stderr)
    if arguments.file != _STDOUT:
        print(f"Wrote the configuration to {arguments.file}.{_advice(Path(arguments.file).name)}", file=sys.stderr)
    return 0


def _advice(file_name: str) -> str:
    if _USABLE.fullmatch(file_name):
        return ""
    return " Rename it: wg-quick names the interface after it, and takes at most 15 of a-z A-Z 0-9 _ = + . - and .conf."


@contextmanager
def _output(name: str) -> Iterator[Callable[[str], object]]:
    """Make the file first, as nobody else may read it; without a peer for it there shall be none."""
    if name == _STDOUT:
        yield sys.stdout.write
        return
    try:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"wireguard create: cannot create {name}: {error.strerror}") from None
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            yield file.write
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _generated_name() -> str:
    parts = (socket.gethostname().partition(".")[0], getpass.getuser(), str(random.randrange(1000)))  # noqa: S311 - a name
    return f"{GENERATED}{'-'.join(re.sub('[^a-zA-Z0-9]', '-', part)[:20] for part in parts)}"


def _list(reply: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(reply["peers"], indent=2))
        return 0
    rows = [tuple(title for title, _ in _COLUMNS), *(tuple(p[key] for _, key in _COLUMNS) for p in reply["peers"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0
