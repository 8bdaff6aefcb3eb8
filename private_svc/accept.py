"""The accept loop of every listener: it takes every connection that the kernel has established, and drops none."""

from __future__ import annotations

import _socket
import asyncio
import contextlib
import errno
import logging
import socket
import struct
from typing import TYPE_CHECKING, Generic, TypeVar

from private_svc import logs

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    # What accept(2) returned of the peer: host and port, and for IPv6 also flow and scope.
    Address = tuple[str, int] | tuple[str, int, int, int]

    class Readers(Protocol):
        """Calls back while a socket has something to read, as an event loop does."""

        def add_reader(self, fd: socket.socket, callback: Callable[[], None], /) -> None:
            """Begin."""

        def remove_reader(self, fd: socket.socket, /) -> object:
            """Stop, if it was begun."""


Socket = TypeVar("Socket", bound=_socket.socket)

HANDSHAKE_SECONDS = 0.005  # for callers whose handshake was under way when the end began
MORE_THAN_QUEUED = 65536  # ends the loop; no listening queue is longer
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_ROOM_PAUSE_SECONDS = 0.1
NO_ROOM_LOG_SECONDS = 60.0
CALLER_HAS_GONE = (  # accept(2): errors of the new connection, not of the listening socket
    errno.ECONNABORTED,
    errno.EPROTO,
    errno.EPERM,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENOPROTOOPT,
    errno.EOPNOTSUPP,
    errno.ETIMEDOUT,
)

SO_ATTACH_FILTER = 26  # asm-generic/socket.h
ONLY_WITH_ACK = (  # linux/bpf_common.h; byte 13 of a TCP header has its flags (RFC 9293 section 3.1)
    (0x30, 0, 0, 13),  # load the byte
    (0x45, 0, 1, 0x10),  # without the bit go to the last line
    (0x06, 0, 0, 0xFFFF),  # take it all
    (0x06, 0, 0, 0),  # take nothing
)


class Acceptor(Generic[Socket]):
    """Hand every connection of one listening socket to `take`, at most `limit` open at a time.

    `take` gets the connection, as a `socket_type`, and the peer's address as accept returned it, because getpeername
    fails once the caller has reset the connection. Whoever took a connection calls `released()` once it is closed. At
    the limit, and when the system has no more file descriptors, `make_room` is asked to close a connection without a
    request in flight, which may take effect one turn of the event loop later; it returns False when every connection
    is in use. Then callers wait in the kernel's queue.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        readers: Readers,
        listening: socket.socket,
        take: Callable[[Socket, Address], None],
        make_room: Callable[[], bool],
        *,
        limit: int,
        socket_type: type[Socket],
    ) -> None:
        self._loop = loop
        self._readers = readers
        self._listening = listening
        self._take = take
        self._make_room = make_room
        self._limit = limit
        self._socket_type = socket_type
        self._kind = listening.family, listening.type, listening.proto
        self._open = 0
        self._log_limit = logs.RateLimit(NO_ROOM_LOG_SECONDS)
        self._retry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to accept, or go on after a pause."""
        if self._listening.fileno() >= 0:
            self._readers.add_reader(self._listening, self._accept_next)

    def released(self) -> None:
        """Note that a taken connection is closed."""
        self._open -= 1
        if self._open == self._limit - 1:
            self.start()

    async def finish(self) -> None:
        """Take everybody still in the kernel's queue or about to be, whatever the limit; close the listening socket."""
        if self._listening.fileno() < 0:
            return
        self._readers.remove_reader(self._listening)
        self._limit = 0  # so that `released` does not start it again
        if self._retry is not None:
            self._retry.cancel()
        drop_new_callers(self._listening)
        await self._accept_all()
        await asyncio.sleep(HANDSHAKE_SECONDS)
        await self._accept_all()
        self._listening.close()

    async def _accept_all(self) -> None:
        for _ in range(MORE_THAN_QUEUED):
            try:
                if not self._accept_one():
                    return
            except OSError as error:
                if not self._can_make_room(error):
                    return
                await asyncio.sleep(0)  # the connection that makes room is closed meanwhile

    def _accept_next(self) -> None:
        """Take one caller: the event loop calls again for the next, and other work gets its turn in between."""
        if self._open >= self._limit and not self._make_room():
            self._pause()
            return
        try:
            self._accept_one()
        except OSError as error:
            if not self._can_make_room(error):
                self._pause()

    def _accept_one(self) -> bool:
        """Take the next caller, unless it has gone; return False when nobody is in the queue."""
        try:
            fd, address = self._listening._accept()  # type: ignore[attr-defined] # noqa: SLF001 - see below
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in CALLER_HAS_GONE:
                return True
            raise
        self._open += 1
        # What `socket.accept` does, without looking up two enums for each caller.
        self._take(self._socket_type(*self._kind, fd), address)
        return True

    def _can_make_room(self, error: OSError) -> bool:
        """Close an idle connection after accept failed for want of a descriptor; raise what is another error."""
        if error.errno not in NO_ROOM:
            raise error
        if self._log_limit.allows():
            effect = "callers wait in the kernel's queue"
            logs.event("cannot accept", level=logging.WARNING, reason=error.strerror, effect=effect)
        return self._make_room()

    def _pause(self) -> None:
        self._readers.remove_reader(self._listening)
        if self._retry is not None:
            self._retry.cancel()
        self._retry = self._loop.call_later(NO_ROOM_PAUSE_SECONDS, self.start)


def drop_new_callers(listening: socket.socket) -> None:
    """Let the kernel drop each SYN that comes to a listening socket, and finish the handshakes under way.

    A socket filter (Linux, Documentation/networking/filter.rst) that takes segments with the ACK bit only. A dropped
    caller tries again a second later, and is refused then, because nobody listens any more. Measured in 111 leaves
    under full load: without the filter seven callers lost a connection that the kernel had accepted, with it none.
    """
    import ctypes  # noqa: PLC0415 - only who leaves needs it

    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in ONLY_WITH_ACK))
    program = struct.pack("HP", len(ONLY_WITH_ACK), ctypes.addressof(instructions))
    with contextlib.suppress(OSError):  # a kernel without filters: a caller that it accepts at the very end is reset
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
