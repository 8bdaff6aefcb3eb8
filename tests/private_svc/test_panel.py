"""The panel in words and as HTML, from one `Status`."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise, permutations
from string import Template

import pytest

from private_svc.ingress import Caller, Ingress
from private_svc.peers import Peer, Peers
from private_svc.web import boot_bar
from private_svc.web.page import PEERS_SHOWN, as_html, static_file
from private_svc.web.panel import HOW, as_text, duration, verdict
from private_svc.web.status import Kind, Sleep, as_json
from tests.private_svc.making import FLY
from tests.private_svc.said import BOOT_MS, SLEEP, crowded, status, visitor

APP, MACHINE = FLY["FLY_APP_NAME"], FLY["FLY_MACHINE_ID"]
VOID = {"meta", "link", "img", "input", "rect"}


class Page(HTMLParser):
    """Reads a page strictly: what opens must close, and every id is there once."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""
        self.feed(html)
        self.close()
        assert self.open == []
        ids = [found["id"] for _, found in self.attributes if "id" in found]
        assert len(ids) == len(set(ids)), f"an id twice: {ids}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.said += f"{data} "


def words(html: str) -> str:
    return " ".join(Page(html).said.split())


def test_the_text_is_short_and_says_who_keeps_the_machine_awake() -> None:
    text = as_text(status(open=(visitor(), visitor(is_you=True)), kept_awake_by={"request": 1}))
    assert text.startswith(f"Machine {MACHINE} is awake, up 3 min 5 s\n\nYou\n")
    assert "\n1 request keeps it awake\n" in text
    assert (
        "  request          flycast fdaa:0:18::7, open 3.1 s, waits 2.0 s for GET /reports; keeps it awake\n" in text
    ), text
    assert len(text.splitlines()) < 50
    assert not re.search(r"[ \t]\n", text), "spaces at the end of a line"


def test_the_text_tells_of_public_callers_first_with_the_commands() -> None:
    text = as_text(status(requests={"public": 1}, refused=1, fix=("fly ips list -a a", "fly ips release 2a09::1 -a a")))
    assert text.splitlines()[2:5] == [
        "Exposed: 1 request came through a public address, 1 caller refused. To end it:",
        "  fly ips list -a a",
        "  fly ips release 2a09::1 -a a",
    ]


@pytest.mark.parametrize(
    ("kept_awake_by", "unseen", "sentence"),
    [
        ({}, 0, "Nothing but this page: Fly may stop it"),
        ({"request": 1}, 0, "1 request keeps it awake"),
        ({"request": 2}, 0, "2 requests keep it awake"),
        ({"request": 2, "WebSocket": 1}, 0, "2 requests and 1 WebSocket keep it awake"),
        ({"request": 1, "WebSocket": 1, "hello": 3}, 0, "1 request, 1 WebSocket and 3 hellos keep it awake"),
        ({"request": 1}, 1, "1 request keeps it awake; it came directly, which Fly Proxy does not count"),
        ({"request": 3}, 2, "3 requests keep it awake; 2 of them came directly, which Fly Proxy does not count"),
    ],
)
def test_the_verdict_is_one_sentence(kept_awake_by: dict[str, int], unseen: int, sentence: str) -> None:
    assert verdict(status(kept_awake_by=kept_awake_by, unseen_by_proxy=unseen), "this page") == sentence


def test_a_machine_that_drains_says_so_in_every_form() -> None:
    leaving = status(draining=True)
    assert "is draining" in as_text(leaving)
    assert "It is going: what is under way ends, nothing new begins" in words(as_html(leaving))
    assert 'data-state="draining"' in as_html(leaving)
    assert as_json(leaving)["draining"] is True


@pytest.mark.parametrize("ingress", Ingress)
def test_every_way_in_has_its_words(ingress: Ingress) -> None:
    came = status(you=Caller(ingress, "192.0.2.1"))
    assert f"{ingress}: {HOW[ingress]}" in as_text(came)
    assert f"You came {HOW[ingress]} from 192.0.2.1" in words(as_html(came))


def test_whatever_the_outside_puts_into_it_the_page_has_no_markup_of_others() -> None:
    page = as_html(crowded("\"'><img src=x onerror=alert(1)>&amp;$title"))
    plain = Page(as_html(crowded("word")))
    assert [tag for tag, _ in Page(page).attributes] == [tag for tag, _ in plain.attributes]
    assert page.count("$title") > 10, "and a dollar is a dollar"


def test_the_page_obeys_a_policy_without_inline_script_and_style_and_asks_nobody_else() -> None:
    for tag, attributes in Page(as_html(crowded("word"))).attributes:
        assert tag not in {"style", "iframe", "object", "base"}
        assert not any(name == "style" or name.startswith("on") for name in attributes), attributes
        for link in (attributes.get("src"), attributes.get("href")):
            assert link is None or re.fullmatch(r"/[a-z./-]*", link), link


def test_every_id_that_the_script_looks_up_is_on_the_page() -> None:
    looked_up = set(re.findall(r'\bat\("([a-z-]+)"\)', static_file("panel.js")))
    ids = {found["id"] for _, found in Page(as_html(status())).attributes if "id" in found}
    assert looked_up <= ids
    assert looked_up


def test_every_placeholder_is_filled_in_and_each_is_used() -> None:
    assert Template(static_file("page.html")).is_valid()
    assert "$" not in as_html(status()).replace("$ADMIN_TOKEN", "")


