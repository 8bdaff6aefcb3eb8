"""What goes on beside the lab's callers: a part that ends unexpectedly is logged with its reason and ends the lab."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lab.errors import LabError, reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from lab.log import EventLog

T = TypeVar("T")


class BackgroundError(LabError):
    """A background task has ended unexpectedly, so the lab would no longer do what it says."""


class Background:
    """The background tasks of one lab, and the complaints of its event loop."""

    def __init__(self, log: EventLog) -> None:
        """Report to `log`; nothing goes on yet."""
        self._log = log
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: BackgroundError | None = None
        self._worker: asyncio.Task[Any] | None = None

    def watch_loop(self) -> None:
        """Take the complaints of the running event loop: a failed callback ends the lab, all else is an error."""
        asyncio.get_running_loop().set_exception_handler(self._hear_complaint)

    def keep(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin `work` that goes on until its task is cancelled: any other end of it is unexpected."""
        return self._begin(name, work, endless=True)

    def do(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin `work` that ends by itself; a `LabError` is for those who wait for the task."""
        return self._begin(name, work, endless=False)

    async def beside(self, work: Awaitable[T]) -> T:
        """Do `work`; cancel it and raise `BackgroundError` once a background task has ended unexpectedly."""
        self._worker = worker = asyncio.current_task()
        if worker is not None and self._failure is not None:
            worker.cancel()
        try:
            return await work
        except asyncio.CancelledError:
            if worker is None or self._failure is None or worker.uncancel():
                raise
            raise self._failure from None
        finally:
            self._worker = None

    async def close(self) -> None:
        """Cancel every task, return when all have ended, and leave the loop's complaints to others."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        asyncio.get_running_loop().set_exception_handler(None)

    def _begin(self, name: str, work: Coroutine[Any, Any, T], *, endless: bool) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, endless))
        return task

    def _ended(self, endless: bool, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            if not task.cancelling():
                self._fail(task.get_name(), "it was cancelled by something that it waited for")
        elif (error := task.exception()) is None:
            if endless:
                self._fail(task.get_name(), "it returned")
        elif endless or not isinstance(error, LabError):
            self._fail(task.get_name(), reason(error))

    def _hear_complaint(self, _: asyncio.AbstractEventLoop, complaint: dict[str, Any]) -> None:
        error = complaint.get("exception")
        why = "no reason was given" if error is None else reason(error)
        if "handle" in complaint:  # a callback belongs to the lab as a whole, and perhaps nobody calls it again
            self._fail(complaint["message"], why)
        else:
            self._log("lab", f"{complaint['message']}: {why}", level="error")

    def _fail(self, name: str, why: str) -> None:
        said = f"{name} has ended unexpectedly: {why}"
        self._log("lab", said, level="error")
        if self._failure is None:
            self._failure = BackgroundError(
                f"the lab ends, because {said}; this is a fault of the lab: please report it"
            )
            if self._worker is not None:
                self._worker.cancel()
