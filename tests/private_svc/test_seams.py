from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from private_svc.config import ConfigError
from private_svc.seams import blamed, load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def modules_are_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)


def problem_of(setting: str, module: str, name: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(setting, module, name)
    return caught.value


def test_a_module_of_the_working_directory_is_found(tmp_path: Path) -> None:
    (tmp_path / "seams_found.py").write_text("answer = 42\n")
    assert load("RAW", "seams_found", "answer") == 42


@pytest.mark.parametrize("setting", ["APP", "RAW", "AUTH"])
def test_whatever_is_missing_or_fails_is_said_of_the_setting_that_names_it(tmp_path: Path, setting: str) -> None:
    (tmp_path / f"seams_{setting}.py").write_text("")
    (tmp_path / f"seams_needs_{setting}.py").write_text("import seams_not_installed\n")
    (tmp_path / f"seams_ends_{setting}.py").write_text("raise SystemExit('no database')\n")
    for module, words in {
        "seams_nowhere": "there is no module seams_nowhere, neither in ",
        f"seams_{setting}": f"expected name in seams_{setting}, got a module without that name",
        f"seams_needs_{setting}": f"cannot import seams_needs_{setting}: ModuleNotFoundError: No module named",
        f"seams_ends_{setting}": f"cannot import seams_ends_{setting}: SystemExit: no database",
    }.items():
        assert str(problem_of(setting, module, "name")).startswith(f"{setting}: {words}")


def test_a_failure_keeps_its_traceback_and_a_problem_that_has_words_keeps_them() -> None:
    with (
        pytest.raises(ConfigError, match="AUTH: check failed: ValueError: no") as caught,
        blamed("AUTH", "check failed"),
    ):
        raise ValueError("no")
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(ConfigError, match=r"^as it is$"), blamed("AUTH", "check failed"):
        raise ConfigError(["as it is"])
