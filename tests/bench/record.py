"""A run as JSON: what `--json` writes and `--compare` reads.

Rule: fields are only ever added under one `schema_version`; a reader refuses another version.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tests.bench.row import BenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.row import Result

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Saved:
    """A run of another time: what the machine was, and the figures of each row's rounds."""

    facts: Mapping[str, str]
    figures: Mapping[str, Sequence[float]]


def as_json(results: Sequence[Result], facts: Mapping[str, str]) -> str:
    """Return a run as one JSON document."""
    rows = [_row(result) for result in results]
    return json.dumps({"schema_version": SCHEMA_VERSION, "facts": facts, "rows": rows}, indent=1) + "\n"


def _row(result: Result) -> dict[str, Any]:
    row = result.row
    measured = {"figure": result.figure, "mad": result.mad} if result.rounds else {"figure": None, "mad": None}
    return {
        "name": row.name,
        "title": row.title,
        "unit": row.unit,
        "peer": row.peer,
        "compared": row.compared,
        "better": row.better,
        "target": row.target,
        "met": result.met,
        "why_not": result.why_not,
        **measured,
        "figures": result.figures,
        "rounds": [asdict(each) for each in result.rounds],
    }


def read(text: str, name: str) -> Saved:
    """Read a run; raise BenchError when it is none."""
    try:
        document = json.loads(text)
        if document["schema_version"] != SCHEMA_VERSION:
            raise BenchError(f"{name}: expected schema_version {SCHEMA_VERSION}, got {document['schema_version']!r}")
        figures = {str(row["name"]): tuple(float(each) for each in row["figures"]) for row in document["rows"]}
        return Saved(dict(document["facts"]), figures)
    except (KeyError, TypeError, ValueError) as error:
        raise BenchError(f"{name}: expected what --json wrote, got {type(error).__name__}: {error}") from None
