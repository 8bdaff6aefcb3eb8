from __future__ import annotations

import io
import json
from functools import partial
from typing import TYPE_CHECKING

import pytest

from shell.answers import Answer, ListedMachine, Outcome, RecordType
from shell.asleep import AppView
from shell.errors import NotWellError, UsageError
from shell.phases import Edge, Protocols, Target, open_connection
from shell.progress import Progress
from shell.wake.outcome import Kind
from shell.wake.outcome import Outcome as WakeOutcome
from shell.wake.plan import Plan, SleepMode
from shell.wake.proof import Proof
from shell.wake.put_to_sleep import Sandman, token_from
from shell.wake.run import run
from tests.shell.scripted_app import TOKEN, ScriptedApp
from tests.shell.scripted_http import ScriptedServer, answering, read_request, saying

if TYPE_CHECKING:
    import socket

A1, B2 = ListedMachine("a1", "ams"), ListedMachine("b2", "cdg")
UP, HALF = AppView((A1, B2), (A1, B2)), AppView((A1, B2), (B2,))


def found(name: str, kind: RecordType) -> Answer:
    return Answer(name, kind, Outcome.OK, ("::1",), 5)


def sandman(port: int, mode: SleepMode = SleepMode.STOP, token: str = TOKEN) -> Sandman:
    return Sandman(Target("shop", port=port, path="/x"), Edge(found, open_connection), token, mode)


def accepting(machine_id: str, mode: str = "stop") -> bytes:
    body = json.dumps({"status": "stopping", "mode": mode, "machine_id": machine_id})
    return f"HTTP/1.1 202 Accepted\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def test_the_next_machine_is_asked_only_when_the_last_one_is_gone() -> None:
    with ScriptedServer(saying(accepting("a1")), saying(accepting("b2"))) as server:
        asks = sandman(server.port)
        assert asks.ask(UP) == "asked a1 to stop"
        assert asks.ask(UP) == "asked a1 to stop"
        assert len(server.accepted_at) == 1, "asking again would wake a Machine that DNS lists a little longer"
        assert asks.ask(HALF) == "asked b2 to stop"
        assert len(server.accepted_at) == 2


@pytest.mark.parametrize("mode", SleepMode)
def test_the_request_is_a_post_with_the_token_and_the_mode(mode: SleepMode) -> None:
    with ScriptedApp(["a1"], up=["a1"]) as app:
        sandman(app.port, mode).ask(UP)
    (asked,) = app.posts
    head, body = asked.split("\r\n\r\n")
    assert head.startswith(f"POST /api/sleep HTTP/1.1\r\nHost: shop.flycast:{app.port}\r\n")
    assert f"\r\nAuthorization: Bearer {TOKEN}\r\n" in head
    assert json.loads(body) == {"mode": mode}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("401 Unauthorized", "401: the token was not accepted; is ADMIN_TOKEN here the secret that the app has?"),
        ("403 Forbidden", "403: refused; has the app a token (`fly secrets set ADMIN_TOKEN=…`)"),
        ("404 Not Found", "404: there is no such path; only this blueprint's service can be asked to sleep"),
        ("429 Too Many Requests", "429: too many wrong tokens came from here; wait a minute"),
        ("501 Not Implemented", "501: the Machine cannot do that itself; --sleep=stop works everywhere"),
        ("200 OK", "200: expected 202, the service did not agree to sleep"),
        ("503 Service Unavailable", "503: expected 202"),
    ],
)
def test_every_refusal_is_explained_with_the_service_s_own_words(status: str, words: str) -> None:
    body = json.dumps({"error": "because"}).encode()
    with ScriptedServer(answering(body, status=status)) as server, pytest.raises(NotWellError) as caught:
        sandman(server.port).ask(UP)
    assert words in str(caught.value)
    assert str(caught.value).endswith("(it says: because)")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (accepting("zz"), "Machine zz answered, which DNS does not list"),
        (accepting("a1", "suspend"), "expected 202 with a machine_id and mode stop, got 'a1' and 'suspend'"),
        (accepting(""), "expected 202 with a machine_id"),
        (b"HTTP/1.1 202 Accepted\r\n\r\n", "expected 202 with a machine_id"),
        (b"HTTP/1.1 202 Accepted\r\n\r\n" + b"[" * 5000, "expected 202 with a machine_id"),
        (b"HTTP/1.1 202 Accepted\r\n\r\n[1]", "expected 202 with a machine_id"),
        (b'HTTP/1.1 202 Accepted\r\n\r\n{"machine_id": 7}', "expected 202 with a machine_id"),
        (b"\xff\xfe", "not an HTTP response"),
        (b"", "empty reply"),
    ],
)
def test_an_answer_that_names_no_machine_of_the_app_ends_it(raw: bytes, words: str) -> None:
    with ScriptedServer(saying(raw)) as server, pytest.raises(NotWellError) as caught:
        sandman(server.port).ask(UP)
    assert words in str(caught.value)


