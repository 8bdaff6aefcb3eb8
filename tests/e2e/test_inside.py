"""A Machine as a boundary, seen from inside: as the tests' own user started it, and as an ordinary user."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.linux import call_filter
from lab.start import rules, view
from tests.e2e.inside import AS_ANOTHER, Inside, lay_out
from tests.e2e.running import DEADLINE_SECONDS, LAB, RunningLab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
BINDS = "import socket; socket.create_server(('0.0.0.0', 80)); print('bound')"
CALLS = """
import ctypes, errno, json, sys
libc = ctypes.CDLL(None, use_errno=True)
for name, number, *arguments in json.loads(sys.argv[1]):
    ctypes.set_errno(0)
    libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments), *[ctypes.c_long(0)] * (6 - len(arguments)))
    print(name, errno.errorcode.get(ctypes.get_errno()))
"""


@pytest.fixture(scope="module", params=[(), AS_NOBODY], ids=["our own user", "an ordinary user"])
def inside(request: pytest.FixtureRequest) -> Iterator[Inside]:
    caller = request.param
    if caller and os.geteuid() != 0:
        pytest.skip("who runs the tests is an ordinary user already")
    by_itself = [*caller, "sh", "-c", 'exec "$@"', "sh", *LAB, "--help"]  # setpriv executes `sh` with root's rights
    if caller and subprocess.run(by_itself, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"user {NOBODY} may not read this interpreter or the project")
    with tempfile.TemporaryDirectory() as place:
        base = Path(place).resolve()
        base.chmod(0o755)
        lay_out(base, owner=NOBODY if caller else 1000)
        config = base / "app/fly.toml"
        path = f"{base}/current/bin:{base}/envs/app/bin:{os.environ['PATH']}"  # what is there, the caller has
        with RunningLab(
            "--disk=16", configs=[config], before=caller, asking=caller, env={**os.environ, "PATH": path}
        ) as lab:
            machines = {machine["process_group"]: machine["id"] for machine in lab.status()["machines"]}
            yield Inside(lab, base, caller, machines)


def test_files_end_in_enospc_at_the_disk_s_size_wherever_they_are_and_are_gone_after_a_stop(inside: Inside) -> None:
    files = ("/tmp/a", "/etc/b", "data/c", "/root/d")  # noqa: S108 - the Machine's
    names = " ".join(files)
    script = f"for f in {names}; do dd if=/dev/zero of=$f bs=64k count=96 2>&1; done; du -scm {names}"
    said = inside.said(script, "within")
    assert said.count("No space left on device") == 2, said
    assert 15 <= int(said.split()[-2]) <= 16, said
    machine = inside.machines["within"]
    for verb in ("stop", "start"):
        inside.command(verb, machine)
    assert inside.said(f"ls {names} 2>&1 || true", "within").count("No such file") == 4
    assert list((inside.base / "app/data").iterdir()) == []


def test_the_limits_are_those_of_the_table(inside: Inside) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors = rules.DESCRIPTORS if hard == resource.RLIM_INFINITY else min(rules.DESCRIPTORS, hard)
    limits = {"open files": descriptors, "core file size": rules.CORE_BYTES, "processes": rules.processes(512)}
    said = inside.said("cat /proc/self/limits")
    found = {name: re.search(rf"^Max {name} +(\S+) +(\S+)", said, re.MULTILINE) for name in limits}
    shown = {name: match.groups() if match else () for name, match in found.items()}
    assert shown == {name: (str(most),) * 2 for name, most in limits.items()}
    assert inside.said("df -m --output=size /dev/shm").split()[-1] == str(rules.SHARED_MEMORY_MB)


def test_a_machine_s_root_has_the_kept_capabilities_and_its_calls_are_filtered(inside: Inside) -> None:
    said = inside.said("cat /proc/1/status /proc/self/status")
    kept = f"{sum(1 << number for number in rules.KEPT_CAPABILITIES):016x}"
    for name, expected in (("Prm", kept), ("Eff", kept), ("Bnd", kept), ("Inh", "0" * 16), ("Amb", "0" * 16)):
        assert re.findall(rf"^Cap{name}:\t(\w+)$", said, re.MULTILINE) == [expected] * 2, name
    assert re.findall(r"^Seccomp:\t(\d)$", said, re.MULTILINE) == ["2", "2"]


def test_every_refused_call_is_refused_to_a_machine_s_root(inside: Inside) -> None:
    generic = 0 if os.uname().machine == "x86_64" else 1
    number = {name: both[generic] for name, both in call_filter._NUMBERS.items()}  # noqa: SLF001 - as they are called
    asked = [
        *([rule.what, number[rule.what]] for rule in rules.CALLS),
        ["unshare", number["unshare"], call_filter.CLONE_NEWUSER],
        ["clone", number["clone"], call_filter.CLONE_NEWUSER | 17],
        *([name, number[name], *(values.get(at, 0) for at in range(3))]
          for name, conditions in rules.CALLS_BY_ARGUMENT.items() for values in conditions.values()),
    ]  # fmt: skip
    said = inside.lab.on(inside.machines["app"], sys.executable, "-c", CALLS, json.dumps(asked)).stdout
    assert said.splitlines() == [f"{name} EPERM" for name, *_ in asked]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("mknod /tmp/device c 1 3", "Operation not permitted"),
        ("hostname stranger", "must be root|Operation not permitted"),
        ("ip address add 172.19.0.99 dev eth0", "Operation not permitted"),
        ("chmod u+s /usr/bin/env", "Read-only file system"),
        ("touch /usr/bin/stranger", "Read-only file system"),
        ("touch /dev/stranger", "Read-only file system"),
        ("echo 1 >/proc/sys/kernel/core_pattern", "Read-only file system"),
        ("touch /sys/stranger", "Permission denied|Read-only file system"),
        ("cat /etc/shadow", "No such file"),
        ("cat BASE/beside", "No such file"),
        ("cat BASE/app/../beside", "No such file"),
        ("nsenter --net=/proc/1/ns/net true", "Permission denied"),
        ("nsenter --net=/proc/self/ns/net true", "Operation not permitted"),
    ],
)
def test_what_a_machine_s_root_may_not_do_fails(inside: Inside, command: str, expected: str) -> None:
    done = inside.lab.on(inside.machines["app"], "sh", "-c", command.replace("BASE", str(inside.base)))
    assert done.returncode != 0, done.stdout
    assert re.search(expected, done.stderr), done.stderr


def test_of_the_host_there_is_what_the_rules_say_and_nothing_else(inside: Inside) -> None:
    top = {*inside.said("ls -A /").split()}
    installed = view.installations([sys.executable], os.defpath, inside.base / "app")
    shown = {path.split("/")[1] for path in (str(inside.base), *installed)}
    system = {name.partition("/")[0] for name in rules.SYSTEM_DIRECTORIES if Path("/", name).exists()}
    fresh = {name for name in rules.FRESH_DIRECTORIES if "/" not in name}
    assert top == system | fresh | shown | {".fly", "dev", "etc", "proc", "sys"}
    assert set(inside.said("ls -A /dev").split()) == {
        *rules.DEVICES, "fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm", "mqueue",
    }  # fmt: skip
    assert inside.said(f"ls -A {inside.base}").split() == ["app"], "what lies beside the app's directory"
    assert set(inside.said(f"ls -A {inside.base}", "linked").split()) == {"app", "current", "versions"}
    assert inside.said("cat /proc/keys; ls -A /sys/fs/cgroup 2>/dev/null || true") == ""


def test_the_directories_of_a_fresh_machine_are_empty_and_writable_with_their_modes(inside: Inside) -> None:
    names = [f"/{name}" for name in rules.FRESH_DIRECTORIES]
    assert inside.said(f"stat -c '%a %u' {' '.join(names)}").splitlines() == [
        f"{mode:o} 0" for mode in rules.FRESH_DIRECTORIES.values()
    ]
    for name in names:
        inside.said(f"touch {name}/mark && rm {name}/mark")


def test_a_program_that_is_reached_by_links_runs_where_they_lead(inside: Inside) -> None:
    inside.lab.wait_for(rf"{inside.base}/current/bin/tool runs")
    inside.lab.wait_for(r"\.venv/bin/tool runs")
    assert inside.said(f"readlink -f {inside.base}/app/.venv", "within").strip() == f"{inside.base}/envs/app"


def test_the_app_s_directory_has_its_owners_and_the_machine_s_root_writes_there(inside: Inside) -> None:
    script = "stat -c '%u:%g %a' owned; cat owned; echo after >>owned; chown 0:0 owned; cat owned; echo x >data/new"
    owner = "1000:1000" if inside.has_users else "0:0"
    assert inside.said(script) == f"{owner} 600\nbefore\nbefore\nafter\n"
    assert (inside.base / "app/owned").read_text() == "before\n", "the host's file"
    assert not (inside.base / "app/data/new").exists()


def test_a_set_id_program_counts_in_the_app_s_directory_and_nowhere_else(inside: Inside) -> None:
    if not inside.has_users:
        pytest.skip("a Machine of an ordinary user's lab has no user but root")
    copies = "for place in data /tmp; do cp /usr/bin/id $place/id; chmod 4755 $place/id; done"
    asked = f"cd /; for place in {inside.base}/app/data /tmp; do {AS_ANOTHER} $place/id -u; done"
    assert inside.said(f"{copies}; {asked}; rm {inside.base}/app/data/id") == "0\n1000\n"
    system = [line for line in inside.said("cat /proc/self/mounts").splitlines() if line.split()[1] == "/usr"]
    assert all("nosuid" in line.split()[3].split(",") for line in system), system
    assert system


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount something below the app's directory")
def test_what_is_mounted_below_the_app_s_directory_is_not_in_its_machine(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "fly.toml").write_text(
        "app = 'mounts'\n[processes]\napp = \"sh -c 'ls -A below; echo listed; sleep 99'\"\n"
    )
    mounts = f'mount -t tmpfs none {tmp_path}/below; echo secret >{tmp_path}/below/mark; exec "$@"'
    lab = [*LAB, "run", f"--config={tmp_path}/fly.toml", f"--log={tmp_path}/log", "--", "sh", "-c"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounts, "sh", *lab, f"until grep listed {tmp_path}/log; do :; done"],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "mark" not in (tmp_path / "log").read_text()


def test_ping_works_for_every_user_of_a_machine(inside: Inside) -> None:
    for user in inside.users():
        assert "1 received" in inside.said(f"{user} ping -c1 -W5 bounds.flycast"), user


def test_every_user_of_a_machine_may_listen_on_a_port_below_1024(inside: Inside) -> None:
    for user in inside.users():
        assert inside.said(f'cd /; {user} {sys.executable} -c "{BINDS}"') == "bound\n", user


def test_machines_do_not_reach_each_other_over_ipv4(inside: Inside) -> None:
    """On Fly they cannot, and here only the host side forwards it: `app` listens on 0.0.0.0."""
    (address,) = re.findall(r"172\.19\.\d+\.\d+", inside.said("hostname -I"))
    assert inside.said(f"curl -s -o /dev/null -w '%{{http_code}}' http://{address}:8080") == "200"
    get = f"curl -s -m 1 -o /dev/null -w '%{{http_code}}' http://{address}:8080 || true"
    assert inside.said(get, "linked") == "000"
    assert inside.lab.shell(get) == "000"


def test_names_are_resolved_and_home_is_root_s(inside: Inside) -> None:
    flycast = inside.lab.shell("dig +short aaaa bounds.flycast").strip()
    assert inside.said("getent ahostsv6 bounds.flycast").startswith(flycast)
    assert inside.said("getent hosts fly-local-6pn").startswith("fdaa:")
    assert inside.said("cd; pwd; echo $HOME; touch mark && rm mark") == "/root\n/root\n"


def test_exec_has_the_machine_s_environment_and_directory_and_of_the_caller_s_only_the_terminal(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"CALLER_S_OWN": "secret", "FLY_REGION": "lie", "TERM": "of-the-caller", "COLUMNS": "99", "LINES": "33"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    for name in ("COLORTERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    app = variables(inside.said("tr '\\0' '\\n' </proc/2/environ"))
    assert app["FLY_REGION"] == "ams"
    assert variables(inside.said("env")) == {**app, "TERM": "of-the-caller", "COLUMNS": "99", "LINES": "33"}
    assert inside.said("pwd") == f"{inside.base}/app\n"
    assert inside.lab.shell("echo $CALLER_S_OWN") == "secret\n", "the shell Machine runs the caller's commands"


def variables(said: str) -> dict[str, str]:
    """Return the variables that `env` says, without those of the shell that ran it."""
    found = dict(line.partition("=")[::2] for line in said.splitlines())
    return {name: value for name, value in found.items() if name not in {"_", "PWD", "OLDPWD", "SHLVL"}}


def test_exec_gives_a_machine_pipes_and_never_the_caller_s_files(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("from the caller\n")
    script = "for n in 0 1 2; do readlink /proc/self/fd/$n; done; cat"
    with (tmp_path / "input").open() as given:
        done = subprocess.run(
            [*inside.caller, *LAB, "exec", "--lab", str(inside.lab.process.pid), "--machine", inside.machines["app"],
             "--", "sh", "-c", script],
            stdin=given, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
        )  # fmt: skip
    *streams, said = done.stdout.splitlines()
    assert [stream.partition(":")[0] for stream in streams] == ["pipe"] * 3, done.stdout + done.stderr
    assert said == "from the caller"
