"""The lab in a container without privileges: no forwarding, no settings, no /proc of its own; and Fly's network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.container import CONTAINER
from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT

pytestmark = pytest.mark.lab

MOODY = Path(__file__).with_name("moody.py")
REFUSED = r"write /proc/sys/net/ipv6/conf/all/forwarding: EROFS \(Read-only file system\)"
OTHER_APP = """\
app = "other-app"
primary_region = "ams"
[processes]
app = "sleep 1000"
[http_service]
internal_port = 8080
"""
CHECKED_APP = f"""\
app = "checked"
primary_region = "ams"
[processes]
app = "{sys.executable} {MOODY} 8080"
[http_service]
internal_port = 8080
[[http_service.checks]]
path = "/health"
interval = "200ms"
grace_period = "0s"
"""
TWO_MACHINES = f"""\
app = "two"
primary_region = "ams"
[processes]
app = "{sys.executable} -m http.server 80 --bind 0.0.0.0"
other = "sleep 1000"
"""
EATER = f"{sys.executable} -c \"import time; eaten = b'x' * (400 << 20); time.sleep(60)\""
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

IDS = 'import json, sys; print(*(machine["id"] for machine in json.load(sys.stdin)["machines"]))'
# One terminal of the container has the lab, another the commands that ask it.
BESIDE_A_LAB = f"""
set -e
ask() {{ {" ".join(LAB)} "$@"; }}
mkfifo said
"$@" >said &
exec 3<said
while read -r line <&3; do case $line in "The lab is up"*) break; esac; done
cat <&3 >log &
machines=$(ask status --json | {sys.executable} -c '{IDS}')
machine=${{machines%% *}}
"""


def inside(*argv: str, directory: Path = PROJECT, caller: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*caller, *CONTAINER, *argv],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=directory, check=False,
    )  # fmt: skip


def run(script: str, *options: str, caller: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    done = inside(*LAB, "run", *options, "--", "sh", "-c", script, caller=caller)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_doctor_tells_what_is_refused_and_what_that_changes() -> None:
    done = inside(*LAB, "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"in bridge mode\.\n +refused +{REFUSED}\n", done.stdout), done.stdout
    for words in ("ttl 64", "after 3 s", "ports below 1024", "EPERM (Operation not permitted)", "--privileged"):
        assert words in done.stdout, f"{words!r} is missing in:\n{done.stdout}"
    assert len(done.stdout.splitlines()) <= 24


def test_names_ping_and_every_way_in_work_and_one_line_says_what_differs() -> None:
    """The first packet to a Machine that is not on the list of neighbours does not wait, either: 1 s if it is lost."""
    done = run("""
        for ip in $(dig +short aaaa private-svc.internal); do ping -c1 -W5 $ip; done
        ping -c2 -i0.2 private-svc.flycast
        curl -sS http://private-svc.flycast/whoami
        curl -sS http://private-svc.internal:8080/whoami
        nc -w5 private-svc.flycast 1848
        """, "--scale", "3")  # fmt: skip
    assert re.search(r"private-svc.flycast\(fdaa:0:18:0:1::2\)", done.stdout), done.stdout
    assert "ttl=64" in done.stdout
    times = [float(found) for found in re.findall(r"time=([0-9.]+) ms", done.stdout)]
    assert len(times) == 5, done.stdout
    assert max(times) < 900, "a lost neighbour solicitation costs 1 s"
    assert re.search(r"peer: (::ffff:)?172\.16\.\d+\.\d+\ningress: flycast", done.stdout), done.stdout
    assert re.search(r"peer: fdaa:.*\ningress: six_pn", done.stdout), done.stdout
    assert done.stdout.endswith("hello\n")
    assert re.search(rf"lab \[warn\] bridge mode, because the host refused {REFUSED}: ", done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="who runs it is an ordinary user already")
def test_an_ordinary_user_of_the_container_has_it_too() -> None:
    if inside(sys.executable, "-c", "import lab.cli", caller=AS_NOBODY).returncode != 0:
        pytest.skip("user 65534 may not read this interpreter or the project")
    done = run("curl -sS http://private-svc.flycast/healthz; ping -c1 private-svc.internal", caller=AS_NOBODY)
    assert done.stdout.startswith("ok\n")
    assert "1 received" in done.stdout


@pytest.mark.long
def test_a_machine_sleeps_and_its_first_request_wakes_it() -> None:
    probe = f"{sys.executable} -m shell wake private-svc --count 2 --json"
    cycles = json.loads(run(probe, "--autostop-interval", "0.3").stdout)["cycles"]
    cold = [request for cycle in cycles for request in cycle["requests"] if request["kind"] == "cold"]
    assert [request["proof"] for request in cold] == ["proven", "proven"], cold


@pytest.mark.long
def test_health_checks_come_from_the_gateway(tmp_path: Path) -> None:
    config = tmp_path / "fly.toml"
    config.write_text(CHECKED_APP)
    peers = "curl -sS http://checked.internal:8080/peers"
    done = run(f"timeout 20 sh -c 'until {peers} | grep 172; do :; done'", "--config", str(config))
    assert re.fullmatch(r"172\.19\.\d+\.\d+\n", done.stdout), done.stdout


@pytest.mark.long
def test_from_another_terminal_a_machine_runs_programs_suspends_and_resumes(tmp_path: Path) -> None:
    script = """
    ask exec --machine $machine -- hostname
    ask machine suspend $machine
    ask exec -- nc -w5 private-svc.flycast 1848
    ask machine stop $machine
    ask exec -- curl -sS http://private-svc.flycast/healthz
    ask down
    """
    up = (*LAB, "up", "--config", str(PROJECT / "fly.toml"))
    done = inside("sh", "-c", BESIDE_A_LAB + script, "sh", *up, directory=tmp_path)
    log = (tmp_path / "log").read_text()
    expected = r"(\w{14})\nMachine \1 is suspended\nhello\nMachine \1 is stopped\nok\n"
    assert re.fullmatch(expected, done.stdout), f"exit {done.returncode}\n{done.stdout}{done.stderr}\n{log}"
    assert "Machine suspended" in log


def test_a_machine_is_a_boundary_there_too_and_its_root_alone_binds_low_ports(tmp_path: Path) -> None:
    """The container's /proc shows every Machine's processes, and nothing of another's but how it was called."""
    script = f"""
    inside() {{ ask exec --machine "$@" 2>&1 || true; }}
    other=${{machines#* }}
    ip=$(inside $machine -- hostname -I | cut -d' ' -f1)
    served=$(inside $other -- pgrep -f '^[^ ]*/python[^ ]* -m http')
    code=$(cat binds.py)
    inside $machine -- curl -sS -o /dev/null -w '%{{http_code}}\\n' http://$ip
    inside $other -- curl -sS -m 5 http://$ip
    inside $machine -- {sys.executable} -c "$code"
    inside $machine -- setpriv --reuid=1000 --regid=1000 --clear-groups {sys.executable} -c "$code"
    inside $machine -- ping -c1 -W5 two.flycast
    for name in environ root/etc/hostname fd/0 mem; do inside $other -- cat /proc/$served/$name; done
    inside $other -- kill $served
    inside $other -- sh -c "cat /proc/*/cmdline | tr '\\0' ' '" >commands
    ask down
    """
    (tmp_path / "binds.py").write_text("import socket\nsocket.create_server(('0.0.0.0', 81))\nprint('bound')\n")
    config = tmp_path / "fly.toml"
    config.write_text(TWO_MACHINES)
    up = (*LAB, "up", "--secret", "TOKEN=abc", "--config", str(config))
    done = inside("sh", "-c", BESIDE_A_LAB + script, "sh", *up, directory=tmp_path)
    commands = (tmp_path / "commands").read_text()
    denied = [rf"cat: /proc/\d+/{name}: Permission denied" for name in ("environ", "root/etc/hostname", "fd/0", "mem")]
    no_right = "PermissionError.*" if os.geteuid() == 0 else "setpriv: setresuid failed.*"  # its lab has one user
    expected = ["200", "curl.*Couldn't connect.*", "bound", no_right, "ping.*not permitted", *denied]
    wanted = [line for line in done.stdout.splitlines() if not re.match(r"Traceback| |ping: socktype", line)]
    assert re.fullmatch("\n".join([*expected, r"kill: .*No such process"]), "\n".join(wanted)), (
        done.stdout + done.stderr
    )
    assert "--secret TOKEN=***" in commands, commands


