"""The states of an HTTP connection, and every legal move between them.

| state   | what it means                                          | what ends it, besides the caller's leaving       |
|---------|--------------------------------------------------------|--------------------------------------------------|
| idle    | nothing of a next request has come                     | `caller_seconds`; a newcomer, a drain            |
| head    | a request head has begun                               | `caller_seconds` from its first byte; a newcomer |
| busy    | aiohttp has a request whose answer is not out          | the answer; `caller_seconds` without more body   |
| tunnel  | the same, and all that comes is the handler's          | the handler                                      |
| orphan  | the caller has left, and the handler still runs        | the handler                                      |
| closing | the last word is said; what still comes is thrown away | `LINGER_SECONDS`                                 |
| closed  | nothing is left                                        |                                                  |
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a connection is."""

    __hash__ = str.__hash__  # a move looks it up; Enum's own is Python code

    IDLE = "idle"
    HEAD = "head"
    BUSY = "busy"
    TUNNEL = "tunnel"
    ORPHAN = "orphan"
    CLOSING = "closing"
    CLOSED = "closed"


class Event(StrEnum):
    """What happens to a connection."""

    __hash__ = str.__hash__

    BYTES = "some bytes of a head"
    REQUEST = "a whole head"
    TUNNEL_REQUEST = "a whole head that asks for another protocol"
    BAD_REQUEST = "bytes that are no request"
    ANSWERED = "an answer is out"
    LAST_ANSWER = "an answer is out, and no other follows"
    GIVE_WAY = "closed to make room, or idle for too long"
    LOST = "the caller has left"


MOVES = {
    (State.IDLE, Event.BYTES): State.HEAD,
    **{(state, Event.REQUEST): State.BUSY for state in (State.IDLE, State.HEAD)},
    **{(state, Event.TUNNEL_REQUEST): State.TUNNEL for state in (State.IDLE, State.HEAD)},
    **{(state, Event.BAD_REQUEST): State.CLOSING for state in (State.IDLE, State.HEAD)},
    **{(state, Event.GIVE_WAY): State.CLOSING for state in (State.IDLE, State.HEAD)},
    (State.BUSY, Event.ANSWERED): State.IDLE,
    (State.BUSY, Event.LAST_ANSWER): State.CLOSING,
    (State.TUNNEL, Event.LAST_ANSWER): State.CLOSING,
    (State.ORPHAN, Event.LAST_ANSWER): State.CLOSED,
    **{(state, Event.LOST): State.CLOSED for state in (State.IDLE, State.HEAD, State.CLOSING)},
    **{(state, Event.LOST): State.ORPHAN for state in (State.BUSY, State.TUNNEL)},
}
RUNNING = (State.BUSY, State.TUNNEL)  # a caller waits for a handler
AWAITED = (State.HEAD, State.BUSY, State.TUNNEL, State.ORPHAN)  # a drain waits for these