NOT_OURS = ("404 Not Found", b"404: nothing here"), ("200 OK", b"<html>"), ("401 Unauthorized", b'{"detail": "log in"}')


@pytest.mark.parametrize(("status", "body"), NOT_OURS)
def test_where_an_application_has_every_path_the_service_is_asked_below_its_own(status: str, body: bytes) -> None:
    heads: list[bytes] = []

    def ours(connection: socket.socket) -> None:
        heads.append(read_request(connection))
        connection.sendall(accepting("a1"))

    with ScriptedServer(answering(body, status=status), ours) as server:
        asks = sandman(server.port)
        assert asks.ask(UP) == "asked a1 to stop"
        asks.ask(AppView((A1, B2), ()))
        asks.ask(UP)
    assert [head.split()[1] for head in heads] == [b"/_/api/sleep"] * 2, "and only there from then on"


@pytest.mark.parametrize(("status", "body"), NOT_OURS)
def test_an_app_that_is_not_the_service_is_refused_with_its_first_answer(status: str, body: bytes) -> None:
    with (
        ScriptedServer(answering(body, status=status), answering(status="404 Not Found")) as server,
        pytest.raises(NotWellError) as caught,
    ):
        sandman(server.port).ask(UP)
    assert f"/api/sleep: {status[:3]}: " in str(caught.value)
    assert "/_/" not in str(caught.value)


def test_a_service_that_repeats_the_token_does_not_get_it_shown() -> None:
    body = json.dumps({"error": f"wrong: {TOKEN}"}).encode()
    with ScriptedServer(answering(body, status="401 Unauthorized")) as server, pytest.raises(NotWellError) as caught:
        sandman(server.port).ask(UP)
    assert TOKEN not in str(caught.value)


def test_the_token_comes_from_the_environment_and_fits_a_header() -> None:
    assert token_from({"ADMIN_TOKEN": "s3cret!~"}) == "s3cret!~"
    for environ in ({}, {"ADMIN_TOKEN": ""}):
        with pytest.raises(UsageError, match="expected the app's token in the environment variable ADMIN_TOKEN"):
            token_from(environ)
    for bad in ("a b", "a\r\nX: y", "é", "a\x7f"):
        with pytest.raises(UsageError) as caught:
            token_from({"ADMIN_TOKEN": bad})
        assert bad not in str(caught.value)


def wake(app: ScriptedApp, plan: Plan) -> WakeOutcome:
    edge = Edge(app.ask, open_connection)
    http = Target("shop", port=app.port, timeout_seconds=10.0)
    sandman_for = partial(Sandman, http, edge, TOKEN)
    return run(plan, edge, lambda _: None, Progress(io.StringIO(), ""), sandman_for)


def kinds(outcome: WakeOutcome) -> list[tuple[SleepMode | None, Kind, Proof]]:
    return [
        (cycle.mode, sample.kind, sample.judgement.proof)
        for cycle in outcome.cycles
        for sample in cycle.samples
        if sample.kind.wakes
    ]


STOP_AND_SUSPEND = [
    (SleepMode.STOP, Kind.COLD, Proof.PROVEN),
    (SleepMode.SUSPEND, Kind.RESUMED, Proof.SEEN_ASLEEP),
] * 2


@pytest.mark.parametrize("up", [[], ["a1"], ["a1", "b2"]], ids=["asleep", "one up", "both up"])
def test_stop_and_suspend_are_measured_in_turn_however_it_begins(up: list[str]) -> None:
    with ScriptedApp(["a1", "b2"], up=up) as app:
        target = Target("shop", port=app.port, timeout_seconds=10.0)
        outcome = wake(app, Plan(target, 2, 1, 20.0, (SleepMode.STOP, SleepMode.SUSPEND)))
    assert outcome.error == ""
    assert kinds(outcome) == STOP_AND_SUSPEND


def test_raw_tcp_is_told_apart_by_what_the_service_said() -> None:
    with ScriptedApp(["a1"], up=["a1"]) as app:
        target = Target("shop", Protocols.TCP, app.hello_port, timeout_seconds=10.0)
        outcome = wake(app, Plan(target, 1, 1, 20.0, (SleepMode.SUSPEND, SleepMode.STOP)))
    assert outcome.error == ""
    assert [(kind, proof) for _, kind, proof in kinds(outcome)] == [
        (Kind.RESUMED, Proof.SEEN_ASLEEP),
        (Kind.COLD, Proof.SEEN_ASLEEP),
    ]


def test_a_refusal_in_a_later_cycle_keeps_what_was_measured() -> None:
    with ScriptedApp(["a1"], up=["a1"], refuse_after=1) as app:
        target = Target("shop", port=app.port, timeout_seconds=10.0)
        outcome = wake(app, Plan(target, 2, 0, 20.0, (SleepMode.STOP,)))
    assert "429: too many wrong tokens" in outcome.error
    assert len(outcome.cycles) == 1
    assert not outcome.well
