"""`python -m tests.fuzz [TARGET...] [--minutes N] [--seed S]`: fuzz for longer than the tests do.

Each target gets its share of the time. An input that breaks one is shortened, kept beside the others, where the tests
find it, and ends that target's turn. Exit status 1 when there was one.
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.fuzz.campaign import run
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Fuzz; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("target", nargs="*", choices=[[], *TARGETS], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=5.0, help="for all targets together (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)), help="to repeat a run; else printed")
    arguments = parser.parse_args()
    names = arguments.target or list(TARGETS)
    print(f"seed {arguments.seed}")
    status = 0
    for name in names:
        done = run(TARGETS[name], arguments.seed, seconds=arguments.minutes * 60 / len(names))
        rate = done.executions / max(done.seconds, 0.001)
        print(f"{name:<16} {done.executions:>9} inputs {rate:>8.0f}/s {done.outcomes:>5} outcomes", flush=True)
        if done.failure is not None:
            status = 1
            print(f"  broken by {done.failure.save()}\n  {done.failure}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
