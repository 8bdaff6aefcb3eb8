"""The list of sections that a `Status` becomes, and the two renderers of that list."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import permutations
from string import Template

import pytest

from private_svc.ingress import Caller, Ingress
from private_svc.peers import Peer, Peers
from private_svc.web.panel import MACHINES_SHOWN, Section, duration, sections, verdict
from private_svc.web.rendering import BAR_WIDTH, as_html, as_text, static_file
from private_svc.web.status import Sleep, Status, as_json
from tests.private_svc.making import FLY
from tests.private_svc.statuses import BOOT_MS, KINDS, connection, crowded, status

MACHINE = FLY["FLY_MACHINE_ID"]
URL = "my-app.flycast/_/"
VOID = {"meta", "link", "img", "input", "rect"}


class Page(HTMLParser):
    """Reads a page strictly: each element must be closed, and no id may appear twice."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []
        self.ids = [found["id"] for _, found in self.attributes if "id" in found]
        assert len(self.ids) == len(set(self.ids)), f"an id twice: {self.ids}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def section(name: str, seen: Status) -> Section:
    (found,) = [it for it in sections(seen, URL) if it.name == name]
    return found


def rows(name: str, seen: Status) -> list[list[str]]:
    """Return the cells of a section as plain text."""
    return [[str(cell) for cell in row] for row in section(name, seen).rows]


def test_the_page_and_the_text_have_every_word_of_every_section() -> None:
    seen = crowded("word")
    page, text = Page(as_html(seen, URL)).words, as_text(seen, URL)
    for it in sections(seen, URL):
        for words in (it.title, it.summary, *it.columns, *(str(cell) for row in it.rows for cell in row)):
            assert words in text
            assert " ".join(words.split()) in " ".join(page)


def test_the_text_is_a_headline_and_aligned_tables() -> None:
    seen = status(resumes=2, awake_ms=60_000.0, open=(connection(waits_for="GET /" + "x" * 100), connection()))
    text = as_text(seen, URL)
    assert text.startswith(f"Machine {MACHINE} is awake, up 3 min 5 s, 1 min of it awake, 2 resumes\n\nYou\n  You came")
    assert "\n  request  GET /reports" + " " * 30 + "keeps it awake  flycast" in text, "a long path pushes nobody far"
    (head,), (phase,) = (re.findall(rf"^  {name} .*$", text, re.MULTILINE) for name in ("phase", "imported"))
    assert (head.index("took"), head.index("after exec")) == (phase.index("360.0 ms"), phase.index("400.0 ms"))
    assert not re.search(r"[ \t]\n", text), "spaces at the end of a line"


def test_a_public_address_comes_first_with_the_commands_that_remove_it() -> None:
    commands = ("fly ips list -a a", "fly ips release 2a09::1 -a a")
    seen = status(requests={"public": 1}, refused=1, fix=commands)
    assert as_text(seen, URL).splitlines()[2:6] == [
        "Exposed",
        "  1 request came through a public address, 1 caller refused. These commands remove the address:",
        *(f"  {command}" for command in commands),
    ]
    assert "Exposed" not in as_text(status(), URL)


@pytest.mark.parametrize(
    ("kept_awake_by", "directly", "sentence"),
    [
        ({}, 0, "Nothing but your own request keeps this Machine awake, so Fly may stop it"),
        ({"request": 1}, 0, "1 request keeps this Machine awake"),
        ({"request": 1, "WebSocket": 1, "hello": 3}, 0, "1 request, 1 WebSocket and 3 hellos keep this Machine awake"),
        (
            {"request": 1},
            1,
            "1 request keeps this Machine awake; it came directly, so Fly Proxy does not count it",
        ),
        (
            {"request": 3},
            2,
            "3 requests keep this Machine awake; 2 of them came directly, so Fly Proxy does not count them",
        ),
    ],
)
def test_one_sentence_says_what_keeps_the_machine_awake(
    kept_awake_by: dict[str, int], directly: int, sentence: str
) -> None:
    assert verdict(status(kept_awake_by=kept_awake_by, unseen_by_proxy=directly)) == sentence


