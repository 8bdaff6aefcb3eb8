"""The lab under random faults and load, every invariant watched all the time.

usage: python -m tests.lab.soak [--minutes N | --hours N] [--seed S] [--json FILE]
Exits 0 when every invariant held, 1 with the history of the last seconds when one did not, 130 after Ctrl-C.
The same seed gives the same faults at the same times.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.soak.clients import ClientEndedError
from tests.lab.soak.run import NoLabError, soak

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_MINUTES = 5.0
SEEDS = 10**6


def main(argv: Sequence[str]) -> int:
    """Soak, print what came of it, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.soak", description=(__doc__ or "").splitlines()[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=_positive, default=DEFAULT_MINUTES, metavar="N", help="default: 5")
    length.add_argument("--hours", type=_positive, metavar="N")
    parser.add_argument("--seed", type=int, metavar="S", help="default: a new one, printed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the report as JSON")
    arguments = parser.parse_args(argv)
    seconds = arguments.hours * 3600 if arguments.hours else arguments.minutes * 60
    seed = random.randrange(SEEDS) if arguments.seed is None else arguments.seed  # noqa: S311 - it is printed
    if arguments.json:
        try:
            arguments.json.touch()
        except OSError as error:
            parser.error(f"--json: cannot write {arguments.json}: {error.strerror}")
    print(f"seed {seed}, {seconds:g} s of load", flush=True)
    try:
        report = soak(seed, seconds)
    except (NoLabError, ClientEndedError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    print("\n".join(report.lines()))
    if arguments.json:
        arguments.json.write_text(json.dumps(report.values(), indent=2) + "\n", encoding="utf-8")
    if report.violations:
        return 1
    return 130 if report.interrupted else 0


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < SEEDS:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
