"""Every state with every event."""

from __future__ import annotations

from itertools import product

import pytest

from lab.states import MOVES, Event, IllegalMoveError, MachineState, advance

LIFE = [
    (MachineState.CREATED, Event.START, MachineState.STARTING),
    (MachineState.STARTING, Event.RUNNING, MachineState.STARTED),
    (MachineState.STARTING, Event.EXIT, MachineState.STOPPED),
    (MachineState.STARTED, Event.STOP, MachineState.STOPPING),
    (MachineState.STARTED, Event.EXIT, MachineState.STOPPED),
    (MachineState.STARTED, Event.SUSPEND, MachineState.SUSPENDING),
    (MachineState.STOPPING, Event.EXIT, MachineState.STOPPED),
    (MachineState.SUSPENDING, Event.FROZEN, MachineState.SUSPENDED),
    (MachineState.SUSPENDING, Event.EXIT, MachineState.STOPPED),
    (MachineState.SUSPENDED, Event.START, MachineState.STARTING),
    (MachineState.SUSPENDED, Event.STOP, MachineState.STOPPING),
    (MachineState.SUSPENDED, Event.EXIT, MachineState.STOPPED),
    (MachineState.STOPPED, Event.START, MachineState.STARTING),
]


@pytest.mark.parametrize(("state", "event", "following"), LIFE)
def test_a_legal_move_gives_the_next_state(state: MachineState, event: Event, following: MachineState) -> None:
    assert advance(state, event) is following


def test_the_table_holds_these_moves_and_no_other() -> None:
    assert {(state, event): following for state, event, following in LIFE} == MOVES


@pytest.mark.parametrize(("state", "event"), sorted(set(product(MachineState, Event)) - set(MOVES)))
def test_any_other_move_is_refused_and_names_what_is_legal(state: MachineState, event: Event) -> None:
    with pytest.raises(IllegalMoveError) as caught:
        advance(state, event)
    legal = [str(each) for before, each in MOVES if before is state]
    assert f"a {state} Machine cannot {event}" in str(caught.value)
    assert all(each in str(caught.value) for each in legal)


def test_from_every_state_a_machine_can_be_started_again() -> None:
    for state in MachineState:
        reached = {state}
        while more := {after for (before, _), after in MOVES.items() if before in reached} - reached:
            reached |= more
        assert MachineState.STARTED in reached, state