@pytest.mark.long
def test_two_organisations_do_not_reach_each_other(tmp_path: Path) -> None:
    """An address of the other network is on nobody's link, and its names are not there."""
    config = tmp_path / "fly.toml"
    config.write_text(OTHER_APP)
    script = "dig other-app.internal aaaa; ping -c1 -W5 fdaa:0:19:0:1::3; ping -c1 -W5 fdaa:0:19::3; true"
    done = run(script, "--config", str(PROJECT / "fly.toml"), "--org", f"other={config}")
    assert "status: NXDOMAIN" in done.stdout
    assert done.stdout.count("Destination unreachable: Address unreachable") == 2, done.stdout


@pytest.mark.long
def test_a_machine_that_holds_more_than_its_memory_is_killed() -> None:
    """The numbers that the container's /proc has for processes are not those that the lab kills by."""
    done = inside(*LAB, "run", "--command", EATER, "--", "true")
    assert "Out of memory: Killed process" in done.stderr, done.stderr
    assert "Main child exited with code: 137" in done.stderr, done.stderr


@pytest.mark.wireguard  # where no tunnel can be had at all, that is the reason
def test_a_laptop_is_refused_with_the_reason() -> None:
    done = inside(*LAB, "run", "--laptop", "--", "true")
    assert done.returncode == 1
    assert re.fullmatch(rf"flycast-lab: --laptop .* refused {REFUSED}\n", done.stderr), done.stderr
