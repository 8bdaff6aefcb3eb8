"""The life of a Machine as a table: a state and an event give the next state, anything else is refused.

Source: FLY_FACTS section 5, "Machine states".
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


class Event(StrEnum):
    """What can happen to a Machine."""

    START = "start"
    RUNNING = "running"
    STOP = "stop"
    EXIT = "exit"


MOVES: dict[tuple[MachineState, Event], MachineState] = {
    (MachineState.CREATED, Event.START): MachineState.STARTING,
    (MachineState.STARTING, Event.RUNNING): MachineState.STARTED,
    (MachineState.STARTING, Event.EXIT): MachineState.STOPPED,
    (MachineState.STARTED, Event.STOP): MachineState.STOPPING,
    (MachineState.STARTED, Event.EXIT): MachineState.STOPPED,
    (MachineState.STOPPING, Event.EXIT): MachineState.STOPPED,
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