def test_without_a_token_on_the_server_the_command_takes_the_place_of_the_form() -> None:
    off = status(sleep=Sleep(0, "exit", "actions are off: no ADMIN_TOKEN is set; fly secrets set ADMIN_TOKEN=1", ""))
    assert "<form" in as_html(status())
    assert "<form" not in as_html(off)
    assert "<code>fly secrets set ADMIN_TOKEN=1</code>" in as_html(off)
    assert "fly secrets set ADMIN_TOKEN=1" in as_text(off)


@pytest.mark.parametrize(
    ("sleep", "says"),
    [
        (SLEEP, "when Fly's autostop finds it without load (IDLE_EXIT_SECONDS is 0)"),
        (Sleep(90, "exit", "", ""), "exits after 1 min 30 s without work"),
        (Sleep(5, "suspend", "", ""), "suspends after 5 s without work"),
        (Sleep(5, "suspend", "", "the Machine's API answered 412"), "the Machine's API answered 412"),
    ],
)
def test_it_says_when_the_machine_sleeps_by_itself_and_what_went_wrong(sleep: Sleep, says: str) -> None:
    assert says in as_text(status(sleep=sleep))
    assert says in words(as_html(status(sleep=sleep)))


@pytest.mark.parametrize(
    ("peers", "says"),
    [
        (Peers(), "asking DNS"),
        (Peers(None, 0.0, "LifetimeTimeout: 2 s"), "DNS: LifetimeTimeout: 2 s"),
        (Peers((), 1.0), "DNS knows no Machine of this app"),
        (Peers((Peer("b", "cdg", started=False), Peer(MACHINE, "ams", started=True)), 1.0), "b cdg asleep"),
    ],
)
def test_it_says_what_dns_knows_of_the_machines_or_why_it_knows_nothing(peers: Peers, says: str) -> None:
    assert says in words(as_html(status(peers=peers)))
    assert says.removeprefix("b ").replace("cdg asleep", "cdg, asleep") in as_text(status(peers=peers))


def test_off_fly_nothing_is_said_of_other_machines() -> None:
    assert "Machines of this app" not in as_html(status())
    assert "\nMachines\n" not in as_text(status())


def test_the_machine_that_answers_comes_first_then_the_started_ones_and_the_rest_is_counted() -> None:
    others = [Peer(f"{number:014x}", "ams", started=number % 2 == 1) for number in range(PEERS_SHOWN + 9)]
    peers = Peers((*others, Peer(MACHINE, "ams", started=True)), 1.0)
    listed = re.findall(r"([0-9a-f]{14}) ams (started|asleep)", words(as_html(status(peers=peers))))
    assert listed[0] == (MACHINE, "started")
    assert [now for _, now in listed] == sorted((now for _, now in listed), reverse=True)
    assert len(listed) == PEERS_SHOWN
    assert "and 10 more" in as_html(status(peers=peers))


def test_what_is_not_listed_is_counted() -> None:
    for shown in (as_text(status(open_count=42)), as_html(status(open_count=42))):
        assert "and 41 more connections" in shown


def test_resumes_are_told_with_the_time_awake() -> None:
    assert "up 3 min 5 s, 1 min of it awake, 2 resumes" in as_text(status(resumes=2, awake_ms=60_000.0))


@pytest.mark.parametrize("fly", [{}, FLY])
def test_the_command_that_puts_it_to_sleep_names_the_way_in(fly: dict[str, str]) -> None:
    host = f"{APP}.flycast" if fly else "localhost:8080"
    assert f'curl -X POST -H "Authorization: Bearer $ADMIN_TOKEN" {host}/api/sleep' in as_text(status(fly=fly))


def test_the_json_has_everything_and_is_json() -> None:
    said = json.loads(json.dumps(as_json(crowded("word"))))
    assert said["kept_awake_by"] == {kind.value: 1_000 for kind in Kind}
    assert said["hellos"] == {"platform": 7}
    assert said["open"][0]["kind"] == "request"


def test_the_boot_bar_has_no_gap_whatever_came_first() -> None:
    for order in permutations(BOOT_MS):
        parts = boot_bar.parts({phase: 100.0 * (number + 1) for number, phase in enumerate(order)})
        assert tuple(part.phase for part in parts) == order
        assert all(before.x + before.width == pytest.approx(after.x) for before, after in pairwise(parts)), order
        assert sum(part.took_ms for part in parts) == pytest.approx(500.0)
        assert all(0 <= part.x <= part.x + part.width <= boot_bar.WIDTH for part in parts), order


def test_a_first_caller_long_after_the_boot_does_not_squeeze_the_bar() -> None:
    bound, imported, serving, accepted, answered = boot_bar.parts(
        {**BOOT_MS, "first_accept": 3_600_000.0, "first_response": 3_600_001.0}
    )
    assert serving.x + serving.width == boot_bar.WIDTH
    assert imported.width > bound.width
    assert accepted.width == answered.width == 0
    assert "<td>1 h</td>" in as_html(status(boot_ms={**BOOT_MS, "first_accept": 3_600_000.0}))


def test_a_machine_that_has_not_booted_yet_has_an_empty_bar() -> None:
    assert boot_bar.parts({}) == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min"),
        (185.9, "3 min 5 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (86_400 + 3600, "1 d 1 h"),
        (86_400 + 60, "1 d"),
    ],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said
