"""Authorities that are loaded late are the ones that count: real TLS servers, one signed by ours, one by nobody's."""

from __future__ import annotations

import http.client
import os
import shutil
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from socketserver import StreamRequestHandler, TCPServer
from typing import TYPE_CHECKING

import pytest

from private_svc import ca_certificates
from tests.private_svc.process import PATIENCE_SECONDS, ROOT, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="not installed: openssl")

APP = """
from aiohttp import ClientError, ClientSession, web

async def fetch(request):
    async with ClientSession() as session:
        try:
            async with session.get(request.query["url"], ssl=request.query.get("check") != "no") as response:
                return web.Response(text=await response.text())
        except ClientError as error:
            return web.Response(text=type(error).__name__)

def make():
    web_app = web.Application()
    web_app.add_routes([web.get("/", fetch)])
    return web_app
"""


def _signed_by_itself(folder: Path, name: str) -> Path:
    """Make a certificate for localhost that is its own authority, with its key behind it in one file."""
    key, certificate, both = (folder / f"{name}.{part}" for part in ("key", "crt", "pem"))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    both.write_text(key.read_text() + certificate.read_text())
    return both


class Greet(StreamRequestHandler):
    """Answers over TLS; a client that refuses the certificate is none of its business."""

    def handle(self) -> None:
        try:
            with self.server.tls.wrap_socket(self.request, server_side=True) as connection:  # type: ignore[attr-defined] # below
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntrusted")
        except OSError:
            pass


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[Path, Path]:
    """Return a certificate to trust, and one not to."""
    return _signed_by_itself(tmp_path, "ours"), _signed_by_itself(tmp_path, "strangers")


@pytest.fixture
def urls(certificates: tuple[Path, Path]) -> Iterator[list[str]]:
    """Serve with each of the certificates; return the two URLs."""
    servers = []
    for certificate in certificates:
        server = TCPServer(("127.0.0.1", 0), Greet)
        server.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)  # type: ignore[attr-defined] # ours
        server.tls.load_cert_chain(certificate)  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
    yield [f"https://localhost:{server.server_address[1]}/" for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


def _fetched(port: int, url: str, check: str = "yes") -> str:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    client.request("GET", f"/app/?url={url}&check={check}")
    body = client.getresponse().read().decode()
    client.close()
    return body


def test_a_tls_client_in_your_own_app_trusts_whom_the_system_trusts_and_nobody_else(
    tmp_path: Path, certificates: tuple[Path, Path], urls: list[str]
) -> None:
    (tmp_path / "own.py").write_text(APP)
    environ = {"APP": "own:make", "PYTHONPATH": str(tmp_path), "SSL_CERT_FILE": str(certificates[0])}
    with service(**environ, SSL_CERT_DIR=str(tmp_path / "nothing")) as running:
        port = running.port("admin")
        assert [_fetched(port, url) for url in urls] == ["trusted", "ClientConnectorCertificateError"]
        assert [_fetched(port, url, check="no") for url in urls] == ["trusted", "trusted"]


def test_the_first_answer_waits_for_no_ca_certificates(tmp_path: Path) -> None:
    never_read = tmp_path / "authorities"
    os.mkfifo(never_read)  # who opens it, waits for ever
    with service(SSL_CERT_FILE=str(never_read)) as running:
        client = http.client.HTTPConnection("127.0.0.1", running.port("admin"), timeout=PATIENCE_SECONDS)
        client.request("GET", "/healthz")
        assert client.getresponse().status == 200
        client.close()


def test_once_aiohttp_is_imported_new_contexts_load_their_ca_certificates_at_once(
    certificates: tuple[Path, Path],
) -> None:
    looking = (
        "import ssl\n"
        "from private_svc.life import _import_http\n"
        "before = dict(vars(ssl.SSLContext))\n"
        "_import_http()\n"
        "assert vars(ssl.SSLContext) == before\n"
        "made = ssl.create_default_context()\n"
        "assert type(made) is ssl.SSLContext\n"
        "print(made.cert_store_stats()['x509'])\n"
    )
    environ = os.environ | {"SSL_CERT_FILE": str(certificates[0]), "SSL_CERT_DIR": "/nowhere"}
    command = [sys.executable, "-c", looking]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.fixture
def deferred(monkeypatch: pytest.MonkeyPatch, certificates: tuple[Path, Path]) -> ssl.SSLContext:
    """Return a context that has yet to load one CA certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
    with ca_certificates.deferred():
        context = ssl.create_default_context()
    assert type(context) is ca_certificates.Deferred
    return context


def test_who_counts_the_ca_certificates_finds_them(deferred: ssl.SSLContext) -> None:
    assert deferred.cert_store_stats()["x509"] == 1
    assert type(deferred) is ssl.SSLContext


def test_who_lists_the_ca_certificates_finds_them(deferred: ssl.SSLContext) -> None:
    (one,) = deferred.get_ca_certs()
    assert one["subject"] == ((("commonName", "localhost"),),)


def test_threads_that_are_first_together_all_find_the_ca_certificates(deferred: ssl.SSLContext) -> None:
    together = threading.Barrier(8)

    def connect() -> int:
        together.wait(PATIENCE_SECONDS)
        deferred.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
        return ssl.SSLContext.cert_store_stats(deferred)["x509"]

    with ThreadPoolExecutor(8) as pool:
        assert [done.result() for done in [pool.submit(connect) for _ in range(8)]] == [1] * 8


def test_a_context_of_somebody_elses_class_loads_its_ca_certificates_at_once(
    monkeypatch: pytest.MonkeyPatch, certificates: tuple[Path, Path]
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")

    class Theirs(ssl.SSLContext):
        """A context with ways of its own."""

    with ca_certificates.deferred():
        context = Theirs(ssl.PROTOCOL_TLS_CLIENT)
        context.set_default_verify_paths()
    assert type(context) is Theirs
    assert context.cert_store_stats()["x509"] == 1
