"""The accounts as Prometheus reads them, and who may."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from private_svc.activity import Greeted
from private_svc.ingress import Caller, Ingress
from private_svc.metrics import CONTENT_TYPE, exposition
from private_svc.web.scrape import Scrape
from tests.private_svc.making import SeenAs, context
from tests.private_svc.process import PATIENCE_SECONDS, Running, service
from tests.private_svc.site import PROXY, Answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from private_svc.context import Context

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
MODULES_APP = """
import sys
from aiohttp import web
async def modules(request):
    return web.json_response(sorted(sys.modules))
def make():
    web_app = web.Application()
    web_app.add_routes([web.get("/", modules)])
    return web_app
"""


def samples(text: str) -> Samples:
    """Return every sample by name and labels, without the `private_svc_` before it."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, f"{family.name} says what it is"
        for sample in family.samples:
            assert sample.name.startswith("private_svc_")
            found[sample.name.removeprefix("private_svc_"), tuple(sorted(sample.labels.items()))] = sample.value
    return found


def of(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the key of a sample."""
    return name, tuple(sorted(labels.items()))


@contextmanager
def with_metrics(**environ: str) -> Iterator[tuple[Running, int]]:
    """Run a service with a metrics port, which is kept from every other program until it has it."""
    with socket.socket(socket.AF_INET6) as holder:
        holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # who sets it too may bind, while nobody listens
        holder.bind(("::", 0))
        port = int(holder.getsockname()[1])
        with service(METRICS_PORT=str(port), **environ) as running:
            yield running, port


def get(host: str, port: int, path: str) -> http.client.HTTPResponse:
    """Ask on a connection of its own."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)
    connection.request("GET", path, headers={"Host": "x", "Connection": "close"})
    return connection.getresponse()


def test_every_account_is_exposed_as_it_stands() -> None:
    here = context()
    activity = here.activity
    activity.answers[Ingress.FLYCAST, 200] = 7
    activity.answers[Ingress.PUBLIC, 403] = 3
    activity.hellos[Ingress.SIX_PN, Greeted.GREETED] = 2
    activity.hellos[Ingress.PLATFORM, Greeted.NO_PREFACE] = 1
    activity.refused[Ingress.PUBLIC], activity.throttled, activity.drained = 3, 4, 5
    here.awake.resumes = 8
    at_work = activity.arrive("admin", Caller(Ingress.FLYCAST, "fdaa::1"))
    activity.begin(at_work, "GET /app/", is_work=True)
    activity.arrive("hello", Caller(Ingress.SIX_PN, "fdaa::2"))
    activity.arrive("metrics", Caller(Ingress.SIX_PN, "fdaa::3"))
    found = samples(exposition(here).decode())
    assert found.pop(of("boot_seconds", phase="serving")) >= 1.0
    assert found == {
        of("requests_total", ingress="flycast", status="200"): 7,
        of("requests_total", ingress="public", status="403"): 3,
        of("hellos_total", ingress="six_pn", outcome="greeted"): 2,
        of("hellos_total", ingress="platform", outcome="no_preface"): 1,
        of("refused_total", ingress="public"): 3,
        of("refused_total", ingress="unknown"): 0,
        of("throttled_total"): 4,
        of("drained_total"): 5,
        of("resumes_total"): 8,
        of("in_flight"): 1,
        of("connections"): 2,
    }


def test_a_service_that_has_done_nothing_says_so_with_zeros() -> None:
    found = samples(exposition(context()).decode())
    assert {value for key, value in found.items() if key[0] != "boot_seconds"} == {0.0}


def test_a_scrape_does_not_mind_that_the_accounts_go_on_meanwhile() -> None:
    here, failed = context(), []

    def scrape() -> None:
        try:
            for _ in range(20):
                exposition(here)
        except RuntimeError as error:  # changed size during iteration
            failed.append(error)

    visits = [here.activity.arrive("admin", Caller(Ingress.FLYCAST, "fdaa::1")) for _ in range(2000)]
    thread = threading.Thread(target=scrape)
    thread.start()
    status = 100
    while thread.is_alive():
        here.activity.answers[Ingress.FLYCAST, status] += 1
        here.activity.leave(visits.pop())
        visits.insert(0, here.activity.arrive("admin", Caller(Ingress.FLYCAST, "fdaa::1")))
        status = status + 1 if status < 999 else 100
    thread.join()
    assert failed == []


def test_a_process_counts_what_it_did_and_its_metrics_port_is_closed_to_ipv4() -> None:
    with with_metrics() as (running, port):
        admin, hello = running.port("admin"), running.port("hello")
        for host in ("127.0.0.1", "::1", "::1"):
            assert get(host, admin, "/whoami").read()
        assert get("::1", admin, "/nope").status == 404
        for _ in range(3):
            with socket.create_connection(("::1", hello), timeout=PATIENCE_SECONDS) as caller:
                assert caller.recv(100) == b"hello\n"
        response = get("::1", port, "/metrics")
        assert (response.status, response.getheader("Content-Type")) == (200, CONTENT_TYPE)
        found = samples(response.read().decode())
        assert found[of("requests_total", ingress="loopback", status="200")] == 3
        assert found[of("requests_total", ingress="loopback", status="404")] == 1
        assert found[of("hellos_total", ingress="loopback", outcome="greeted")] == 3
        phases = [found[of("boot_seconds", phase=phase)] for phase in ("bound", "imported", "serving", "first_accept")]
        assert phases == sorted(phases)
        assert get("::1", port, "/").status == 404
        with pytest.raises(ConnectionRefusedError):  # Fly Proxy dials IPv4
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)


