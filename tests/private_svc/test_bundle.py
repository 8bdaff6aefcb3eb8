"""The bundle: what is in it, how its modules differ from others, and when it is left alone."""

from __future__ import annotations

import importlib
import marshal
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from private_svc import bundle, make_bundle
from tests.private_svc.process import PATIENCE_SECONDS, ROOT

FACTS = """
import importlib, inspect, json, sys
if "bundled" in sys.argv:
    from private_svc import bundle
    bundle.use()
loaders = set()
for name in ("aiohttp", "aiohttp.web", "asyncio", "private_svc.life", "private_svc.web.rendering"):
    module = importlib.import_module(name)
    loaders.add(type(module.__loader__).__module__)
    print(name, module.__file__, module.__cached__, getattr(module, "__path__", None), module.__package__)
    print(inspect.getsource(module)[:500])
print(module.static_file("panel.css"))
print(loaders, file=sys.stderr)
"""
MAPS = """\
7f3e00000000-7f3e00020000 r--p 00000000 fe:00 12                         /lib/second.so.2
7f3e00020000-7f3e00030000 r-xp 00020000 fe:00 12                         /lib/second.so.2
7f3e00030000-7f3e00040000 rw-p 00000000 00:00 0
7f3e10000000-7f3e10001000 r--p 00000000 fe:00 11                         /lib/a first.so
7f3e20000000-7f3e20001000 r--p 00000000 fe:00 10                         {pythons_own}
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
"""


def run(directory: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=directory, env={**os.environ, **environ}, capture_output=True, text=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip


def copied(directory: Path) -> Path:
    """Copy the service; a bundle in the checkout would change what everybody imports from it."""
    shutil.copytree(ROOT / "private_svc", directory / "private_svc")
    return directory


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a directory as the image has it."""
    directory = copied(tmp_path_factory.mktemp("image"))
    made = run(directory, "-m", "private_svc.make_bundle")
    assert made.returncode == 0, made.stderr
    return directory


def index_of(image: Path) -> bundle.Index:
    made = (image / "private_svc" / Path(bundle.PATH).name).read_bytes()
    index: bundle.Index = marshal.loads(made[bundle.INDEX_AT :])  # noqa: S302 - our own
    return index


def test_all_that_the_first_answer_needs_comes_out_of_the_bundle(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(image)
    told, maps = make_bundle.first_answer()
    _, modules, libraries = index_of(image)
    assert {"asyncio", "aiohttp.web", "private_svc.life", "private_svc.web.rendering"} <= modules.keys() & {
        *make_bundle.imported(told)
    }
    _, _, after = told.partition(f"import '{bundle.__name__}'")
    assert [line for line in after.splitlines() if "code object from" in line] == [], (
        "a file was read beside the bundle"
    )
    assert {path for path, _ in make_bundle.libraries(maps)} <= {path for path, _ in libraries}
    assert any("_http_parser" in path for path, _ in libraries)


def test_a_module_of_the_bundle_has_the_same_source_and_the_same_data_as_without_it(image: Path) -> None:
    bundled, plain = run(image, "-c", FACTS, "bundled"), run(image, "-c", FACTS)
    assert bundled.stderr.strip() == str({bundle.__name__}), "it is the bundle that was compared"
    assert plain.returncode == 0, plain.stderr
    assert bundled.stdout == plain.stdout


def test_a_library_is_read_as_far_as_it_is_mapped_in_the_order_of_loading_and_none_of_pythons_own() -> None:
    maps = Path("/proc/self/maps").read_text().splitlines()
    pythons_own = next(path for line in maps if (path := line.rpartition(" ")[2]).endswith("/libc.so.6"))
    expected = [("/lib/a first.so", 0x1000), ("/lib/second.so.2", 0x30000)]
    assert make_bundle.libraries(MAPS.format(pythons_own=pythons_own)) == expected


def test_the_bundle_and_its_libraries_are_read_ahead_and_a_library_that_has_gone_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, made = tmp_path / "library.so", tmp_path / "made"
    library.write_bytes(b"x" * 100)
    (tmp_path / "new_module.py").write_text("ANSWER = 42")
    monkeypatch.syspath_prepend(tmp_path)
    with made.open("wb") as stream:
        make_bundle.write(stream, ["new_module", "sys", "_socket"], [("/not/there.so", 8), (str(library), 64)])
    advised: list[tuple[Path, int, int, int]] = []

    def advise(fd: int, offset: int, size: int, advice: int) -> None:
        advised.append((Path(f"/proc/self/fd/{fd}").readlink(), offset, size, advice))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    monkeypatch.setattr(sys, "meta_path", sys.meta_path.copy())
    bundle.use(str(made))
    assert advised == [(made, 0, 0, os.POSIX_FADV_WILLNEED), (library, 0, 64, os.POSIX_FADV_WILLNEED)]
    (tmp_path / "new_module.py").unlink()
    assert importlib.import_module("new_module").ANSWER == 42
    assert isinstance(sys.modules.pop("new_module").__loader__, bundle.Loader)
    assert bundle.Finder(-1, {}, 0).find_spec("json") is None


def test_without_a_bundle_and_with_one_of_another_python_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", sys.meta_path.copy())
    before = sys.meta_path.copy()
    other = tmp_path / "other.bundle"
    other.write_bytes(make_bundle.framed(("2.7.18", {}, [])))
    bundle.use(str(other))
    bundle.use(str(tmp_path / "none.bundle"))
    assert sys.meta_path == before


def test_an_application_that_is_mounted_while_the_bundle_is_made_is_in_it(tmp_path: Path) -> None:
    directory = copied(tmp_path)
    (directory / "shop.py").write_text("from aiohttp import web\n\n\ndef make():\n    return web.Application()\n")
    made = run(directory, "-m", "private_svc.make_bundle", APP="shop:make")
    assert made.returncode == 0, made.stderr
    assert index_of(directory)[1]["shop"][0] == str(directory / "shop.py")


def test_a_service_that_does_not_start_makes_no_bundle_and_says_why(tmp_path: Path) -> None:
    directory = copied(tmp_path)
    before = sorted(path.name for path in (directory / "private_svc").iterdir())
    done = run(directory, "-m", "private_svc.make_bundle", DRAIN_SECONDS="long")
    assert done.returncode == 1
    assert "\nDRAIN_SECONDS: expected seconds" in f"\n{done.stderr}"
    assert "make_bundle: expected the service to listen, it ended" in done.stderr
    assert sorted(path.name for path in (directory / "private_svc").iterdir()) == before
