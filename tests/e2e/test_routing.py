"""Two regions: who is closest, who was asked for, and what an app sends on."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import RunningLab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

APP = Path(__file__).with_name("replaying.py")
FLY_TOML = f"""\
app = "two"
primary_region = "ams"
[processes]
app = "{sys.executable} {APP} 8080"
[http_service]
internal_port = 8080
auto_stop_machines = "stop"
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """A Machine in ams, where the shell Machine is, and one in nrt."""
    config = tmp_path_factory.mktemp("two") / "fly.toml"
    config.write_text(FLY_TOML)
    with RunningLab("--scale=ams=1,nrt=1", configs=[config]) as running:
        yield running


def in_nrt(lab: RunningLab) -> str:
    return next(str(machine["id"]) for machine in lab.status()["machines"] if machine["region"] == "nrt")


@pytest.mark.parametrize(
    ("field", "region"), [("x: y", "ams"), ("fly-prefer-region: nrt", "nrt"), ("fly-prefer-region: lax", "ams")]
)
def test_a_request_goes_to_the_closest_machine_or_where_it_wants(lab: RunningLab, field: str, region: str) -> None:
    assert lab.shell(f"curl -sS -H '{field}' http://two.flycast/") == f"in {region}, client in ams, from nobody\n"


def test_what_nobody_can_serve_is_503_with_fly_s_words(lab: RunningLab) -> None:
    said = lab.shell("curl -sS -w '%{http_code}' -H 'fly-force-region: lax' http://two.flycast/")
    assert "[PR01] no known healthy instances found for route tcp/80" in said
    assert said.endswith("503")


def test_a_machine_far_away_serves_its_own_region_and_sends_writes_on(lab: RunningLab) -> None:
    machine_id = in_nrt(lab)
    done = lab.on(machine_id, "curl", "-sS", "http://two.flycast/", "http://two.flycast/write")
    read, written = done.stdout.splitlines()
    assert read == "in nrt, client in nrt, from nobody"
    assert re.fullmatch(
        rf"in ams, client in nrt, from instance={machine_id};region=nrt;t=\d{{16}};state=write", written
    ), written