def test_the_client_library_is_imported_by_the_first_scrape(tmp_path: Path) -> None:
    (tmp_path / "modules.py").write_text(MODULES_APP)
    with with_metrics(APP="modules:make", PYTHONPATH=str(tmp_path)) as (running, port):
        admin = running.port("admin")
        before = json.loads(get("::1", admin, "/app/").read())
        assert "aiohttp" in before
        assert "prometheus_client" not in before
        assert "dns" not in before, "nor is dnspython before somebody looks at the panel on Fly"
        assert get("::1", port, "/metrics").read()
        assert "prometheus_client" in json.loads(get("::1", admin, "/app/").read())


async def scraped(here: Context, method: str = "GET", path: str = "/metrics", *headers: str, host: str = "x") -> Answer:
    """Ask the metrics listener of this context."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        scrape = Scrape(here)
        address = listening.getsockname()
        scrape.start(listening)
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(*address)
            lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]
            writer.write("\r\n".join(lines).encode())
            answer = Answer(await reader.read())
        writer.close()
        await scrape.stop()
    return answer


@pytest.mark.parametrize(
    ("peer", "status"),
    [("fdaa:0:18::9", 200), ("::1", 200), (PROXY, 200), ("192.0.2.1", 403), ("2001:db8::1", 403)],
)
async def test_strangers_are_refused(peer: str, status: int) -> None:
    answer = await scraped(context(SeenAs(peer)))
    assert answer.status == status
    assert ("private_svc_" in answer.text) is (status == 200)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/metrics", 405), ("GET", "/", 404), ("GET", "/metrics/x", 404), ("HEAD", "/metrics", 200)],
)
async def test_there_is_one_path_to_look_at(method: str, path: str, status: int) -> None:
    answer = await scraped(context(SeenAs("::1")), method, path)
    assert answer.status == status
    if method == "HEAD":
        assert answer.body == b""


@pytest.mark.parametrize(
    ("host", "status"),
    [("[fdaa:0:18::9]:9091", 200), ("private-svc.internal:9091", 200), ("evil.example", 421), ("u@x", 400)],
)
async def test_a_strangers_name_for_our_address_shows_no_metrics(host: str, status: int) -> None:
    answer = await scraped(context(SeenAs("fdaa:0:18::9")), host=host)
    assert answer.status == status
    assert ("private_svc_" in answer.text) is (status == 200)


async def test_a_scrape_leaves_no_trace_in_the_accounts() -> None:
    here = context(SeenAs("::1"))
    first = samples((await scraped(here)).text)
    second = samples((await scraped(here)).text)
    boot = of("boot_seconds", phase="first_accept"), of("boot_seconds", phase="first_response")
    assert {key: value for key, value in second.items() if key not in boot} == {
        key: value for key, value in first.items() if key not in boot
    }
