"""What the options of the boundary mean: `--disk` and `--unsafe`."""

from __future__ import annotations

import pytest

from lab.cli import LabOptions, build_parser
from lab.errors import LabError
from lab.session import _insist_on_a_boundary
from lab.start.rules import DISK_MB

LACKING = ["a user namespace for each Machine: clone: EPERM", "a filter of system calls: prctl(PR_SET_SECCOMP)"]


def options(*, unsafe: bool) -> LabOptions:
    return LabOptions(300, 0, None, unsafe=unsafe)


@pytest.mark.parametrize("command", ["run", "up", "demo"])
@pytest.mark.parametrize(("given", "expected"), [([], DISK_MB), (["--disk", "1"], 1), (["--disk=65536"], 65536)])
def test_a_machine_may_write_as_many_megabytes_as_disk_says(command: str, given: list[str], expected: int) -> None:
    assert build_parser().parse_args([command, *given]).disk == expected


@pytest.mark.parametrize(
    "text",
    ["0", "65537", "-1", "1.5", "8gb", "", " 5", "+5", "1_0", "\u0665", "9" * 5000],
    ids=lambda text: ascii(text[:9]),
)
def test_another_size_is_refused_with_what_was_expected(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        build_parser().parse_args(["run", f"--disk={text}"])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert f"argument --disk: expected 1 to 65536 megabytes, got {text[:99]!r}" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("command", ["run", "up"])
def test_only_unsafe_goes_on_without_a_boundary_and_nothing_else_implies_it(command: str) -> None:
    assert not build_parser().parse_args([command]).unsafe
    assert not build_parser().parse_args([command, "--public", "--laptop"]).unsafe
    assert build_parser().parse_args([command, "--unsafe"]).unsafe


def test_where_a_host_lacks_something_all_of_it_is_told_with_the_way_on() -> None:
    with pytest.raises(LabError) as refused:
        _insist_on_a_boundary(LACKING, options(unsafe=False))
    for part in (*LACKING, "an app could leave its Machine", "--unsafe"):
        assert part in str(refused.value)


def test_with_unsafe_each_thing_that_is_lacking_is_told_and_the_lab_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    _insist_on_a_boundary(LACKING, options(unsafe=True))
    told = [f"flycast-lab: Machines are not isolated here: this host does not give {part}" for part in LACKING]
    assert capsys.readouterr().err.splitlines() == told


@pytest.mark.parametrize("unsafe", [True, False])
def test_where_nothing_is_lacking_nothing_is_told(unsafe: bool, capsys: pytest.CaptureFixture[str]) -> None:
    _insist_on_a_boundary([], options(unsafe=unsafe))
    assert capsys.readouterr().err == ""
