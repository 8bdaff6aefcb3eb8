"""Each recipe for Fly: the flyctl commands it gives, in their order, and when it gives none."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

import pytest

from tests.flyctl.playing import PROJECT, fly

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = {"private-svc": ["private_v6"]}
LAUNCH = "fly launch --copy-config --yes --flycast --ha=false --no-github-workflow --no-deploy --name private-svc"
LIST = "fly ips list --json -a private-svc"
ALLOCATE = "fly ips allocate-v6 --private -a private-svc"
DEPLOY = "fly deploy --flycast --ha=false -a private-svc"
STATUS = "fly status --json -a private-svc"
SHELL = "fly machine run . --shell --build-target shell --org acme"

GIVES = {
    "deploy": [LIST, LIST, DEPLOY, LIST],
    "deploy --remote-only": [LIST, LIST, f"{DEPLOY} --remote-only", LIST],
    "ips": ["fly ips list -a private-svc", LIST],
    "secrets": ["fly secrets import --stage -a private-svc"],
    "status": ["fly status -a private-svc"],
    "logs": ["fly logs -a private-svc"],
    "shell": [STATUS, SHELL],
    "wake --count 3": [STATUS, f"{SHELL} --command flycast-probe wake private-svc --count 3"],
    "doctor": [STATUS, f"{SHELL} --command flycast-probe doctor private-svc"],
    "destroy": ["fly apps destroy private-svc"],
}


@pytest.mark.parametrize("recipe", GIVES)
def test_a_recipe_gives_these_commands(recipe: str, tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE)
    done = playing.run(f"just {recipe}")
    assert (done.returncode, playing.calls()) == (0, GIVES[recipe]), done.stdout + done.stderr


def test_every_recipe_for_fly_is_tested() -> None:
    for_fly = re.findall(r"^\[group\('Fly'\)\]\n([a-z]+)", (PROJECT / "Justfile").read_text(), re.MULTILINE)
    assert set(for_fly) == {recipe.split()[0] for recipe in GIVES} | {"launch", "wireguard"}


def test_launch_creates_the_app_gives_it_a_private_address_and_runs_nothing(tmp_path: Path) -> None:
    playing = fly(tmp_path)
    done = playing.run("just launch")
    assert done.returncode == 0, done.stderr
    assert playing.calls() == [LIST, LAUNCH, LIST, ALLOCATE, LIST]
    assert playing.known()["apps"] == PRIVATE


def test_launch_leaves_an_app_that_is_there_as_it_is(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE)
    done = playing.run("just launch")
    assert (done.returncode, playing.calls()) == (0, [LIST, LIST, LIST])
    assert "private-svc is an app of yours already" in done.stderr


def test_launch_under_a_name_that_is_taken_goes_on_with_the_one_that_flyctl_chose(tmp_path: Path) -> None:
    playing = fly(tmp_path, taken=["private-svc"])
    assert playing.run("just launch").returncode == 0
    assert playing.known()["apps"] == {"private-svc-quiet-moon-4711": ["private_v6"]}
    assert playing.run("just status").returncode == 0
    assert playing.calls()[-1] == "fly status -a private-svc-quiet-moon-4711"


@pytest.mark.parametrize(
    ("command", "name"), [("just launch", "private-svc"), ("just app=my-admin launch", "my-admin")]
)
def test_launch_changes_nothing_in_fly_toml_but_the_name(command: str, name: str, tmp_path: Path) -> None:
    playing = fly(tmp_path)
    before = (playing.project / "fly.toml").read_text()
    assert playing.run(command).returncode == 0
    assert (playing.project / "fly.toml").read_text() == before.replace('app = "private-svc"', f'app = "{name}"')


def test_a_launch_that_fails_leaves_fly_toml_and_stops(tmp_path: Path) -> None:
    playing = fly(tmp_path, broken=["launch"])
    before = (playing.project / "fly.toml").read_text()
    assert playing.run("just launch").returncode != 0
    assert playing.calls()[-1] == LAUNCH
    assert (playing.project / "fly.toml").read_text() == before


def test_launch_makes_no_second_app_when_it_cannot_be_told_whether_there_is_one(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE, broken=["ips list"])
    done = playing.run("just launch")
    assert (done.returncode != 0, playing.calls()) == (True, [LIST])
    assert "the API did not answer" in done.stderr


def test_deploy_gives_an_app_without_addresses_a_private_one_first(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps={"private-svc": []})
    assert playing.run("just deploy").returncode == 0
    assert playing.calls() == [LIST, ALLOCATE, LIST, DEPLOY, LIST]


def test_deploy_of_an_app_with_a_public_address_is_refused_and_says_how_to_release_it(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps={"private-svc": ["private_v6", "v6"]})
    done = playing.run("just deploy")
    assert done.returncode != 0
    assert playing.calls() == [LIST, LIST]
    assert "fly ips release 2a09:8280:1::37:7312:0" in done.stdout + done.stderr


def test_a_deploy_that_brings_a_public_address_fails_and_says_how_to_release_it(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE, deploy="exposes")
    done = playing.run("just deploy")
    assert done.returncode != 0
    assert playing.calls() == [LIST, LIST, DEPLOY, LIST]
    assert "fly ips release 66.241.124.113" in done.stdout + done.stderr


def test_addresses_are_looked_at_after_a_deploy_that_fails_too(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE, deploy="fails")
    done = playing.run("just deploy")
    assert done.returncode != 0
    assert playing.calls() == [LIST, LIST, DEPLOY, LIST]
    assert "smoke checks failed" in done.stderr


def test_a_fly_toml_with_a_fault_is_not_deployed(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE)
    file = playing.project / "fly.toml"
    file.write_text(file.read_text().replace("[http_service]\n", "[http_service]\nforce_https = true\n"))
    done = playing.run("just deploy")
    assert (done.returncode != 0, playing.calls()) == (True, []), done.stdout
    assert "force_https" in done.stdout + done.stderr


def test_addresses_that_cannot_be_listed_stop_a_deploy(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE, broken=["ips list"])
    assert playing.run("just deploy").returncode != 0
    assert playing.calls() == [LIST]


@pytest.mark.long
@pytest.mark.parametrize("recipe", [*GIVES, "launch", "wireguard lap"])
def test_a_dry_run_says_the_commands_and_gives_none(recipe: str, tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE)
    before = (playing.project / "fly.toml").read_bytes()
    done = playing.run(f"just dry=yes {recipe}")
    said = re.findall(r"^\$ (fly .*)$", done.stderr, re.MULTILINE)
    assert (done.returncode, playing.calls()) == (0, []), done.stderr
    peer = tmp_path / ".config" / "wireguard" / "lap.conf"
    otherwise = {
        "deploy": [LIST, ALLOCATE, LIST, DEPLOY, LIST],
        "deploy --remote-only": [LIST, ALLOCATE, LIST, f"{DEPLOY} --remote-only", LIST],
        "launch": [LAUNCH, LIST, ALLOCATE, LIST],
        "wireguard lap": [STATUS, f"fly wireguard create acme '' lap {peer}"],
    }
    unquoted = [line.replace("\\", "").replace("ORGANISATION", "acme") for line in said]
    assert unquoted == (GIVES | otherwise)[recipe]
    assert (playing.project / "fly.toml").read_bytes() == before
    assert not (tmp_path / ".config").exists()


def test_another_app_can_be_named(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps={"other": ["private_v6"]})
    assert playing.run("just app=other status").returncode == 0
    assert playing.calls() == ["fly status -a other"]


@pytest.mark.long
@pytest.mark.parametrize("recipe", [*GIVES, "launch", "wireguard lap"])
def test_without_flyctl_one_line_says_so_and_how_to_get_it(recipe: str, tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE)
    (tmp_path / "bin" / "flyctl").unlink()
    with_none = [
        part for part in playing.environment["PATH"].split(os.pathsep)
        if not any(os.access(os.path.join(part, name), os.X_OK) for name in ("fly", "flyctl"))  # noqa: PTH118 - part may be ''
    ]  # fmt: skip
    done = playing.run(f"just {recipe}", PATH=os.pathsep.join(with_none))
    assert done.returncode != 0
    assert done.stderr.count("flyctl is not installed: https://fly.io/docs/flyctl/install/") == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_the_shell_machine_is_none_of_the_app_s_and_leaves_no_copy_behind(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE)
    copies = tmp_path / "copies"
    copies.mkdir()
    (playing.project / ".git").mkdir()
    assert playing.run("just shell", TMPDIR=str(copies)).returncode == 0
    (made,) = [call for call in playing.known()["calls"] if call["argv"][0] == "machine"]
    assert "-a" not in made["argv"]
    assert "Dockerfile" in made["here"]
    assert not {"fly.toml", ".git"} & set(made["here"])
    assert list(copies.iterdir()) == []


def test_the_image_has_the_target_that_the_shell_machine_is_made_of() -> None:
    assert re.search(r"^FROM .* AS shell$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)


def test_the_token_is_given_by_stdin_alone_and_printed_once(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE)
    done = playing.run("just secrets")
    (call,) = playing.known()["calls"]
    token = call["stdin"].strip()
    assert re.fullmatch(r"ADMIN_TOKEN=[\w-]{32,}", token)
    assert token not in " ".join(call["argv"])
    assert done.stdout.count(token) == 1
    assert token not in done.stderr


def test_a_token_that_was_not_set_is_not_printed(tmp_path: Path) -> None:
    done = fly(tmp_path, apps=PRIVATE, broken=["secrets import"]).run("just secrets")
    assert done.returncode != 0
    assert "ADMIN_TOKEN" not in done.stdout


def test_a_peer_s_file_is_the_user_s_own_and_outside_the_project(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE)
    done = playing.run("just wireguard my-laptop")
    file = tmp_path / ".config" / "wireguard" / "my-laptop.conf"
    assert playing.calls() == [STATUS, f"fly wireguard create acme '' my-laptop {file}"], done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert f"wg-quick up {file}" in done.stdout


def test_a_peer_s_name_comes_from_the_computer_s_and_fits_an_interface(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE)
    assert playing.run("just wireguard").returncode == 0
    (file,) = (tmp_path / ".config" / "wireguard").iterdir()
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,14}", file.stem)


@pytest.mark.parametrize("name", ["sixteen-letters-", "Upper", "../x", "a b", "-x"])
def test_a_peer_s_name_that_cannot_be_an_interface_is_refused_before_anything_is_made(
    name: str, tmp_path: Path
) -> None:
    playing = fly(tmp_path, apps=PRIVATE)
    done = playing.run(f"just wireguard '{name}'")
    assert (done.returncode != 0, playing.calls()) == (True, [])
    assert "up to 15 small letters" in done.stderr


def test_a_peer_s_file_that_is_there_is_kept_and_no_peer_is_made(tmp_path: Path) -> None:
    playing = fly(tmp_path, apps=PRIVATE)
    assert playing.run("just wireguard lap").returncode == 0
    before = playing.calls()
    assert playing.run("just wireguard lap").returncode != 0
    assert playing.calls() == before


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('app = "a"\n', "a"),
        ("# app = 'no'\napp='b' # c\n", "b"),
        ("primary_region = 'ams'\n\n[processes]\napp = 'python -m x'\n", ""),
        ("", ""),
    ],
)
def test_the_app_s_name_is_the_one_at_the_top_of_fly_toml(text: str, name: str, tmp_path: Path) -> None:
    playing = fly(tmp_path)
    (playing.project / "fly.toml").write_text(text)
    assert playing.run("recipes/app-name").stdout.strip() == name


def test_without_a_fly_toml_the_other_recipes_still_work(tmp_path: Path) -> None:
    playing = fly(tmp_path)
    (playing.project / "fly.toml").unlink()
    assert playing.run("just --list").returncode == 0
    assert playing.run("just --evaluate app").stdout.strip() == ""
