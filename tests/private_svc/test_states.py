"""The table of a connection's states, walked."""

from __future__ import annotations

import pytest

from private_svc.web.states import AWAITED, MOVES, Event, State


def reached_from(state: State) -> set[State]:
    reached, new = {state}, {state}
    while new:
        new = {to for (before, _), to in MOVES.items() if before in new} - reached
        reached |= new
    return reached


def test_every_state_is_reached_from_the_first() -> None:
    assert reached_from(State.IDLE) == set(State)


@pytest.mark.parametrize("state", State)
def test_every_connection_can_end(state: State) -> None:
    assert State.CLOSED in reached_from(state)


def test_a_closed_connection_stays_closed() -> None:
    assert not [event for state, event in MOVES if state is State.CLOSED]


@pytest.mark.parametrize("state", [state for state in State if state not in {State.ORPHAN, State.CLOSED}])
def test_a_caller_may_leave_in_every_state_that_has_one(state: State) -> None:
    after = MOVES[state, Event.LOST]
    assert after is (State.ORPHAN if state in {State.BUSY, State.TUNNEL} else State.CLOSED)


def test_a_drain_waits_for_each_state_in_which_a_caller_has_asked_or_a_handler_runs() -> None:
    asked = {to for (_, event), to in MOVES.items() if event in {Event.BYTES, Event.REQUEST, Event.TUNNEL_REQUEST}}
    assert set(AWAITED) == asked | {State.ORPHAN}


def test_nothing_is_asked_of_a_connection_that_is_closing() -> None:
    assert {event for state, event in MOVES if state is State.CLOSING} == {Event.LOST}
