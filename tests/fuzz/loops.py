"""Targets that are servers: real sockets on one event loop, which lives from the first input to the last."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from tests.fuzz.target import Broken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterator
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from tests.fuzz.target import Check

    AsyncCheck = Callable[[bytes], Awaitable[Hashable]]

ANSWER_SECONDS = 20.0
"""For all that one input brings about, on a busy machine."""


@contextmanager
def on_a_loop(opened: AbstractAsyncContextManager[AsyncCheck]) -> Iterator[Check]:
    """Yield the check; what the loop itself complains of, such as an error in a task that nobody awaits, breaks too."""
    complaints: list[dict[str, Any]] = []
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(lambda _, complaint: complaints.append(complaint))
        stack = AsyncExitStack()
        check = runner.run(stack.enter_async_context(opened))

        async def bounded(data: bytes) -> Hashable:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await check(data)

        def feed(data: bytes) -> Hashable:
            outcome = loop.run_until_complete(bounded(data))
            if complaints:
                first = complaints[0]
                complaints.clear()
                raise Broken(f"the loop complains: {first['message']}") from first.get("exception")
            return outcome

        try:
            yield feed
        finally:
            runner.run(stack.aclose())


async def send_all(port: int, data: bytes, turns: int = 0) -> bytes:
    """Send `data` and the end of it to a port of loopback; return all that comes, up to an end or a reset.

    A server on this loop that drops who closes half gets `turns` of the loop without a sign of life before the end.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()
    receiving = asyncio.ensure_future(_receive(reader, received))
    try:
        writer.write(data)
        quiet, before = 0, 0
        while quiet < turns and not receiving.done():
            await asyncio.sleep(0)
            quiet = quiet + 1 if before == len(received) and not writer.transport.get_write_buffer_size() else 0
            before = len(received)
        if not writer.transport.is_closing():
            writer.write_eof()
        await receiving
    finally:
        receiving.cancel()
        writer.close()
    return bytes(received)


async def _receive(reader: asyncio.StreamReader, received: bytearray) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(65536):
            received += piece
