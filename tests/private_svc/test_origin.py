"""Which pages may ask for something, and under which names this service may be asked."""

from __future__ import annotations

import tracemalloc

import pytest

from private_svc.web.origin import is_cross_site, is_our_name

HOST = "private-svc.flycast"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "x",
        "localhost:8080",
        "a.localhost",
        "private-svc.flycast",
        "PRIVATE-SVC.FLYCAST:80",
        "private-svc.flycast.",
        "ams.private-svc.internal:8080",
        "127.0.0.1",
        "127.0.0.1:8080",
        "[::1]",
        "[fdaa:0:18::9]:8080",
        "[::ffff:172.19.0.2]:8080",
        "panel.example.com",
        "panel.example.com:8443",
    ],
)
def test_a_name_that_no_stranger_can_own_is_ours(host: str) -> None:
    assert is_our_name(host, ("panel.example.com",))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "flycast.evil.example",
        "private-svc.flycast.evil.example",
        "evilflycast.example",
        "internal.example",
        "127.0.0.1.evil.example",
        "sub.panel.example.com",
        "other-app.fly.dev",
        "127.0.0.1@evil.example",
        "evil.com#.flycast",
        "evil.com/.flycast",
        "evil.com?.flycast",
        "evil.com\\.flycast",
        "evil.com .flycast",
        "evil.com,x.flycast",
        "evil.com;.flycast",
        "evil.com%00.flycast",
        "user:pw@evil.com",
        "user@x",
        "x@private-svc.flycast",
        "a, b",
        "a:b",
        "a:123456",
        "a:80:80",
        "[::1",
        "::1]",
        "[x]",
        "[127.0.0.1.evil.example]",
        "[::1]evil.example",
        "[fe80::1%eth0]",
        "\u0661.flycast",
        "\udcff.flycast",
        f"{'x' * 8000}.flycast",
    ],
)
def test_any_other_name_is_not(host: str) -> None:
    assert not is_our_name(host, ("panel.example.com",))


def test_no_name_of_a_callers_size_is_remembered() -> None:
    tracemalloc.start()
    try:
        for number in range(300):
            assert not is_our_name(f"{number}.{'x' * 8000}.example", ())
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 200_000


@pytest.mark.parametrize("site", ["same-origin", "Same-Origin", "none"])
def test_our_own_page_and_the_address_bar_may_ask_whatever_origin_says(site: str) -> None:
    assert not is_cross_site({"Host": HOST, "Sec-Fetch-Site": site, "Origin": "null"})


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "whatever", "same-origin, cross-site"])
def test_every_other_page_may_not(site: str) -> None:
    assert is_cross_site({"Host": HOST, "Sec-Fetch-Site": site, "Origin": f"http://{HOST}"})


@pytest.mark.parametrize("origin", [f"http://{HOST}", f"https://{HOST}", f"HTTP://{HOST.upper()}"])
def test_without_fetch_metadata_the_origin_must_be_the_host(origin: str) -> None:
    assert not is_cross_site({"Host": HOST, "Origin": origin})


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.example",
        f"http://{HOST}:81",
        f"http://{HOST}.evil.example",
        f"http://{HOST}@evil.example",
        f"http://evil.example/{HOST}",
        HOST,
        "http://[",
        "http://[::1",
        "http://",
        "://",
        "\udcff",
    ],
)
def test_any_other_origin_is_another_site(origin: str) -> None:
    assert is_cross_site({"Host": HOST, "Origin": origin})
    assert is_cross_site({"Origin": origin}), "nor is it ours when no Host was named"


def test_a_program_that_says_neither_is_nobody_s_puppet() -> None:
    assert not is_cross_site({"Host": HOST})
