"""Every claim about the lab."""

from __future__ import annotations

from functools import partial

from tests.bench.row import Better, Compared, Row
from tests.lab.bench import cold, lab

_NEEDS = ("unshare",)
_WRK = (*_NEEDS, "wrk", "taskset")
_WARM = f"/healthz through the lab's proxy, {lab.CONNECTIONS} connections"
_DIRECT = "direct to the Machine"

ROWS = (
    Row(
        "lab-cold", "a cold answer, after the app listens", "ms", "",
        Compared.ALONE, Better.LESS, 12.0, lab.after_listening, _NEEDS,
    ),
    Row(
        "lab-p50", "p50 of /healthz through the lab's proxy, 1 connection", "ms", _DIRECT,
        Compared.ADDED, Better.LESS, 0.25, partial(lab.warm, lambda load: load.p50_ms, 1), _WRK,
    ),
    Row(
        "lab-rate", _WARM, "/s", _DIRECT,
        Compared.RATIO, Better.MORE, 0.4, partial(lab.warm, lambda load: load.per_second, lab.CONNECTIONS), _WRK,
    ),
    Row("lab-up", "lab up, app reachable", "ms", "", Compared.ALONE, Better.LESS, 500.0, lab.up, _NEEDS),
    Row(
        f"lab-up-{lab.MANY}", f"lab up with {lab.MANY} Machines of `sleep inf`", "ms", "",
        Compared.ALONE, Better.LESS, 2000.0, lab.up_with_many, _NEEDS, rounds=3,
    ),
    Row(
        "cold-starts", f"what failed in {cold.CYCLES} cold starts, some racing a stop", "faults", "",
        Compared.ALONE, Better.LESS, 0.0, cold.starts, _NEEDS, rounds=1, asked=True,
    ),
)  # fmt: skip
