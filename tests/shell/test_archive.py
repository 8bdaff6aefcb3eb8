from __future__ import annotations

import subprocess
import sys
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING

from shell import __version__, archive
from tests.shell.scripted_dns import ScriptedDns

if TYPE_CHECKING:
    from pathlib import Path


def packed() -> bytes:
    stream = BytesIO()
    archive.write(stream)
    return stream.getvalue()


def bare_python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run an interpreter that sees its standard library and nothing that is installed."""
    return subprocess.run(
        [sys.executable, "-I", "-S", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_same_sources_make_the_same_bytes() -> None:
    assert packed() == packed()


def test_it_holds_sources_and_licences_and_no_byte_code() -> None:
    names = zipfile.ZipFile(BytesIO(packed())).namelist()
    assert names == sorted(names)
    assert {"__main__.py", "shell/cli.py", "shell/commands/wake.py", "dns/message.py", "rich/console.py"} <= set(names)
    assert [name for name in names if name.endswith(".pyc")] == []
    assert [name for name in names if name.startswith(("private_svc", "lab", "tests", "aiohttp"))] == []
    for library in archive.LIBRARIES:
        assert any(name.startswith(library) and "LICEN" in name for name in names), f"no licence of {library}"


def test_one_file_runs_on_a_bare_python(tmp_path: Path) -> None:
    file = tmp_path / "probe.pyz"
    assert archive.main([str(file)]) == 0
    assert bare_python(str(file), "--version", cwd=tmp_path).stdout == f"flycast-probe {__version__}\n"
    assert bare_python("-c", "import dns", cwd=tmp_path).returncode == 1, "the interpreter is not bare"
    with ScriptedDns() as nameserver:
        nameserver.app("shop", "::1", deployed="3d8d9014b32d89 ams", started="")
        done = bare_python(str(file), "names", "shop", f"--dns={nameserver.server}", cwd=tmp_path)
    assert "shop: 0 started of 1 deployed Machines" in done.stdout, done.stderr


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    try:
        archive.main([str(tmp_path / "taken")])
    except OSError:
        assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    else:
        raise AssertionError("expected an OSError: the target is a directory")
