"""The documents' own commands beside the stand-in: whoever follows them ends private, or is told by an exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.blocks import blocks_for
from tests.flyctl.playing import fly

if TYPE_CHECKING:
    from pathlib import Path

DEPLOY = [block for block in blocks_for("flyctl") if block.document == "README.md"]
OTHERS = [block for block in blocks_for("flyctl") if block.document != "README.md"]

BEFORE: dict[str, dict[str, object]] = {
    "no app yet": {},
    "the name is somebody else's": {"taken": ["private-svc"]},
    "an app without an address": {"apps": {"private-svc": []}},
    "a private address": {"apps": {"private-svc": ["private_v6"]}},
    "a public address": {"apps": {"private-svc": ["v6", "shared_v4"]}},
    "a private address and a public one": {"apps": {"private-svc": ["private_v6", "shared_v4"]}},
    "addresses that cannot be listed": {"apps": {"private-svc": ["v6"]}, "broken": ["ips list"]},
    "no address to be had": {"broken": ["ips allocate-v6"]},
    "a launch that fails": {"broken": ["launch"]},
}


def test_the_readme_deploys_in_five_commands() -> None:
    commands = [command for block in DEPLOY for command in block.commands()]
    assert commands == ["just launch", "just secrets", "just deploy", "just doctor", "just wake"]
    assert {block.section for block in DEPLOY} == {"Deploy in five commands"}


@pytest.mark.long
@pytest.mark.parametrize("deploy", ["ok", "fails", "exposes"])
@pytest.mark.parametrize("before", BEFORE)
def test_who_follows_the_readme_never_ends_public_without_being_told(before: str, deploy: str, tmp_path: Path) -> None:
    playing = fly(tmp_path, **BEFORE[before] | {"deploy": deploy})
    done = [playing.run(command) for block in DEPLOY for command in block.commands()]
    told = [one for one in done if one.returncode]
    if playing.public():
        assert told, f"public, and nobody said so: {playing.known()['apps']}\n{playing.calls()}"
        said = "".join(one.stdout + one.stderr for one in told)
        assert "fly ips release" in said or "ips list" in str(BEFORE[before]), said
    elif deploy == "ok" and "broken" not in BEFORE[before]:
        assert not told, "".join(one.stdout + one.stderr for one in told)
        assert list(playing.known()["apps"].values()) == [["private_v6"]]


@pytest.mark.parametrize("block", OTHERS, ids=str)
def test_a_block_of_another_document_runs(block: object, tmp_path: Path) -> None:
    playing = fly(tmp_path, apps={"private-svc": ["private_v6"]})
    for command in getattr(block, "commands")():  # noqa: B009 - a parameter's type is lost here
        assert playing.run(command).returncode == 0
