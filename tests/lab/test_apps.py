"""What an app's Machines show of the host is decided before anything starts, and told where a command needs more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.apps import read_topology
from lab.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from lab.topology import Topology

TWO_GROUPS = """
app = "shop"
primary_region = "ams"
[processes]
web = "./serve --config CONFIG"
worker = "sleep 1000"
"""


def planned(config: Path, command: str | None = None) -> Topology:
    return read_topology([(config, "personal")], command, "1", public=False, flycast_in={}, secrets={})


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a fly.toml whose command names a file beside the app's directory; the PATH has its interpreter."""
    monkeypatch.setenv("PATH", f"{tmp_path}/tools/bin", prepend=":")
    directory = tmp_path / "repository/app"
    directory.mkdir(parents=True)
    for script in (directory / "serve", tmp_path / "tools/bin/node"):
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f"#!{tmp_path}/tools/bin/node\n" if script.name == "serve" else "ELF")
        script.chmod(0o755)
    (tmp_path / "repository/shared.yaml").write_text("")
    file = directory / "fly.toml"
    file.write_text(TWO_GROUPS.replace("CONFIG", f"{tmp_path}/repository/shared.yaml"))
    return file


def test_each_process_group_shows_the_installation_of_its_own_program_alone(config: Path, tmp_path: Path) -> None:
    (app,) = planned(config).apps
    shown = {machine.process_group: set(machine.installations) for machine in app.machines}
    assert shown["web"] - shown["worker"] == {f"{tmp_path}/tools/bin"}
    assert not any(path.startswith(str(tmp_path)) for path in shown["worker"]), "but for this Python there is nothing"
    assert {machine.directory for machine in app.machines} == {str(config.parent)}


def test_a_word_of_a_command_that_is_not_in_the_machine_is_told_with_what_to_do(config: Path, tmp_path: Path) -> None:
    (app,) = planned(config).apps
    (told,) = app.left_out
    assert told == (
        f"{config}: the command leads to {tmp_path}/repository/shared.yaml, which is not in the Machine; "
        f"a Machine sees {config.parent}, the system directories and installations in your PATH: move it there, or put "
        f"its directory into your PATH"
    )


def test_a_fly_toml_that_is_a_link_shows_the_directory_of_the_link_and_not_where_it_leads(tmp_path: Path) -> None:
    """A stranger's link to the fly.toml of another project, beside a Dockerfile, would run in that project."""
    other, stranger = tmp_path / "other", tmp_path / "stranger"
    for directory in (other, stranger):
        directory.mkdir()
    (other / "fly.toml").write_text('app = "other"\n')
    (stranger / "fly.toml").symlink_to(other / "fly.toml")
    (stranger / "Dockerfile").write_text('FROM scratch\nCMD ["cat", "secret"]\n')
    (tmp_path / "link").symlink_to(stranger)
    topology = read_topology(
        [(tmp_path / "link/fly.toml", "personal")], None, "1", public=False, flycast_in={}, secrets={}
    )
    (machine,) = topology.machines
    assert (machine.argv, machine.directory) == (("cat", "secret"), str(stranger))


def test_a_fly_toml_in_a_home_directory_is_refused_with_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(config.parent))
    with pytest.raises(UsageError, match=f"^{config}: expected a fly.toml in a directory of its own"):
        planned(config)
