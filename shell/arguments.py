"""What a word on the command line may be: each reader returns the value or says what was expected and what came."""

from __future__ import annotations

import argparse
import re
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PORT = 65535
_MAX_SECONDS = 86400.0


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes that asks the network."""
    parser.add_argument("--dns", metavar="ADDR[:PORT]", help="nameserver (default: resolv.conf, else fdaa::3)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, with schema_version")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr, only what is wrong")
    parser.add_argument("--no-color", action="store_true", help="no colour (also: NO_COLOR)")


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` to `most`."""

    def read(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,9}", text) and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, got {text!r}")

    return read


def seconds(text: str) -> float:
    """Read a length of time, a day at most."""
    with suppress(ValueError):
        if 0 <= float(text) <= _MAX_SECONDS:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected seconds from 0 to {_MAX_SECONDS:.0f}, got {text!r}")


def timeout_seconds(text: str) -> float:
    """Read the time that something may take: some, and a day at most."""
    with suppress(ValueError):
        if 0 < float(text) <= _MAX_SECONDS:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected more than 0 seconds, {_MAX_SECONDS:.0f} at most, got {text!r}")


def app_name(text: str) -> str:
    """Read the name of an app."""
    from shell.names.grammar import is_app_name  # noqa: PLC0415 - start-up time: --help needs no grammar

    if is_app_name(text):
        return text
    raise argparse.ArgumentTypeError(f"expected the name of an app (a-z, 0-9, -), got {text!r}")


def http_path(text: str) -> str:
    """Read what to GET."""
    if re.fullmatch(r"/[!-~]*", text):
        return text
    raise argparse.ArgumentTypeError(f"expected a path that begins with / and has no spaces, got {text!r}")
