"""What the lab and a process that starts something say to each other: one request with descriptors, then answers.

Each start has a socket pair of its own, which goes straight to the process that carries the request out: the zygote,
from which every Machine's init is copied, never reads an environment or a secret.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from lab.errors import LabError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_REQUEST_BYTES = 128 * 1024
_LENGTH = struct.Struct("=I")
_MOST_DESCRIPTORS = 16
_DESCRIPTOR_BYTES = array.array("i").itemsize


def packed(request: dict[str, Any]) -> bytes:
    """Return a request as it is sent; raise `LabError` when it is too large."""
    message = json.dumps(request).encode()
    if len(message) > MOST_REQUEST_BYTES:
        most, size = MOST_REQUEST_BYTES // 1024, len(message) // 1024
        raise LabError(f"a command with its environment may take {most} KiB, got {size} KiB")
    return _LENGTH.pack(len(message)) + message


def receive_request(conversation: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for the request and its descriptors; raise `ConnectionError` when the lab ends first."""
    data, descriptors = receive(conversation, _LENGTH.size + MOST_REQUEST_BYTES)
    while data and len(data) < _size_of(data):
        piece = conversation.recv(MOST_REQUEST_BYTES)
        if not piece:
            raise ConnectionError("the lab ended in the middle of a request")
        data += piece
    if not data:
        raise ConnectionError("the lab ended before a request")
    return json.loads(data[_LENGTH.size :]), descriptors


def _size_of(data: bytes) -> int:
    """Return how large the message is that begins with `data`, or at least."""
    length = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else 0
    return _LENGTH.size + int(length)


def receive(link: socket.socket, most_bytes: int) -> tuple[bytes, list[int]]:
    """Return what comes next with its descriptors, which no program inherits; nothing at the end."""
    # socket.recv_fds forgets its flags
    room = socket.CMSG_LEN(_MOST_DESCRIPTORS * _DESCRIPTOR_BYTES)
    message, ancillary, _, _ = link.recvmsg(most_bytes, room, socket.MSG_CMSG_CLOEXEC)
    found = array.array("i")
    for _level, _kind, data in ancillary:
        found.frombytes(data[: len(data) - len(data) % _DESCRIPTOR_BYTES])
    return message, list(found)


def answer(conversation: int, what: dict[str, Any]) -> None:
    """Say something to the lab."""
    os.write(conversation, json.dumps(what).encode() + b"\n")


def failure(error: LabError | OSError) -> dict[str, Any]:
    """Return an error as an answer."""
    match error:
        case RefusedError():
            return {"call": error.call, "errno": error.errno}
        case OSError():
            return {"call": f"set up the Machine ({error})", "errno": error.errno or 0}
    return {"error": str(error)}


def has_failed(said: dict[str, Any]) -> bool:
    """Tell whether an answer is that of a failure."""
    return "errno" in said or "error" in said


def close_all_but(*kept: int) -> None:
    """Leave nothing open but the standard streams and `kept`."""
    before = 2
    for descriptor in (*sorted(kept), os.sysconf("SC_OPEN_MAX")):
        os.closerange(before + 1, descriptor)
        before = descriptor


def take_streams(streams: Sequence[int]) -> None:
    """Have these as standard input, output and error."""
    for number, descriptor in enumerate([os.dup(descriptor) for descriptor in streams]):
        os.dup2(descriptor, number)
