"""Measure every claim against its peer in one run: `python -m tests.bench`.

The table goes to stdout, progress to stderr.  Exit status: 0 measured (whether a target is met or not), 2 usage,
3 something has become worse since the run of --compare, 130 Ctrl-C, after printing what there is.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import cores, record, report
from tests.bench.chart import chart
from tests.bench.compare import regressions
from tests.bench.facts import differing, facts
from tests.bench.measuring import Interrupted, measured
from tests.bench.page import page_of
from tests.bench.row import BenchError
from tests.bench.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.row import Result, Row

ROUNDS, QUICK_ROUNDS = 10, 3
WORSE, INTERRUPTED = 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return the exit status."""
    rows = all_rows()
    parser = _parser(rows)
    asked = parser.parse_args(arguments)
    if asked.list:
        print("\n".join(f"{row.name:<20} {row.title}{' (only when named)' * row.asked}" for row in rows.values()))
        return 0
    try:
        before = record.read(asked.compare.read_text(), str(asked.compare)) if asked.compare else None
    except (OSError, UnicodeDecodeError, BenchError) as error:
        parser.error(f"--compare: {error}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: no server is left behind
    cores.stay_with_the_clients()
    found = facts()
    results, interrupted = _measure([rows[name] for name in dict.fromkeys(asked.row)] or _usual(rows), asked.rounds)
    found["load after"] = f"{os.getloadavg()[0]:.1f}"
    print(f"{report.heading(found)}\n\n{report.table(results)}")
    if asked.json:
        asked.json.write_text(record.as_json(results, found))
    if asked.svg:
        asked.svg.write_text(chart(results, found))
    if asked.write:
        asked.write.write_text(page_of(results, found))
    worse = before is not None and _worse(results, found, before)
    return INTERRUPTED if interrupted else WORSE if worse else 0


def _usual(rows: Mapping[str, Row]) -> list[Row]:
    return [row for row in rows.values() if not row.asked]


def _measure(rows: Sequence[Row], rounds: int) -> tuple[list[Result], bool]:
    results: list[Result] = []
    try:
        for row in rows:
            results += [measured(row, row.rounds or rounds, _tell)]
    except Interrupted as stopped:
        return [*results, stopped.result], True
    except KeyboardInterrupt:  # between two rows
        return results, True
    finally:
        _tell("")
    return results, False


def _worse(results: Sequence[Result], found: dict[str, str], before: record.Saved) -> bool:
    if other := differing(found, before.facts):
        print(f"\nthe saved run is of another machine: {'; '.join(other)}")
    worse = regressions(results, before.figures)
    print("\n" + ("\n".join(f"worse: {each}" for each in worse) or "nothing has become worse beyond the noise"))
    return bool(worse)


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
    elif line:
        print(line, file=sys.stderr, flush=True)


def _parser(rows: dict[str, Row]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--list", action="store_true", help="print the rows and measure nothing")
    add("--row", action="append", default=[], choices=rows, metavar="NAME", help="only this row (repeat)")
    add("--rounds", type=_count, default=ROUNDS, metavar="N", help=f"rounds a row (default: {ROUNDS})")
    quick = f"--rounds {QUICK_ROUNDS}: to see that it works, not to quote"
    add("--quick", dest="rounds", action="store_const", const=QUICK_ROUNDS, help=quick)
    add("--json", type=_writable, metavar="FILE", help="write the run, which --compare reads")
    add("--svg", type=_writable, metavar="FILE", help="write a picture of the rows that have a target")
    add("--write", type=_writable, metavar="FILE", help="write the run as a page")
    add("--compare", type=Path, metavar="FILE", help="name what is worse than in this run, beyond the noise; exit 3")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)


def _writable(text: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file in a directory that is there, got {text!r}")
    return path


if __name__ == "__main__":
    sys.exit(main())
