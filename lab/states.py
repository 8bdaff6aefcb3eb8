"""The life of a Machine as a table: a state and an event give the next state, anything else is refused.

Source: docs/fly.md, "Machines API": the states, and that a start resumes and a stop gives up what was kept.
"""

from __future__ import annotations

from enum import StrEnum


class MachineState(StrEnum):
    """What the Machines API calls the state of a Machine."""

    CREATED = "created"
    STARTING = "starting"
    STARTED = "started"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SUSPENDING = "suspending"
    SUSPENDED = "suspended"


ASLEEP = (MachineState.CREATED, MachineState.STOPPED, MachineState.SUSPENDED)
FALLING_ASLEEP = (MachineState.STOPPING, MachineState.SUSPENDING)


class Event(StrEnum):
    """What can happen to a Machine."""

    START = "start"
    RUNNING = "running"
    STOP = "stop"
    SUSPEND = "suspend"
    FROZEN = "frozen"
    EXIT = "exit"


MOVES: dict[tuple[MachineState, Event], MachineState] = {
    (MachineState.CREATED, Event.START): MachineState.STARTING,
    (MachineState.STARTING, Event.RUNNING): MachineState.STARTED,
    (MachineState.STARTING, Event.EXIT): MachineState.STOPPED,
    (MachineState.STARTED, Event.STOP): MachineState.STOPPING,
    (MachineState.STARTED, Event.EXIT): MachineState.STOPPED,
    (MachineState.STARTED, Event.SUSPEND): MachineState.SUSPENDING,
    (MachineState.STOPPING, Event.EXIT): MachineState.STOPPED,
    (MachineState.SUSPENDING, Event.FROZEN): MachineState.SUSPENDED,
    (MachineState.SUSPENDING, Event.EXIT): MachineState.STOPPED,
    (MachineState.SUSPENDED, Event.START): MachineState.STARTING,
    (MachineState.SUSPENDED, Event.STOP): MachineState.STOPPING,
    (MachineState.SUSPENDED, Event.EXIT): MachineState.STOPPED,
    (MachineState.STOPPED, Event.START): MachineState.STARTING,
}


class IllegalMoveError(Exception):
    """The event cannot happen in this state; nothing was changed."""


def advance(state: MachineState, event: Event) -> MachineState:
    """Return the state that follows `event`, or raise `IllegalMoveError` naming the legal events."""
    try:
        return MOVES[state, event]
    except KeyError:
        legal = ", ".join(e for s, e in MOVES if s is state) or "nothing"
        raise IllegalMoveError(f"a {state} Machine cannot {event}; legal here: {legal}") from None
