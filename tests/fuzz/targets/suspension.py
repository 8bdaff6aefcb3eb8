"""What `/.fly/api` answers when the service asks to be suspended: granted, or a failure told in a few words."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from private_svc.suspend import ANSWER_AT_MOST, Suspender
from tests.fuzz.loops import on_a_loop
from tests.fuzz.target import Broken, Target
from tests.private_svc.machines_api import machines_api
from tests.private_svc.making import context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from tests.fuzz.loops import AsyncCheck

_LONGEST_FAILURE = 2 * ANSWER_AT_MOST


@asynccontextmanager
async def _serving() -> AsyncIterator[AsyncCheck]:
    logging.disable(logging.CRITICAL)
    made = context()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "api")
        async with machines_api(path) as api:
            suspender = Suspender(made.machine, str(path), answer_seconds=5)

            async def check(data: bytes) -> Hashable:
                api.answer = data
                await suspender.suspend_when_quiet(made.activity, 1, "fuzzing")
                if len(suspender.failure) > _LONGEST_FAILURE:
                    raise Broken(f"a failure of {len(suspender.failure)} characters: {suspender.failure[:300]!r}")
                await asyncio.sleep(0)
                return suspender.failure.partition(": ")[2][:20]

            try:
                yield check
            finally:
                logging.disable(logging.NOTSET)


TARGET = Target("suspension", lambda: on_a_loop(_serving()), 200)