def test_every_connection_has_a_row_and_those_beyond_the_list_are_counted() -> None:
    six_pn = Caller(Ingress.SIX_PN, "fdaa::5")
    idle = connection(kind="idle connection", caller=six_pn, waits_for="", keeps_awake=False, seen_by_proxy=False)
    seen = status(open=(connection(), connection(caller=six_pn, seen_by_proxy=False), idle), open_count=45)
    where = "admin port, open for 3.1 s"
    over_flycast, directly = f"flycast fdaa:0:18::7, {where}, waiting for 2.0 s", f"six_pn fdaa::5, {where}"
    assert rows("awake", seen) == [
        ["request", "GET /reports", "keeps it awake", over_flycast],
        ["request", "GET /reports", "keeps it awake", f"{directly}, waiting for 2.0 s, not counted by Fly Proxy"],
        ["idle connection", "", "lets it sleep", f"{directly}, no request"],
        ["and 42 more connections"],
    ]


@pytest.mark.parametrize(("ingress", "named"), [("platform", True), ("flycast", True), ("six_pn", False)])
def test_a_raw_connection_that_only_fly_proxy_still_holds_is_named(ingress: str, *, named: bool) -> None:
    text = as_text(status(hellos={ingress: 1}), URL)
    assert ("keeps a raw connection open after this service has closed it" in text) is named


def test_a_machine_that_drains_says_so_in_every_form() -> None:
    leaving = status(draining=True)
    assert "is draining" in as_text(leaving, URL)
    assert "This Machine is leaving: it finishes" in as_html(leaving, URL)
    assert 'data-state="draining"' in as_html(leaving, URL)
    assert as_json(leaving)["draining"] is True


@pytest.mark.parametrize("ingress", Ingress)
def test_every_way_in_is_described(ingress: Ingress) -> None:
    you = section("you", status(you=Caller(ingress, "192.0.2.1")))
    assert you.summary.startswith("You came ")
    assert str(you.rows[0][1]) == "192.0.2.1"
    assert re.fullmatch(r"You → .*this Machine", str(you.rows[1][1]))


def test_text_from_outside_never_becomes_markup() -> None:
    page = as_html(crowded("\"'><img src=x onerror=alert(1)>&amp;$title"), "\"'><img>")
    plain = Page(as_html(crowded("word"), URL))
    assert [tag for tag, _ in Page(page).attributes] == [tag for tag, _ in plain.attributes]
    assert page.count("$title") > 10, "and a dollar is a dollar"


def test_the_page_obeys_its_policy_and_links_relative_to_where_it_is_mounted() -> None:
    for tag, attributes in Page(as_html(crowded("word"), URL)).attributes:
        assert tag not in {"style", "iframe", "object", "base"}
        assert not any(name == "style" or name.startswith("on") for name in attributes), attributes
        for link in (attributes.get("src"), attributes.get("href")):
            assert link is None or re.fullmatch(r"[a-z.][a-z./-]*", link), link
    assert not re.search(r"""fetch\(["'`]/""", static_file("panel.js"))


def test_every_id_that_the_script_looks_up_is_on_the_page() -> None:
    looked_up = set(re.findall(r'\belement\("([a-z-]+)"\)', static_file("panel.js")))
    assert looked_up
    assert looked_up <= set(Page(as_html(status(), URL)).ids)


def test_every_placeholder_is_filled_in_and_each_is_used() -> None:
    assert Template(static_file("page.html")).is_valid()
    assert "$" not in as_html(status(), URL).replace("$ADMIN_TOKEN", "")


def test_the_command_that_puts_the_machine_to_sleep_goes_where_the_reader_came_from() -> None:
    command = 'curl -X POST -H "X-Admin-Token: $ADMIN_TOKEN" my-app.flycast/_/api/sleep'
    assert rows("sleep", status()) == [["by hand", command]]
    assert "<form" in as_html(status(), URL)


def test_without_a_token_on_the_server_the_command_that_sets_one_takes_the_place_of_the_form() -> None:
    off = status(sleep=Sleep(0, "exit", "actions are off: no ADMIN_TOKEN is set; fly secrets set ADMIN_TOKEN=1", ""))
    assert rows("sleep", off) == [
        ["by hand", "actions are off: no ADMIN_TOKEN is set"],
        ["to turn on", "fly secrets set ADMIN_TOKEN=1"],
    ]
    assert "<form" not in as_html(off, URL)


