"""Every way in, and what the service makes of it: Flycast, 6PN, a WireGuard peer, the internet, the PROXY preface."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lab.topology import PUBLIC
from tests.e2e.running import PROJECT, RunningLab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

APP = "private-svc"
SERVICE = f"env PYTHONPATH={PROJECT} {sys.executable} -m private_svc"
BEHIND_PREFACE = """\
app = "hello-{version}"
primary_region = "ams"
[env]
  HELLO_PROXY_PROTOCOL = "on"
[[services]]
  internal_port = 1848
  [[services.ports]]
    port = 1848
    handlers = ["proxy_proto"]
    proxy_proto_options = {{ version = "{version}" }}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """The project's app, exposed, and beside it two whose hello port is behind `proxy_proto`."""
    configs = [PROJECT / "fly.toml"]
    for version in ("v1", "v2"):
        configs.append(tmp_path_factory.mktemp(version) / "fly.toml")
        configs[-1].write_text(BEHIND_PREFACE.format(version=version))
    with RunningLab("--public", "--command", SERVICE, configs=configs) as running:
        yield running


@pytest.fixture(scope="module")
def shell_ip(lab: RunningLab) -> str:
    return lab.shell("echo $FLY_PRIVATE_IP").strip()


@pytest.fixture(scope="module")
def peer_ip(lab: RunningLab, shell_ip: str) -> str:
    """An address of the network that no Machine has, as a WireGuard peer's is; the shell Machine answers for it."""
    peer = shell_ip.removesuffix(":2") + ":a"
    lab.shell(f"ip -6 address add {peer}/128 dev eth0 nodad preferred_lft 0")  # used only by who asks for it
    return peer


def seen(lab: RunningLab, *curl: str) -> dict[str, str]:
    """Ask the service who we are."""
    done = lab.on("shell", "curl", "-sS", *curl)
    assert done.returncode == 0, f"{done.stderr}{lab.tail()}"
    you: dict[str, str] = json.loads(done.stdout)["you"]
    return you


def test_over_flycast_the_service_sees_the_caller_behind_the_proxy(lab: RunningLab, shell_ip: str) -> None:
    assert seen(lab, f"http://{APP}.flycast/api/status") == {"ingress": "flycast", "client": shell_ip}


def test_over_6pn_the_service_sees_the_caller_itself(lab: RunningLab, shell_ip: str) -> None:
    assert seen(lab, f"http://{APP}.internal:8080/api/status") == {"ingress": "six_pn", "client": shell_ip}


@pytest.mark.parametrize(("place", "ingress"), [("flycast", "flycast"), ("internal:8080", "six_pn")])
def test_a_wireguard_peer_is_seen_with_its_own_address(lab: RunningLab, peer_ip: str, place: str, ingress: str) -> None:
    you = seen(lab, "--interface", peer_ip, f"http://{APP}.{place}/api/status")
    assert you == {"ingress": ingress, "client": peer_ip}


def test_an_exposed_app_refuses_the_internet_and_serves_flycast_at_the_same_time(
    lab: RunningLab, shell_ip: str
) -> None:
    before = seen(lab, f"http://{APP}.flycast/api/status")
    refused = lab.on("internet", "curl", "-sS", "-w", "%{http_code}", f"http://[{PUBLIC}::2]/api/status")
    assert refused.stdout.endswith("403"), f"{refused.stdout}{refused.stderr}{lab.tail()}"
    assert seen(lab, f"http://{APP}.flycast/api/status") == before == {"ingress": "flycast", "client": shell_ip}


def hellos(lab: RunningLab, version: str) -> dict[str, int]:
    status: dict[str, Any] = json.loads(lab.shell(f"curl -sS http://hello-{version}.internal:8080/api/status"))
    counted: dict[str, int] = status["hellos"]
    return counted


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("said", ["", "hi"], ids=["the client listens", "the client speaks first"])
def test_through_a_proxy_preface_a_hello_is_greeted_and_counted_as_flycast(
    lab: RunningLab, version: str, said: str
) -> None:
    before = hellos(lab, version).get("flycast", 0)
    assert lab.on("shell", "nc", "-w5", f"hello-{version}.flycast", "1848", stdin=said).stdout == "hello\n", lab.tail()
    assert hellos(lab, version).get("flycast", 0) == before + 1


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_directly_over_6pn_a_hello_needs_no_preface(lab: RunningLab, version: str) -> None:
    before = hellos(lab, version).get("six_pn", 0)
    assert lab.shell(f"nc -w5 hello-{version}.internal 1848 </dev/null") == "hello\n"
    assert hellos(lab, version).get("six_pn", 0) == before + 1


def test_a_hello_through_a_preface_from_the_internet_is_closed_empty(lab: RunningLab) -> None:
    done = lab.on("internet", "nc", "-w5", f"{PUBLIC}::3", "1848")
    assert done.stdout == "", "PRIVATE_ONLY refuses who came in through a public address"
