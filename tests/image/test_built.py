"""The Dockerfile, built for real: what it weighs, what is in it, and that it runs on Machines."""

from __future__ import annotations

import os
import re
import site
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.image import sizes
from lab.image.archive import opened, read
from lab.image.storage import open_archive
from tests.e2e.running import DEADLINE_SECONDS, RunningLab
from tests.image.buildah import PROJECT, output_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.image.conftest import Built

pytestmark = [pytest.mark.image, pytest.mark.long]
GOAL_BYTES = 60_000_000
PYTHONS = (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
PACKAGES = site.getsitepackages()
NOT_USED = r"/(rich|pygments|markdown_it|mdurl|shtab|tomlkit|pip)/|/bin/(strip|gcc|cc)$|^venv/.*\.(pyx|pxd|pyi|c|h)$"


def test_the_service_image_is_small_and_each_layer_s_share_is_told(built: Built) -> None:
    file = open_archive(built.service)
    image = read("private-svc", file)
    lines = sizes.table(image)
    os.close(file)
    print("\n".join(lines))
    assert float(lines[-1].split()[0]) * 1e6 <= GOAL_BYTES, "\n".join(lines)


def test_nothing_above_the_base_is_there_that_the_service_does_not_use(built: Built) -> None:
    file = open_archive(built.service)
    image = read("private-svc", file)
    names: set[str] = set()
    with opened(file) as archive:
        for layer in image.layers[1:]:
            with tarfile.open(fileobj=archive.extractfile(layer.member), mode="r|*") as entries:
                names.update(entry.name for entry in entries)
    os.close(file)
    assert {"srv/flycast-probe.pyz", "srv/private_svc/first_answer.bundle"} <= names
    assert [name for name in sorted(names) if re.search(NOT_USED, name)] == []
    uncompiled = {name for name in names if re.search(r"^(srv|venv)/.*\.py$", name) and _compiled(name) not in names}
    assert uncompiled == set()


def _compiled(name: str) -> str:
    directory, _, file = name.rpartition("/")
    return f"{directory}/__pycache__/{file.removesuffix('.py')}.cpython-313.pyc"


def test_the_shell_image_has_the_tools_of_a_shell_machine(built: Built, tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_text('app = "tools"\n')
    options = (f"--image={built.shell}", "--command=/bin/sleep inf")
    with RunningLab(*options, configs=[tmp_path / "fly.toml"]) as lab:
        machine = _only_machine(lab)
        script = "curl --version && dig -v && ping -V && flycast-probe --version && command -v nc"
        done = lab.on(machine, "/bin/bash", "-c", script)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def lab(built: Built) -> Iterator[RunningLab]:
    with RunningLab(f"--image={built.service}") as running:
        yield running


def _only_machine(lab: RunningLab) -> str:
    (machine,) = (machine["id"] for machine in lab.status()["machines"])
    return str(machine)


def _do(lab: RunningLab, verb: str) -> None:
    command = [sys.executable, "-m", "lab", "machine", verb, "--lab", str(lab.process.pid), _only_machine(lab)]
    output_of(*command)


def test_the_image_answers_on_both_ports_over_flycast_and_6pn(lab: RunningLab) -> None:
    hosts = ("private-svc.flycast", "private-svc.internal:8080")
    assert [lab.shell(f"curl -sS http://{host}/healthz") for host in hosts] == ["ok\n", "ok\n"]
    hellos = [lab.shell(f"echo | nc -w5 private-svc.{kind} 1848") for kind in ("flycast", "internal")]
    assert hellos == ["hello\n", "hello\n"]


def test_its_process_is_its_own_user_without_any_rights_of_root(lab: RunningLab) -> None:
    lab.shell("curl -sS http://private-svc.flycast/healthz")
    script = "import pathlib; print(*pathlib.Path('/proc/2/status').read_text().splitlines(), sep='|')"
    done = lab.on(_only_machine(lab), "python", "-c", script)
    fields = dict(re.findall(r"(\w+):\t([^|]*)", done.stdout))
    assert fields["Uid"].split() == ["10001"] * 4, done.stdout + done.stderr
    assert fields["Gid"].split() == ["10001"] * 4
    assert int(fields["CapEff"], 16) == 0
    assert fields["Groups"].strip() in {"", "10001"}


def test_a_machine_sees_the_image_and_what_fly_s_init_adds(lab: RunningLab) -> None:
    lab.shell("curl -sS http://private-svc.flycast/healthz")
    machine = _only_machine(lab)
    done = lab.on(machine, "sh", "-c", "hostname; cat /etc/resolv.conf /etc/hosts; ls -d /work /home; ls /.fly /srv")
    assert done.stdout.startswith(f"{machine}\nnameserver fdaa::3\n"), done.stdout
    assert "fly-local-6pn" in done.stdout
    assert done.stdout.splitlines()[-3:] == ["/srv:", "flycast-probe.pyz", "private_svc"], done.stdout + done.stderr
    environment = lab.on(machine, "env").stdout
    assert "PATH=/venv/bin:" in environment
    assert "FLY_IMAGE_REF=containers-storage:" in environment


def test_the_probe_comes_out_of_it_and_works(lab: RunningLab) -> None:
    script = 'cd "$(mktemp -d)" && curl -sSO http://private-svc.flycast/flycast-probe.pyz'
    said = lab.shell(f'{script} && {sys.executable} flycast-probe.pyz names private-svc; rm -r "$PWD"')
    assert "private-svc.flycast" in said
    here = lab.on(_only_machine(lab), "/venv/bin/python", "/srv/flycast-probe.pyz", "doctor", "--here")
    assert "Traceback" not in here.stderr, here.stderr
    assert "8080" in here.stdout, here.stdout + here.stderr


def test_a_stop_gives_a_fresh_file_system_and_a_suspension_keeps_it(lab: RunningLab) -> None:
    machine = _only_machine(lab)

    def written_after(verb: str) -> str:
        lab.shell("curl -sS http://private-svc.flycast/healthz")
        assert lab.on(machine, "sh", "-c", "echo kept > /srv/mine").returncode == 0
        _do(lab, verb)
        lab.shell("curl -sS http://private-svc.flycast/healthz")
        return lab.on(machine, "sh", "-c", "cat /srv/mine 2>/dev/null; true").stdout

    assert [written_after("suspend"), written_after("stop")] == ["kept\n", ""]


def test_it_sleeps_by_autostop_and_a_request_wakes_it(built: Built) -> None:
    probe = (sys.executable, "-m", "shell", "wake", "private-svc", "--count", "2", "--wait", "30")
    said = output_of(
        sys.executable, "-m", "lab", "run", f"--config={PROJECT / 'fly.toml'}", f"--image={built.service}",
        "--autostop-interval=0.5", "--", *probe, seconds=DEADLINE_SECONDS,
    )  # fmt: skip
    assert said.count("cold proven") == 2, said


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """Return a directory of the test's own that others may read; those that pytest makes are closed to them."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def test_an_ordinary_user_runs_it_with_the_ids_that_newuidmap_grants(built: Built, open_to_all: Path) -> None:
    """Root lends the name `nobody` a range, in a mount namespace of its own, and becomes that user."""
    (open_to_all / "subuid").write_text("nobody:100000:65536\n")
    with os.fdopen(open_archive(built.service), "rb") as archive:
        (open_to_all / "image.tar").write_bytes(archive.read())
    nobody = (
        "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
        "env", "HOME=/", "PYTHONDONTWRITEBYTECODE=1", f"PYTHONPATH={os.pathsep.join(map(str, (PROJECT, *PACKAGES)))}",
    )  # fmt: skip
    own = "from lab.__main__ import entry; import pyroute2"
    python = next((path for path in PYTHONS if _works(*nobody, path, "-c", own)), None)
    if python is None:
        pytest.skip(f"nobody may not run {', '.join(PYTHONS)}")
    lend = (
        f'mount --bind {open_to_all}/subuid /etc/subuid && mount --bind {open_to_all}/subuid /etc/subgid && exec "$@"'
    )
    said = output_of(
        "unshare", "--mount", "sh", "-c", lend, "sh", *nobody, python, "-m", "lab", "run",
        f"--config={PROJECT / 'fly.toml'}", f"--image=docker-archive:{open_to_all}/image.tar", "--",
        "sh", "-c", "cat /proc/self/uid_map; curl -sS http://private-svc.flycast/healthz", seconds=DEADLINE_SECONDS,
    )  # fmt: skip
    assert said.split() == ["0", "0", "1", "1", "1", "65536", "ok"], "the ids of the lab, and no other"


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=DEADLINE_SECONDS, check=False).returncode == 0
