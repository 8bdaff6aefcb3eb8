"""The same program without a boundary: every attempt must succeed here, else it shows nothing of a Machine.

usage: python -m tests.hostile.control DIRECTORY

Run as root behind `alone`, in namespaces where nothing but the test's own can be hit: the plants of a lab's run, and
processes and listeners that stand for the lab, its proxy and nameserver, and other Machines.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.hostile.apps import PORT, pids_of, write_apps
from tests.hostile.planting import CALLER, Plants, stage
from tests.hostile.program import calls, staying
from tests.hostile.program.attempts import signature

if TYPE_CHECKING:
    from collections.abc import Iterator

_IDS = {"victim": "a0000000000001", "stranger": "a0000000000002"}
_VICTIM = {"ipv6": "fdaa:0:18::a", "ipv4": "172.19.0.10", "flycast": "fdaa:0:18:0:1::2"}
_STRANGER = {"ipv6": "fdaa:0:19::a", "ipv4": "172.19.0.18", "flycast": "fdaa:0:19:0:1::2"}
_NAMESERVER = "fdaa::3"
_DOOR = "flycast-lab/control"
_SECONDS = 300


def alone(app: Path) -> list[str]:
    """Return what runs a program as pid 1 of namespaces of its own, on the stage, but as the host's own root."""
    fresh = ("--pid", "--uts", "--ipc", "--net", "--fork", "--kill-child", "--mount-proc")
    unshare, *rest = stage(app)
    return [unshare, *fresh, *rest]


class _OpenProxy(socketserver.BaseRequestHandler):
    """Fetches from whatever address it is asked to."""

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            request = self.request.recv(4096)
            _, target, *_ = request.decode().split(" ", 2)
            place = urlsplit(target if "://" in target else f"//{target}")
            with socket.create_connection((place.hostname or "", place.port or 80), 2) as fetching:
                fetching.sendall(request)
                self.request.sendall(fetching.recv(4096))


class _Api(socketserver.StreamRequestHandler):
    """Says yes to everything, as a Machine's API does to its own Machine."""

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b'HTTP/1.1 200 OK\r\n\r\n{"id": "a", "ok": true}')


class _Nameserver(socketserver.DatagramRequestHandler):
    """Answers with the stranger's address."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.read() + socket.inet_pton(socket.AF_INET6, _STRANGER["ipv6"]))


class _Tcp6(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    daemon_threads = True


class _Udp6(socketserver.UDPServer):
    address_family = socket.AF_INET6


def _serve(server: socketserver.BaseServer) -> None:
    threading.Thread(target=server.serve_forever, daemon=True).start()


def _stand_in_for_the_lab() -> None:
    """Put into this network and this /run what a lab has there."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (*_VICTIM.values(), *_STRANGER.values(), _NAMESERVER):
        subprocess.run(["ip", "addr", "add", address, "dev", "lo", *(["nodad"] if ":" in address else [])], check=True)
    calls.mount("tmpfs", "/run", "tmpfs")
    for machine in _IDS.values():
        Path("/run/fly", machine).mkdir(parents=True)
        _serve(socketserver.ThreadingUnixStreamServer(f"/run/fly/{machine}/api", _Api))
    Path("/run/etc").mkdir()
    Path("/run/etc", f"{_IDS['victim']}.resolv.conf").write_text("nameserver fdaa::3\n")
    _serve(_Tcp6((_VICTIM["flycast"], 80), _OpenProxy))
    _serve(_Udp6((_NAMESERVER, 53), _Nameserver))
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door.bind(f"\0{_DOOR}")
    door.listen()

    def open_the_door() -> None:
        while True:
            asking, _ = door.accept()
            asking.recv(4096)
            asking.send(b'{"apps": []}')

    threading.Thread(target=open_the_door, daemon=True).start()


