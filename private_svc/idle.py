"""When an idle service should leave: a Machine whose app exits 0 is stopped, and the next request starts it again.

That is the only way to tune the delay before a Machine sleeps (FLY_FACTS section 5). The idle time begins anew with the
last work, and with a resume: who wakes a Machine is about to ask something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from private_svc.activity import Activity
    from private_svc.awake import Awake


def idle_seconds(now_s: float, serving_s: float, activity: Activity, awake: Awake) -> float:
    """Return how long nobody has wanted anything; 0 while somebody does. Times in seconds of `boot.clock`."""
    if activity.working:
        return 0.0
    return max(0.0, now_s - max(serving_s, activity.last_work_s, awake.resumed_s or 0.0))
