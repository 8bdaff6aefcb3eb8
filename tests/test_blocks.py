"""Every command block of the documents is run, or says why it cannot be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.blocks import PROJECT, Block, all_blocks, blocks_for

SECONDS = 120
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def bash(script: str, **environment: str) -> str:
    """Run a script as a person in the project's directory; return its output, fail when it fails."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=PROJECT, env=os.environ | {"PATH": PATH} | environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"$ {script}\nexit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_block_says_how_it_is_run_or_why_it_needs_fly() -> None:
    silent = [str(block) for block in all_blocks() if not (block.where or block.test or block.reason)]
    assert not silent, f"{silent}: expected a comment right above, see tests/blocks.py"
    assert {block.where for block in all_blocks()} <= {"", "lab", "host", "terminals", "flyctl", "ci"}


@pytest.mark.skipif(
    not (PROJECT / "lab").is_dir(), reason="without lab/, the tests that some blocks name are gone, too"
)
def test_every_test_that_a_block_names_exists() -> None:
    existing = set(re.findall(r"def (test_\w+)", "\n".join(path.read_text() for path in PROJECT.glob("tests/**/*.py"))))
    for block in all_blocks():
        assert not block.test or block.test in existing, f"{block}: there is no {block.test}"


def test_the_set_up_of_the_readme_is_what_ci_does() -> None:
    (block,) = blocks_for("ci")
    in_ci = (PROJECT / ".ci" / "run").read_text(encoding="utf-8").replace("pip install -q", "pip install")
    set_ups = {line.rpartition(" && ")[0] for line in block.commands()}
    assert {line.rpartition(" && ")[2] for line in block.commands()} == {"just demo", "just test"}
    assert len(set_ups) == 1
    assert f"{set_ups.pop()} && just test" in in_ci


@pytest.mark.lab
@pytest.mark.long
def test_the_demo_of_the_readme_runs() -> None:
    assert "cold proven" in bash("just demo")


@pytest.mark.lab
@pytest.mark.long
@pytest.mark.parametrize("block", blocks_for("lab"), ids=str)
def test_what_a_document_runs_on_a_shell_machine_works_there(block: Block, tmp_path: Path) -> None:
    script = tmp_path / "block.sh"
    script.write_text(f"set -euo pipefail\ncd {tmp_path}\n{block.text}\n", encoding="utf-8")
    # A Machine that is waited for sleeps soon, and one that is asked over 6PN stays up.
    autostop_seconds = 1 if " wake " in block.text else 300
    said = bash(f"flycast-lab run --autostop-interval {autostop_seconds} -- bash {script}")
    assert "private-svc" in said or "ingress: flycast" in said


@pytest.mark.lab
@pytest.mark.long
@pytest.mark.parametrize(
    ("block", "line"), [(block, line) for block in blocks_for("host") for line in block.commands()], ids=str
)
def test_what_a_document_runs_on_the_host_works_there(block: Block, line: str) -> None:
    assert bash(line), block


@pytest.mark.lab
@pytest.mark.long
@pytest.mark.parametrize("block", blocks_for("terminals"), ids=str)
def test_what_a_document_runs_beside_a_lab_that_is_up_works(block: Block) -> None:
    first, *others = block.commands()
    up = subprocess.Popen(["bash", "-c", f"exec {first}"], cwd=PROJECT, env=os.environ | {"PATH": PATH},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    with up:
        assert up.stdout is not None
        said = []
        for line in up.stdout:
            said.append(line)
            if "The lab is up" in line:
                break
        assert up.poll() is None, "".join(said)
        try:
            for line in others:
                # Other tests have labs up, too, so here a lab has to be named.
                bash(re.sub(r"^flycast-lab (machine \w+|\w+)", rf"flycast-lab \1 --lab {up.pid}", line))
            up.stdout.read()
            assert up.wait(SECONDS) == 0
        finally:
            up.kill()
