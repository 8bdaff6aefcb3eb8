"""Several organisations, apps, process groups and labs: who sees whom, by name and by address."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, RunningLab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.long]

SERVER = "python3 -m http.server --bind :: 8080"
GROUPS = {"home": {"web": SERVER, "worker": "sleep 1000"}}
ONE_GROUP = {"web": SERVER}
SILENT_SECONDS = "0.3"  # what is dropped is never answered; what is reachable here answers in milliseconds
APPS = {"home": "ams", "shop": "cdg", "shared": "nrt"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """`home` in personal; `shop` and `shared` in another organisation; `shared` has its Flycast address in personal."""
    directory = tmp_path_factory.mktemp("several")
    files = {name: write_config(directory, name, region) for name, region in APPS.items()}
    others = [f"--org=other={files[name]}" for name in ("shop", "shared")]
    options = ["--public", "--flycast-in=shared=personal", "--scale=web:ams=1,web:syd=1,worker:1"]
    with RunningLab(*others, *options, configs=[files["home"]]) as running:
        yield running


def write_config(directory: Path, name: str, region: str) -> Path:
    path = directory / f"{name}.toml"
    groups = "".join(f'{group} = "{argv}"\n' for group, argv in GROUPS.get(name, ONE_GROUP).items())
    service = '[http_service]\ninternal_port = 8080\nprocesses = ["web"]\n'
    path.write_text(f'app = "{name}"\nprimary_region = "{region}"\n{service}[processes]\n{groups}')
    return path


def in_other(lab: RunningLab, script: str) -> str:
    done = lab.on("shell.other", "sh", "-c", script)
    assert done.returncode == 0, f"$ {script}\nexit {done.returncode}\n{done.stdout}{done.stderr}{lab.tail()}"
    return done.stdout


def test_every_network_has_names_of_its_own(lab: RunningLab) -> None:
    here = lab.shell("dig +short txt _apps.internal; dig aaaa shop.internal; dig aaaa shop.flycast")
    assert here.splitlines()[0] == '"home"'
    assert here.count("status: NXDOMAIN") == 2, here
    there = in_other(lab, "dig +short txt _apps.internal; dig aaaa home.internal; dig aaaa home.flycast")
    assert there.splitlines()[0] == '"shared,shop"'
    assert there.count("status: NXDOMAIN") == 2, there


def test_each_network_has_a_prefix_and_a_nameserver_of_its_own(lab: RunningLab) -> None:
    assert lab.shell("dig +short aaaa _api.internal").strip() == "fdaa:0:18::3"
    assert in_other(lab, "dig +short aaaa _api.internal").strip() == "fdaa:0:19::3"
    assert lab.shell("dig +short txt _apps.internal @fdaa:0:18::3").strip() == '"home"'


def test_nothing_of_one_network_can_be_reached_from_another(lab: RunningLab) -> None:
    status = lab.status()
    shop = next(app for app in status["apps"] if app["name"] == "shop")
    machine = next(m for m in status["machines"] if m["app"] == "shop" and m["process_group"] == "web")
    targets = [f"[{shop['flycast_ip']}]", f"[{machine['private_ip']}]:8080"]
    for target in targets:
        assert "200 OK" in in_other(lab, f"curl -sSI -m 10 http://{target}"), "reachable at home"
        done = lab.on("shell", "curl", "-sS", "-m", SILENT_SECONDS, f"http://{target}")
        assert done.returncode == 28, f"expected silence from {target}, got {done.returncode}: {done.stderr}"
    done = lab.on("shell", "dig", "+tries=1", "+timeout=1", "txt", "_apps.internal", "@fdaa:0:19::3")
    assert "timed out" in done.stdout, done.stdout


def test_a_flycast_address_of_another_network_is_reached_from_there_alone(lab: RunningLab) -> None:
    address = next(app["flycast_ip"] for app in lab.status()["apps"] if app["name"] == "shared")
    assert address.startswith("fdaa:0:18:0:1::")
    assert lab.shell("dig +short aaaa shared.flycast").strip() == address
    assert "200 OK" in lab.shell("curl -sSI http://shared.flycast")
    assert "NXDOMAIN" in lab.shell("dig aaaa shared.internal"), "its Machines stay in their own network"
    assert in_other(lab, "dig +short aaaa shared.flycast").strip() == address
    done = lab.on("shell.other", "curl", "-sS", "-m", SILENT_SECONDS, "http://shared.flycast")
    assert done.returncode == 28, f"expected silence, got {done.returncode}: {done.stderr}"


def test_the_internet_reaches_no_flycast_address(lab: RunningLab) -> None:
    for app in lab.status()["apps"]:
        done = lab.on("internet", "curl", "-sS", "-m", SILENT_SECONDS, f"http://[{app['flycast_ip']}]")
        assert done.returncode in {7, 28}, f"{app} answered the internet: {done.stdout}"
    for app in ("home", "shop"):
        public = lab.shell(f"dig +short aaaa {app}.fly.dev").strip()
        assert "200 OK" in lab.on("internet", "curl", "-sSI", f"http://[{public}]").stdout, "it reaches public ones"


def test_process_groups_and_regions_are_scaled_apart(lab: RunningLab) -> None:
    machines = [m for m in lab.status()["machines"] if m["app"] == "home"]
    assert sorted((m["process_group"], m["region"]) for m in machines) == [
        ("web", "ams"),
        ("web", "syd"),
        ("worker", "ams"),
    ]
    by_group = lab.shell("dig +short aaaa worker.process.home.internal").split()
    by_metadata = lab.shell("dig +short aaaa worker.fly_process_group.kv._metadata.home.internal").split()
    assert by_group == by_metadata == [m["private_ip"] for m in machines if m["process_group"] == "worker"]


def test_the_nearest_depends_on_where_the_asker_is(lab: RunningLab) -> None:
    machines = {(m["process_group"], m["region"]): m for m in lab.status()["machines"] if m["app"] == "home"}
    in_amsterdam = set(lab.shell("dig +short aaaa top2.nearest.of.home.internal").split())
    assert in_amsterdam == {machines[group, "ams"]["private_ip"] for group in ("web", "worker")}
    asker = machines["web", "syd"]
    nearest = lab.on(asker["id"], "dig", "+short", "aaaa", "top1.nearest.of.home.internal").stdout.split()
    assert nearest == [asker["private_ip"]], "a Machine is the nearest to itself"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LAB, *arguments], capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)


def test_several_labs_are_told_apart_by_process_id_and_apps(lab: RunningLab, tmp_path: Path) -> None:
    with RunningLab(configs=[write_config(tmp_path, "second", "ams")]) as second:
        which = command("status")
        assert which.returncode == 2
        for running, apps in ((lab, "home, shop, shared"), (second, "second")):
            assert f"{running.process.pid} ({apps})" in which.stderr, which.stderr
        listed = command("machine", "list", f"--lab={second.process.pid}")
        assert listed.stdout.splitlines()[1].split()[1:3] == ["second", "web"], listed
        assert lab.on("shell.personal", "true").returncode == 0, "the other one is not disturbed"
        assert command("down", f"--lab={second.process.pid}").returncode == 0
        gone = command("status", f"--lab={second.process.pid}")
        assert gone.returncode == 1
        assert f"{lab.process.pid} (home, shop, shared)" in gone.stderr, "it names the labs there are"


def test_an_unknown_machine_is_told_with_those_there_are(lab: RunningLab) -> None:
    done = lab.on("shell.nobody", "true")
    assert done.returncode == 1
    assert "there are: shell, shell.personal, shell.other, " in done.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--org=other"], "--org: expected ORG=FILE, got 'other'"),
        (["--org=No Body=fly.toml"], "--org: expected an organisation of lower-case letters"),
        (["--org=other=missing.toml"], "missing.toml"),
        (["--flycast-in=home"], "--flycast-in: expected APP=ORG"),
        (["--flycast-in=nobody=other"], "--flycast-in: expected one of the apps home, got 'nobody'"),
        (["--flycast-in=home=one", "--flycast-in=home=two"], "--flycast-in: expected each app once"),
        (["--flycast-in=home=Other"], "--flycast-in: expected an organisation"),
        (["--scale=wep:1"], "--scale: expected some of the groups web, worker, got 'wep'"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_way_to_say_it_is_one_line_and_status_2(tmp_path: Path, options: list[str], expected: str) -> None:
    config = write_config(tmp_path, "home", "ams")
    done = command("run", f"--config={config}", *options, "--", "true")
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
