"""A request of the lab arrives whole, however the socket cuts it."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress

import pytest

from lab.errors import LabError, RefusedError
from lab.start import conversation as talk

EMPTY = len(talk.packed({"x": ""}))


def of_size(size: int) -> dict[str, str]:
    """Return a request that takes `size` bytes with its length."""
    return {"x": "y" * (size - EMPTY)}


@pytest.mark.parametrize("size", [EMPTY, EMPTY + 1, 4096, 65536, 65540, talk.MOST_REQUEST_BYTES + 3,
                                  talk.MOST_REQUEST_BYTES + 4])  # fmt: skip
def test_a_request_of_any_size_up_to_the_limit_arrives(size: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sending = threading.Thread(target=ours.sendall, args=(talk.packed(of_size(size)),))
        sending.start()
        assert talk.receive_request(theirs) == (of_size(size), [])
        sending.join()


def test_a_request_over_the_limit_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(LabError, match="a command with its environment may take 128 KiB, got 128 KiB"):
        talk.packed(of_size(talk.MOST_REQUEST_BYTES + 5))


@pytest.mark.parametrize("cut", range(1, len(talk.packed({"say": "hello"}))))
def test_a_request_cut_anywhere_is_put_together_with_its_descriptors(cut: int) -> None:
    message = talk.packed({"say": "hello"})
    ours, theirs = socket.socketpair()
    with ours, theirs, open(os.devnull, "rb") as null:  # noqa: PTH123
        socket.send_fds(ours, [message[:cut]], [null.fileno()])
        sending = threading.Thread(target=_send_when_empty, args=(ours, theirs, message[cut:]))
        sending.start()
        request, found = talk.receive_request(theirs)
        sending.join()
        assert request == {"say": "hello"}
        assert [os.path.sameopenfile(null.fileno(), descriptor) for descriptor in found] == [True]
        assert [os.get_inheritable(descriptor) for descriptor in found] == [False]
        for descriptor in found:
            os.close(descriptor)


def _send_when_empty(ours: socket.socket, theirs: socket.socket, message: bytes) -> None:
    """Send only when the first piece has been read, so that the two do not arrive as one."""
    while True:
        try:
            theirs.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            break
    ours.sendall(message)


@pytest.mark.parametrize("cut", range(len(talk.packed({"say": "hello"}))))
def test_a_lab_that_ends_before_or_within_a_request_is_told(cut: int) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(talk.packed({"say": "hello"})[:cut])
        with pytest.raises(ConnectionError, match="the lab ended"):
            talk.receive_request(theirs)


def test_an_error_is_an_answer_that_tells_that_it_is_one() -> None:
    assert talk.failure(RefusedError("setns", 1)) == {"call": "setns", "errno": 1}
    assert talk.failure(LabError("no")) == {"error": "no"}
    assert talk.failure(OSError(28, "full"))["errno"] == 28
    assert talk.failure(OSError("odd"))["errno"] == 0
    for error in (RefusedError("setns", 1), LabError("no"), OSError(28, "full"), OSError("odd")):
        assert talk.has_failed(talk.failure(error))
    assert not talk.has_failed({"pid": 1})


def test_all_descriptors_are_closed_but_the_kept_ones() -> None:
    child = os.fork()
    if child == 0:
        kept, other = os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_RDONLY)
        talk.close_all_but(kept)
        os.fstat(kept)
        status = 1
        with suppress(OSError):
            os.fstat(2)
            status = 2
            os.fstat(other)
            os._exit(status)
        os._exit(0 if status == 2 else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
