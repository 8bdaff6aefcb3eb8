"""What the log and the panel say of a public way in."""

from __future__ import annotations

import pytest

from private_svc.activity import Activity
from private_svc.exposure import ADDRESSES_AT_MOST, Exposure
from private_svc.ingress import Caller, Ingress

CALLER = Caller(Ingress.PUBLIC, "203.0.113.7")


async def test_the_fix_names_every_address_that_was_used_once() -> None:
    exposure = Exposure("my-app", Activity())
    assert list(exposure.fix) == ["fly ips list -a my-app", "fly ips release ADDRESS -a my-app"]
    for address in (" 66.241.125.1", "66.241.125.1", "::ffff:66.241.125.1", "2a09:8280:1::1:2"):
        exposure.through(address)
    used = ("66.241.125.1", "2a09:8280:1::1:2")
    assert list(exposure.fix[1:]) == [f"fly ips release {address} -a my-app" for address in used]


@pytest.mark.parametrize(
    "address", ["", " ", "unknown", "66.241.125.1; rm -rf /", "$(id)", "66.241.125.1%0a", "fe80::1%$(id)"]
)
async def test_what_is_no_address_is_never_part_of_a_command(address: str) -> None:
    exposure = Exposure("my-app", Activity())
    exposure.through(address)
    assert list(exposure.fix) == ["fly ips list -a my-app", "fly ips release ADDRESS -a my-app"]


async def test_only_so_many_addresses_are_kept() -> None:
    exposure = Exposure(None, Activity())
    for number in range(1000):
        exposure.through(f"66.241.{number // 256}.{number % 256}")
    assert len(exposure.fix) == 1 + ADDRESSES_AT_MOST
    assert exposure.fix[0] == "fly ips list -a APP"


async def test_every_refusal_is_counted_and_one_a_minute_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    activity = Activity()
    exposure = Exposure("my-app", activity)
    for _ in range(1000):
        exposure.refuse(CALLER)
    assert activity.refused == {Ingress.PUBLIC: 1000}
    assert [record.getMessage() for record in caplog.records] == ["refused"]


async def test_a_caller_of_unknown_origin_is_logged_apart_with_the_setting_that_lets_it_in(
    caplog: pytest.LogCaptureFixture,
) -> None:
    activity = Activity()
    exposure = Exposure("my-app", activity)
    for _ in range(2):
        exposure.refuse(CALLER)
        exposure.refuse(Caller(Ingress.UNKNOWN, "10.1.2.3"))
    public, unknown = (record.__dict__["fields"] for record in caplog.records)
    assert activity.refused == {Ingress.PUBLIC: 2, Ingress.UNKNOWN: 2}
    assert (public["refused"], unknown["refused"]) == (1, 1)
    assert "fly ips release" in public["fix"]
    assert "10.1.2.3" in unknown["fix"]
    assert "PLATFORM_NETWORKS" in unknown["fix"]
