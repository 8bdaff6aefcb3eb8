"""One TCP connection as the proxy uses it: bounded reading, backpressure, deadlines.

asyncio's streams do the same at about twice the cost a request; the proxy is measured on that cost.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

HIGH_WATER_BYTES: Final = 256 * 1024
LOW_WATER_BYTES: Final = 64 * 1024


class LinkLostError(ConnectionError):
    """The peer closed or reset the connection, so nothing more can be written."""


class Link(asyncio.Protocol):
    """One connection; `received` holds what came and was not taken yet.

    The peer may go at any moment. Only `write` and `drain` tell of it, by `LinkLostError`: all else does nothing then.
    """

    def __init__(self, *, on_made: Callable[[Link], None] | None = None) -> None:
        """Call `on_made` once connected."""
        self.received = bytearray()
        self.at_eof = False
        self.lost = False
        self.reset = False
        self.on_change: Callable[[], None] | None = None
        self._on_made = on_made
        self._loop = asyncio.get_running_loop()
        self._wake: Callable[[], None] | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writers: deque[asyncio.Future[None]] = deque()
        self._reading_paused = False
        self._writing_paused = False
        self._eof_follows = False
        self._transport: asyncio.Transport

    def __repr__(self) -> str:
        """Show where the connection stands."""
        state = "lost" if self.lost else "at EOF" if self.at_eof else "open"
        return f"<Link {state}, {len(self.received)} bytes received>"

    @property
    def open(self) -> bool:
        """Whether more may come and go both ways."""
        return not (self.at_eof or self.lost or self._transport.is_closing())

    @property
    def quiet(self) -> bool:
        """Whether it is open and nothing came that nobody asked for."""
        return self.open and not self.received

    @property
    def congested(self) -> bool:
        """Whether the peer has not yet taken what was written."""
        return self._writing_paused

    def peer(self) -> tuple[str, int]:
        """Return the address and port of the other end."""
        host, port, *_ = self._transport.get_extra_info("peername") or ("", 0)
        return host, port

    def local(self) -> tuple[str, int]:
        """Return the address and port of our end, which is what the other end dialled."""
        host, port, *_ = self._transport.get_extra_info("sockname") or ("", 0)
        return host, port

    async def more(self, seconds: float | None, seen: int | None = None) -> bool:
        """Wait until `received` holds more than `seen` bytes, or than it does now; False at the end of the stream.

        Who did something else since it looked says how many it saw: the rest may have come meanwhile. Raise
        `TimeoutError` after `seconds`; None waits for as long as the peer keeps the connection.
        """
        before = len(self.received) if seen is None else seen
        if len(self.received) > before:
            return True
        if self.at_eof or self.lost:
            return False
        waiter = self._loop.create_future()
        self.watch(partial(_wake_up, waiter), seconds)
        try:
            await waiter
        finally:
            self._wake = None
        return self._came(before)

    def _came(self, before: int) -> bool:
        if len(self.received) > before:
            return True
        if self.at_eof or self.lost:
            return False
        raise TimeoutError("nothing came in time")

    def watch(self, wake: Callable[[], None], seconds: float | None) -> None:
        """Call `wake` once: when something comes, when the connection ends, or after `seconds`."""
        self._wake = wake
        self._deadline = None
        if seconds is not None:
            self._deadline = self._loop.time() + seconds
            if self._timer is None or self._timer.when() > self._deadline:
                self._arm(self._deadline)
        if self._reading_paused and len(self.received) <= LOW_WATER_BYTES:
            self._reading_paused = False
            self._transport.resume_reading()

    def unwatch(self) -> None:
        """Call nobody."""
        self._wake = None

    def _arm(self, deadline: float) -> None:
        """Have a timer at `deadline`; one that comes before its time arms itself again.

        So a connection sets a timer once in a deadline's length, and not once a wait.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._timer_rang)

    def _timer_rang(self) -> None:
        self._timer = None
        if self._wake is None or self._deadline is None:
            return
        if self._loop.time() >= self._deadline:
            self._call_wake()
        else:
            self._arm(self._deadline)

    def take(self, count: int) -> bytes:
        """Remove and return up to `count` received bytes."""
        if count >= len(self.received):
            taken = bytes(self.received)
            self.received.clear()
            return taken
        taken = bytes(self.received[:count])
        del self.received[:count]
        return taken

    def write(self, data: bytes) -> None:
        """Queue `data`; follow large writes with `drain`."""
        if self.lost:
            raise LinkLostError("the connection is gone")
        self._transport.write(data)

    def write_eof(self) -> None:
        """Close our half once all that was written is sent; the peer may go on sending.

        The transport's own `write_eof` raises when the peer has reset the connection, at times out of the event loop.
        """
        if self.lost or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size():
            self._eof_follows = True
            self._transport.set_write_buffer_limits(0)  # so that resume_writing is called when nothing is left
        else:
            self._shut_our_half()

    def _shut_our_half(self) -> None:
        with suppress(OSError):  # the peer has reset the connection, which we shall read next
            self._transport.get_extra_info("socket").shutdown(socket.SHUT_WR)

    async def drain(self, seconds: float | None) -> None:
        """Wait until the peer has taken enough of what was written; raise `TimeoutError` after `seconds`."""
        if self._writing_paused and not self.lost:
            waiter = self._loop.create_future()
            self._writers.append(waiter)
            timer = None if seconds is None else self._loop.call_later(seconds, _expire, waiter, seconds)
            try:
                await waiter
            finally:
                self._writers.remove(waiter)
                if timer is not None:
                    timer.cancel()
        if self.lost:
            raise LinkLostError("the connection is gone")

    def close(self) -> None:
        """Send what is queued, then close."""
        self._transport.close()

    def abort(self) -> None:
        """Drop the connection with what is queued, so that the peer sees a reset and no end of stream."""
        if self.lost:  # asyncio's abort raises on a transport that has sent what was queued and has closed
            return
        if not self._transport.is_closing():
            self._set(socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing sends a reset (RFC 9293 section 3.10.5)
        self._transport.abort()

    def cut(self) -> None:
        """Drop the connection as though its peer had reset it."""
        self.reset = True
        self.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        self._set(socket.SO_KEEPALIVE, 1)  # ends an idle connection whose peer is gone
        if self._on_made is not None:
            self._on_made(self)

    def _set(self, option: int, value: int | bytes) -> None:
        with suppress(OSError):  # the peer is gone
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, value)

    def data_received(self, data: bytes) -> None:
        """Buffer `data`; stop reading when nobody takes it."""
        self.received += data
        if len(self.received) > HIGH_WATER_BYTES and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._changed()

    def eof_received(self) -> bool:
        """Note that the peer sends no more; keep our half open."""
        self.at_eof = True
        self._changed()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits for this connection."""
        self.lost = self.at_eof = True
        self.reset = self.reset or exc is not None
        if self._timer is not None:
            self._timer.cancel()
        self._changed()
        self.resume_writing()

    def pause_writing(self) -> None:
        """Hold writers: the peer is slow."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """Let writers go on."""
        self._writing_paused = False
        if self._eof_follows and not self.lost:
            self._eof_follows = False
            self._shut_our_half()
        for waiter in self._writers:
            if not waiter.done():
                waiter.set_result(None)

    def _changed(self) -> None:
        on_change = self.on_change  # who is woken may hand the connection on to somebody else
        self._call_wake()
        if on_change is not None:
            on_change()

    def _call_wake(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            wake()


def _expire(waiter: asyncio.Future[None], seconds: float) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError(f"nothing happened on the connection for {seconds:g} s"))


def _wake_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
