"""Take turns: ours, the peer, ours, the peer.

Rules: one round is one sample of ours and one of the peer's, so that what else the machine does is unfair to neither.
The first round is warm-up and not counted: it compiles, fills the page cache and opens what is opened once.  A row that
is measured once (`rounds=1`) warms itself.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.bench.row import BenchError, Result, Round

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.row import Pair, Row

WARM_UP_ROUNDS = 1
_LAST_WORDS = 300


class Interrupted(Exception):  # noqa: N818 - not an error: a person had enough
    """Somebody pressed Ctrl-C while a row was measured; `result` is what there was."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.row.name)
        self.result = result


def measured(row: Row, rounds: int, tell: Callable[[str], None]) -> Result:
    """Measure a row, and tell each round; raise Interrupted on Ctrl-C."""
    if missing := [program for program in row.needs if shutil.which(program) is None]:
        return Result(row, why_not=f"not installed: {', '.join(missing)}")
    taken: list[Round] = []
    why_not = ""
    try:
        with row.measure() as pair:
            for number in range(0 if row.rounds == 1 else -WARM_UP_ROUNDS, rounds):
                tell(f"{row.name}: {f'round {number + 1} of {rounds}' if number >= 0 else 'warm-up'}")
                one = _round(pair)
                if number >= 0:
                    taken.append(one)
    except KeyboardInterrupt:
        raise Interrupted(Result(row, tuple(taken), "interrupted")) from None
    except (BenchError, OSError, subprocess.SubprocessError, ValueError) as error:
        why_not = _reason(error)
    return Result(row, tuple(taken), why_not)


def _round(pair: Pair) -> Round:
    ours = pair.ours()
    peer = pair.peer() if pair.peer else None
    if peer == 0:
        raise BenchError("expected something to compare with, got 0 from the peer")
    return Round(ours, peer)


def _reason(error: Exception) -> str:
    said = getattr(error, "stderr", None) or ""
    return f"{error} {said[-_LAST_WORDS:]}".strip()