@contextlib.contextmanager
def _others(plants: Plants, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the victim of both names, and a process in a namespace of its own with a secret in its command line."""
    marker = plants.marker
    env = {**os.environ, "CHATTER": marker["chatter"], "MARKER": marker["victim"],
           "ANSWER": f"{marker['victim-answer']} {marker['stranger-answer']}"}  # fmt: skip
    nap = "import time; time.sleep(1000)"
    with (
        subprocess.Popen([sys.executable, directory / "victim" / "victim.py", str(PORT)], env=env) as victim,
        subprocess.Popen(["unshare", "--uts", sys.executable, "-c", nap, f"--secret=X={marker['secret']}"]) as other,
    ):
        try:
            subprocess.run(["sh", "-c", f"until nc -z ::1 {PORT}; do sleep 0.05; done"], check=True, timeout=30)
            yield victim
        finally:
            victim.kill()
            other.kill()


def _targets(plants: Plants, victim: int) -> dict[str, Any]:
    machines = {name: {"id": _IDS[name], "app": name, **known}
                for name, known in (("victim", _VICTIM), ("stranger", _STRANGER))}  # fmt: skip
    return {
        **plants.targets(), "conditions": plants.conditions(), "machines": machines, "port": PORT,
        "nameservers": [_NAMESERVER], "proxies": [_VICTIM["flycast"]], "lab_addresses": [_NAMESERVER],
        "host_addresses": [_VICTIM["ipv4"]], "forged_source": _STRANGER["ipv6"], "doors": [_DOOR], "pids": [victim],
        "directories": ["/dev/shm"],
    }  # fmt: skip


def run(directory: Path) -> dict[str, dict[str, str]]:
    """Make every attempt with nothing in its way; return what came of each."""
    app = directory / "hostile"
    _stand_in_for_the_lab()
    signal.signal(signal.SIGURG, signal.SIG_IGN)
    with Plants(directory, app) as plants:
        write_apps(directory, plants, with_image=False)
        with _others(plants, directory) as victim:
            (app / "targets.json").write_text(json.dumps(_targets(plants, victim.pid)))
            done = subprocess.run(
                ["setsid", "--ctty", sys.executable, "-m", "program", "targets.json"],
                stdin=plants.terminal, stdout=subprocess.PIPE, text=True, cwd=app, timeout=_SECONDS, check=True,
                env={**os.environ, CALLER: plants.marker["caller"]}, pass_fds=(plants.open_directory,),
            )  # fmt: skip
            with socket.create_connection(("::1", PORT), 5) as asking:
                asking.sendall(b"GET / HTTP/1.0\r\n\r\n")
                known = json.loads(asking.makefile().read().splitlines()[-1])
        heard = plants.heard() + socket.gethostname() + " ".join(text for _, text in known["datagrams"])
        heard += signature("signals") if known["signals"] else ""
        stayed = _stay(plants)
    results = {result.pop("name"): result for result in map(json.loads, done.stdout.splitlines())}
    for name, result in results.items():
        if signature(name) in heard:
            result |= {"outcome": "open", "why": "what it wrote arrived"}
    return results | stayed


def _stay(plants: Plants) -> dict[str, dict[str, str]]:
    """Do what takes longer than a moment: leave a daemon and files behind, rob a newcomer."""
    here = staying.everybody()
    newcomer = [sys.executable, "-c", "import time; time.sleep(1000)", "exec-victim"]
    markers = {"caller": plants.marker["caller"]}
    file = plants.directory / "input.txt"
    file.write_text(plants.marker["file"])
    with file.open() as stdin:
        file.unlink()  # no name leads to it here, as none leads from a Machine to a file of its caller
        process = subprocess.Popen(newcomer, stdin=stdin, env={CALLER: markers["caller"]})
    with process:
        stolen = staying.rob_newcomers(here, markers, 20)
        process.kill()
    staying.leave_a_daemon(plants.daemon)
    left = [str(plants.directory / "left")]
    staying.leave_files(left)
    found = {
        "the environment of a newcomer": any("environment" in line for line in stolen),
        "the files of a newcomer": any(str(file) in line for line in stolen),
        "a daemon": bool(pids_of(plants.daemon)),
        "files": bool(staying.left_files(left)),
    }
    return {name: {"outcome": "open" if so else "refused", "why": str(stolen)} for name, so in found.items()}


if __name__ == "__main__":
    print(json.dumps({"attempts": run(Path(sys.argv[1])), "problems": [], "log": []}))
    sys.stdout.flush()
    os._exit(0)
