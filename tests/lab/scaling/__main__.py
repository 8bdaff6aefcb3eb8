"""Measure how time and memory grow with numbers: `python -m tests.lab.scaling [--what WHAT] [--write FILE] …`.

What is not measured anew is taken from --read, so that the page can be made again in another wording, or one part of
it measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.scaling.chart import chart_of
from tests.lab.scaling.load import most
from tests.lab.scaling.page import page_of
from tests.lab.scaling.series import Point, Series
from tests.lab.scaling.subjects import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA_VERSION = 1
ROUNDS = 3


def main(argv: Sequence[str]) -> None:
    """Measure what is asked for, print it, write what is asked for."""
    options = _options(argv)
    known = _read(options.read) if options.read else {}
    wanted = options.what or ([] if options.read else list(SUBJECTS))
    for what in wanted:
        known[what] = _measured(what, options.rounds, options.most)
        if options.json:
            options.json.write_text(_record(_in_order(known)))  # what was measured is kept, whatever comes
    measured = _in_order(known)
    for file, text in ((options.json, _record), (options.svg, chart_of), (options.write, page_of)):
        if file:
            file.write_text(text(measured))


def _in_order(known: Mapping[str, Series]) -> list[Series]:
    return [known[what] for what in SUBJECTS if what in known]


def _record(measured: Sequence[Series]) -> str:
    record = {"schema_version": SCHEMA_VERSION, "series": [series.as_json() for series in measured]}
    return json.dumps(record, indent=1) + "\n"


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.scaling", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--what", action="append", choices=list(SUBJECTS), help="measure only this (repeat); default: all")
    add("--rounds", metavar="N", type=_number, default=ROUNDS, help="measure so often (default: %(default)s)")
    add("--most", metavar="N", type=_number, default=sys.maxsize, help="leave greater numbers out")
    add("--read", metavar="FILE", type=Path, help="a record of --json: take what is not measured from it")
    add("--json", metavar="FILE", type=_writable, help="write every round")
    add("--svg", metavar="FILE", type=_writable, help="write a chart")
    add("--write", metavar="FILE", type=_writable, help="write the page")
    return parser.parse_args(argv)


def _number(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text[:20]!r}")
    return int(text)


def _writable(text: str) -> Path:
    """Return the path of a file that can be written: better to know now than once all is measured."""
    path = Path(text)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"expected a file that can be written, got {text!r}")
    return path


def _read(path: Path) -> dict[str, Series]:
    try:
        record = json.loads(path.read_text())
        if record["schema_version"] != SCHEMA_VERSION:
            raise SystemExit(f"--read: expected schema_version {SCHEMA_VERSION}, got {record['schema_version']!r}")
        return {series["what"]: _complete(Series.from_json(series)) for series in record["series"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"--read: expected a record written with --json in {path}, got {error!r}") from None


def _complete(series: Series) -> Series:
    """Return it; raise `KeyError` for what a page needs and it lacks."""
    for point in series.points:
        for figure in SUBJECTS[series.what].figures:
            point.value(figure)
    return series


def _measured(what: str, rounds: int, highest: int) -> Series:
    """Go through the numbers `rounds` times, so that a busy minute falls on one round and not on one number."""
    subject = SUBJECTS[what]
    allowed, because = most() if subject.is_callers else (sys.maxsize, "")
    counts = [count for count in subject.counts if count <= min(highest, allowed)]
    left_out = f"more than {allowed:,}, because {because}" if allowed < min(highest, subject.counts[-1]) else ""
    found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for number in range(rounds):
        print(f"{subject.title}: round {number + 1} of {rounds}", flush=True)
        for count in counts:
            values = {key: round(value, 4) for key, value in subject.measure(count).items()}
            found[count].append(values)
            told = "  ".join(f"{figure.heading} {values[figure.key]:.{figure.digits}f}" for figure in subject.figures)
            print(f"{count:>7}  {told}", flush=True)
    command = f"python -m tests.lab.scaling --what {what}" + (f" --rounds {rounds}" if rounds != ROUNDS else "")
    date = datetime.now(UTC).date().isoformat()
    points = tuple(Point(count, tuple(values)) for count, values in found.items())
    return Series(what, date, command, _machine(), points, left_out)


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    release = ".".join(platform.release().split(".")[:2])
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Linux {release}, Python {python}, load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main(sys.argv[1:])
