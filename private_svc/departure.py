"""Why and when this process leaves: the first reason counts."""

from __future__ import annotations

import asyncio


class Departure:
    """A reason to leave, once there is one."""

    def __init__(self) -> None:
        self._reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def because(self, reason: str) -> None:
        """Leave for `reason`, unless we already do."""
        if not self._reason.done():
            self._reason.set_result(reason)

    @property
    def decided(self) -> bool:
        """Tell whether there is a reason."""
        return self._reason.done()

    async def reason(self) -> str:
        """Wait for the reason, and return it."""
        return await asyncio.shield(self._reason)
