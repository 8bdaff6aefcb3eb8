from __future__ import annotations

from tests.fuzz.test_smuggling import REFUSED, requests_with
from tests.lab.fuzz import proxy_request


def test_what_is_framed_in_a_doubtful_way_reaches_no_machine() -> None:
    with proxy_request.TARGET.opened() as check:
        came = {name: check(requests_with(framing)[0]) for name, framing in REFUSED.items()}
    assert {name: outcome for name, outcome in came.items() if not _is_refusal(outcome)} == {}


def _is_refusal(outcome: object) -> bool:
    """Tell whether the Machine saw nothing and the client got a 4xx or 5xx."""
    return isinstance(outcome, tuple) and outcome[:2] == (0, 0) and len(outcome[2]) == 1
