"""Who can reach an app that is bound in each of the ways of docs/fly.md, "Binding"."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import RunningLab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

BOUND = Path(__file__).with_name("bound.py")
FLY_TOML = """\
app = "{app}"
primary_region = "ams"

[processes]
  app = "{python} {program} {address} 8080"

[http_service]
  internal_port = 8080
  processes = ["app"]
"""
OK = (0, "200")
UNAVAILABLE = (0, "503")
REFUSED = (7, "000")  # curl's exit status when the connection is refused
# app, what it binds, and what a client meets over Flycast and over 6PN
WAYS = [
    ("dual", "::", OK, OK),
    ("ipv4", "0.0.0.0", OK, REFUSED),
    ("six-pn", "fly-local-6pn", UNAVAILABLE, OK),
    ("v6only", "v6only", UNAVAILABLE, OK),
    ("localhost", "127.0.0.1", UNAVAILABLE, REFUSED),
    ("nothing", "nothing", UNAVAILABLE, REFUSED),
]
UNREACHABLE = [app for app, _, over_flycast, _ in WAYS if over_flycast == UNAVAILABLE]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    directory = tmp_path_factory.mktemp("binding")
    configs = []
    for app, address, _, _ in WAYS:
        config = directory / f"{app}.toml"
        config.write_text(FLY_TOML.format(app=app, python=sys.executable, program=BOUND, address=address))
        configs.append(config)
    with RunningLab(configs=configs) as running:
        yield running


@pytest.fixture(scope="module")
def met(lab: RunningLab) -> dict[str, tuple[int, str]]:
    """What curl met at every URL, all asked at once because a failure takes Fly's patience."""
    urls = [url for app, *_ in WAYS for url in (over_flycast_url(app), over_6pn_url(app))]

    def fetch(url: str) -> tuple[int, str]:
        done = lab.on("shell", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", url)
        return done.returncode, done.stdout

    with ThreadPoolExecutor(len(urls)) as pool:
        return dict(zip(urls, pool.map(fetch, urls), strict=True))


def over_flycast_url(app: str) -> str:
    return f"http://{app}.flycast"


def over_6pn_url(app: str) -> str:
    return f"http://{app}.internal:8080"


@pytest.mark.parametrize(("app", "address", "over_flycast", "over_6pn"), WAYS, ids=[way[0] for way in WAYS])
def test_each_way_to_bind_is_reached_just_where_fly_reaches_it(
    lab: RunningLab,
    met: dict[str, tuple[int, str]],
    app: str,
    address: str,
    over_flycast: tuple[int, str],
    over_6pn: tuple[int, str],
) -> None:
    assert met[over_flycast_url(app)] == over_flycast, f"{address} over Flycast{lab.tail()}"
    assert met[over_6pn_url(app)] == over_6pn, f"{address} over 6PN{lab.tail()}"


@pytest.mark.parametrize("app", UNREACHABLE)
@pytest.mark.usefixtures("met")
def test_the_log_says_what_the_proxy_met_and_when_it_gave_up(lab: RunningLab, app: str) -> None:
    machine = next(machine["id"] for machine in lab.status()["machines"] if machine["app"] == app)
    for words in (
        r"\[PC01\] instance refused connection\. is your app listening on 0\.0\.0\.0:8080\?",
        r"waiting for machine to be reachable on 0\.0\.0\.0:8080 \(waited 5\.\ds so far\)",
        r"\[PM05\] failed to connect to machine: gave up after 15 attempts \(in (8|9|10)\.\d+s\)",
        r"\[PR03\] could not find a good candidate within 40 attempts at load balancing",
    ):
        lab.wait_for(rf"\[{machine}\].*{words}" if "PR03" not in words else words)
    lab.wait_for(f"machine {machine} does not listen on 0.0.0.0:8080")
