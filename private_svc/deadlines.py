"""Equal deadlines for many things: one queue and one timer, however many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Call `expired(item)` for every item that was started and not stopped for `seconds`."""

    __slots__ = ("_due", "_expired", "_loop", "_seconds", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, expired: Callable[[T], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._expired = expired
        self._due: dict[T, float] = {}  # in the order they fall due, because all wait equally long
        self._timer: asyncio.TimerHandle | None = None

    def start(self, item: T) -> None:
        """Give `item` the full time from now."""
        self._due.pop(item, None)
        self._due[item] = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._tick)

    def stop(self, item: T) -> None:
        """Forget `item`."""
        self._due.pop(item, None)

    def _tick(self) -> None:
        now = self._loop.time()
        late = [item for item, due in self._due.items() if due <= now]
        for item in late:
            del self._due[item]
        first = next(iter(self._due.values()), None)
        self._timer = None if first is None else self._loop.call_at(first, self._tick)
        for item in late:
            self._expired(item)