@pytest.mark.parametrize(
    ("sleep", "summary"),
    [
        (Sleep(0, "exit", "", ""), "It sleeps when Fly's autostop finds no load (IDLE_EXIT_SECONDS is 0)"),
        (Sleep(90, "exit", "", ""), "It exits after 1 min 30 s without work"),
        (Sleep(5, "suspend", "", ""), "It suspends after 5.0 s without work"),
    ],
)
def test_it_says_when_the_machine_sleeps_by_itself(sleep: Sleep, summary: str) -> None:
    assert section("sleep", status(sleep=sleep)).summary == summary


def test_a_suspension_that_failed_is_told() -> None:
    failed = status(sleep=Sleep(5, "suspend", "", "the Machine's API answered 412"))
    assert rows("sleep", failed)[0] == ["not suspended", "the Machine's API answered 412"]


@pytest.mark.parametrize(
    ("peers", "dns"),
    [
        (Peers(), "has not answered yet"),
        (Peers(None, 0.0, "LifetimeTimeout: 2 s"), "LifetimeTimeout: 2 s"),
        (Peers((), 1.0), "knew no Machine of this app 1.0 s ago"),
        (Peers((Peer("b", "cdg", started=False),), 1.0), "answered 1.0 s ago"),
    ],
)
def test_it_says_how_current_the_list_of_machines_is_or_why_there_is_none(peers: Peers, dns: str) -> None:
    assert rows("machines", status(peers=peers))[-1] == ["DNS", dns]


def test_the_machine_that_answers_comes_first_then_the_started_ones_and_the_rest_is_counted() -> None:
    others = [Peer(f"{number:014x}", "ams", started=number % 2 == 1) for number in range(MACHINES_SHOWN + 9)]
    *listed, more, _ = rows("machines", status(peers=Peers((*others, Peer(MACHINE, "ams", started=True)), 1.0)))
    assert listed[0] == [MACHINE, "ams", "started", "this one"]
    assert [row[2] for row in listed] == sorted((row[2] for row in listed), reverse=True)
    assert len(listed) == MACHINES_SHOWN
    assert more == ["and 10 more"]


def test_off_fly_nothing_is_said_of_other_machines() -> None:
    assert "Machines of this app" not in as_html(status(), URL)
    assert '<section id="machines"></section>' in as_html(status(), URL), "which panel.css hides"


def test_the_json_has_every_field_and_is_json() -> None:
    answer = json.loads(json.dumps(as_json(crowded("word"))))
    assert answer["kept_awake_by"] == dict.fromkeys(KINDS, 1_000)
    assert answer["hellos"] == {"platform": 7}
    assert answer["open"][0]["kind"] == "request"


def test_the_boot_bar_has_no_gap_whatever_came_first() -> None:
    for order in permutations(BOOT_MS):
        boot_ms = {phase: 100.0 * (number + 1) for number, phase in enumerate(order)}
        boot = section("boot", status(boot_ms=boot_ms))
        assert [str(row[0]).replace(" ", "_") for row in boot.rows] == list(order)
        assert [row[2:] for row in boot.rows] == [("100.0 ms", f"{ms:.1f} ms") for ms in boot_ms.values()]
        within = [ms for ms in boot_ms.values() if ms <= 2 * boot_ms["serving"]]
        assert boot.bar == pytest.approx([1 / len(within)] * len(within) + [0.0] * (5 - len(within)))


def test_a_first_caller_long_after_the_boot_does_not_squeeze_the_bar() -> None:
    seen = status(boot_ms={**BOOT_MS, "first_accept": 3_600_000.0, "first_response": 3_600_001.0})
    assert section("boot", seen).bar == pytest.approx([40 / 410, 360 / 410, 10 / 410, 0, 0])
    assert rows("boot", seen)[3][3] == "1 h"
    drawn = [found for tag, found in Page(as_html(seen, URL)).attributes if tag == "rect"]
    assert [(float(it["x"] or ""), float(it["width"] or "")) for it in drawn[3:]] == [(BAR_WIDTH, 0), (BAR_WIDTH, 0)]


def test_a_machine_that_has_not_booted_yet_has_no_bar() -> None:
    assert "<svg" not in as_html(status(boot_ms={}), URL)


@pytest.mark.parametrize(
    ("seconds", "text"),
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
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
