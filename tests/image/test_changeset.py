"""Every kind of entry over every kind of file, as the OCI image specification has it."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest

from lab.errors import LabError
from tests.image.layers import DEVICE, FOLDER, PIPE, layer
from tests.image.unpacked import needs_root, tree, unpacked

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_root

BELOW: dict[str, dict[str, str]] = {
    "nothing": {},
    "file": {"x": "old"},
    "directory": {"x": FOLDER, "x/old": "old", "x/deep": FOLDER, "x/deep/old": "old"},
    "link to a file": {"there": "kept", "x": "-> there"},
    "link to a directory": {"there": FOLDER, "there/old": "kept", "x": "-> there"},
    "absolute link": {"there": FOLDER, "there/old": "kept", "x": "-> /there"},
    "link to nothing": {"x": "-> nowhere/at/all"},
    "link to itself": {"x": "-> x"},
    "hard link": {"there": "kept", "x": "=> there"},
    "pipe": {"x": PIPE},
    "device": {"x": DEVICE},
}
ABOVE: dict[str, dict[str, str]] = {
    "nothing": {},
    "file": {"x": "new"},
    "directory": {"x": FOLDER},
    "link": {"x": "-> /new"},
    "hard link": {"other": "new", "x": "=> other"},
    "pipe": {"x": PIPE},
    "device": {"x": DEVICE},
    "whiteout": {".wh.x": ""},
    "opaque whiteout": {"x/.wh..wh..opq": ""},
    "directory, opaque": {"x": FOLDER, "x/.wh..wh..opq": "", "x/new": "new"},
    "opaque, directory": {"x/.wh..wh..opq": "", "x/new": "new", "x": FOLDER},
    "file within": {"x/new": "new"},
    "whiteout within": {"x/.wh.old": ""},
    "whiteout within, directory": {"x/.wh.old": "", "x": FOLDER},
    "whiteout, file": {".wh.x": "", "x": "new"},
    "file, whiteout": {"x": "new", ".wh.x": ""},
    "whiteout, file within": {".wh.x": "", "x/new": "new"},
    "file within, whiteout": {"x/new": "new", ".wh.x": ""},
}
ANEW = {
    "file": {"x": "new"},
    "directory": {"x": FOLDER},
    "link": {"x": "-> /new"},
    "hard link": {"other": "new", "x": "new"},
    "pipe": {"x": PIPE},
    "device": {},
    "whiteout": {},
    "directory, opaque": {"x": FOLDER, "x/new": "new"},
    "opaque, directory": {"x": FOLDER, "x/new": "new"},
    "file within": {"x": FOLDER, "x/new": "new"},
    "whiteout within, directory": {"x": FOLDER},
    "whiteout, file": {"x": "new"},
    "file, whiteout": {"x": "new"},
    "whiteout, file within": {"x": FOLDER, "x/new": "new"},
    "file within, whiteout": {"x": FOLDER, "x/new": "new"},
}
LINKED = {"there": FOLDER, "there/old": "kept"}
OTHERWISE = {
    ("directory", "directory"): BELOW["directory"],
    ("directory", "opaque whiteout"): {"x": FOLDER},
    ("directory", "file within"): {**BELOW["directory"], "x/new": "new"},
    ("directory", "whiteout within"): {"x": FOLDER, "x/deep": FOLDER, "x/deep/old": "old"},
    ("directory", "whiteout within, directory"): {"x": FOLDER, "x/deep": FOLDER, "x/deep/old": "old"},
    ("link to a directory", "opaque whiteout"): {"there": FOLDER, "x": "-> there"},
    ("link to a directory", "file within"): {**LINKED, "there/new": "new", "x": "-> there"},
    ("link to a directory", "whiteout within"): {"there": FOLDER, "x": "-> there"},
    ("absolute link", "opaque whiteout"): {"there": FOLDER, "x": "-> /there"},
    ("absolute link", "file within"): {**LINKED, "there/new": "new", "x": "-> /there"},
    ("absolute link", "whiteout within"): {"there": FOLDER, "x": "-> /there"},
    ("link to nothing", "file within"): {
        "x": "-> nowhere/at/all", "nowhere": FOLDER, "nowhere/at": FOLDER, "nowhere/at/all": FOLDER,
        "nowhere/at/all/new": "new",
    },
}  # fmt: skip


def expected(below: str, above: str) -> dict[str, str]:
    """Return the tree after the second layer: otherwise, or anew where that is said of x, or as it was."""
    if (below, above) in OTHERWISE:
        return OTHERWISE[below, above]
    before = {**BELOW[below], **({"x": "kept"} if below == "hard link" else {})}
    if below == "device":
        del before["x"]  # Machines get their devices from the lab
    if above not in ANEW:
        return before
    return {name: content for name, content in before.items() if not name.startswith("x")} | ANEW[above]


@pytest.mark.parametrize("above", ABOVE)
@pytest.mark.parametrize("below", BELOW)
def test_a_layer_changes_what_is_below_it_as_the_specification_has_it(tmp_path: Path, below: str, above: str) -> None:
    root = unpacked(tmp_path, BELOW[below], ABOVE[above])
    assert tree(root) == expected(below, above)
    if above == "hard link":
        assert (root / "x").samefile(root / "other")
    assert [path.name for path in root.parent.iterdir()] == ["root"]


def test_a_whiteout_within_a_link_that_the_layer_replaces_leaves_what_was_linked(tmp_path: Path) -> None:
    below = {"there/old": "kept", "x": "-> there", "deep": FOLDER, "deep/x": "-> /there"}
    above = {"x/.wh.old": "", "deep/x/y/.wh..wh..opq": "", "deep/x/.wh..wh..opq": "", "x": FOLDER, "deep/x": FOLDER}
    there = {"there": FOLDER, "there/old": "kept"}
    assert tree(unpacked(tmp_path, below, above)) == {**there, "x": FOLDER, "deep": FOLDER, "deep/x": FOLDER}


@pytest.mark.parametrize("target", ["there", "/there", "../../there", "/../../../there"])
def test_a_name_below_a_link_is_where_the_link_leads_within_the_image(tmp_path: Path, target: str) -> None:
    root = unpacked(tmp_path, {"there": FOLDER, "x": f"-> {target}"}, {"x/a/b": "new", "there/c": "=> x/a/b"})
    assert (root / "there/a/b").read_text() == "new"
    assert (root / "there/c").samefile(root / "there/a/b")
    assert [path.name for path in root.parent.iterdir()] == ["root"]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("/a", "a"),
        ("//a", "a"),
        ("./a", "a"),
        ("../a", "a"),
        ("/../../a", "a"),
        ("x/../a", "a"),
        ("y/./../../a/b", "a/b"),
    ],
)
def test_a_name_is_taken_word_by_word_and_none_leads_out(tmp_path: Path, name: str, place: str) -> None:
    root = unpacked(tmp_path, {"there": FOLDER, "x": "-> there"}, {name: "new"}, {"linked": f"=> {name}"})
    assert (root / place).read_text() == "new"
    assert (root / "linked").samefile(root / place)
    assert [path.name for path in root.parent.iterdir()] == ["root"]


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh...", "d/e/.wh..", "..", ".", "/", "d/.."])
def test_what_names_no_file_is_refused_and_nothing_goes(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        LabError, match=r"^image mine: cannot be unpacked: layer 1: expected a (whiteout|directory) .*got"
    ):
        unpacked(tmp_path, {"d/e/f": "kept", "g": "kept"}, {name: ""})
    assert (tmp_path / "outside/root/d/e/f").read_text() == "kept"
    assert (tmp_path / "outside/root/g").read_text() == "kept"


def test_no_mark_of_a_whiteout_is_ever_seen(tmp_path: Path) -> None:
    marks = {
        ".wh..wh.plnk": FOLDER,
        ".wh..wh.plnk/1.2": "",
        ".wh..wh.aufs": "",
        "a": "1",
        ".wh.d/e": "",
        ".wh.f": FOLDER,
    }
    assert tree(unpacked(tmp_path, marks, {"d/.wh.none": "", "none/.wh.x": "", "a/.wh.x": ""})) == {"a": "1"}


def test_a_hard_link_to_the_same_file_again_stays_and_one_to_nothing_is_told(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path, {"a": "1", "b": "=> a", "u": FOLDER, "l": "-> u", "u/f": "2"}, {"a": "=> b", "u/f": "=> l/f"}
    )
    assert tree(root) == {"a": "1", "b": "1", "u": FOLDER, "l": "-> u", "u/f": "2"}
    with pytest.raises(LabError, match=r"layer 0: .*No such file or directory: '/none' -> '/a'"):
        unpacked(tmp_path, {"a": "=> none"})


def described(kind: bytes, **attributes: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo()
    entry.type, entry.mode, entry.uid, entry.gid, entry.mtime = kind, 0o640, 12, 34, 1_000_000
    for name, value in attributes.items():
        setattr(entry, name, value)
    return entry


def test_owner_mode_and_time_are_those_of_the_last_entry(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        {"d": FOLDER, "d/in": "1", "f": "1"},
        {
            ".": described(tarfile.DIRTYPE, mode=0o711), "d": described(tarfile.DIRTYPE, mode=0o2750),
            "d/new": described(tarfile.REGTYPE, mode=0o6755), "f": described(tarfile.REGTYPE),
            "p": described(tarfile.FIFOTYPE), "l": described(tarfile.SYMTYPE, linkname="f", mode=0o777),
            "implied/f": described(tarfile.REGTYPE),
        },
        {"h": described(tarfile.LNKTYPE, linkname="f", mode=0o777, uid=9, mtime=9)},
    )  # fmt: skip
    modes = {".": 0o711, "d": 0o2750, "d/new": 0o6755, "f": 0o640, "p": 0o640, "implied/f": 0o640, "h": 0o640}
    for name, mode in modes.items():
        status = (root / name).stat()
        assert oct(status.st_mode & 0o7777) == oct(mode), name
        assert (status.st_uid, status.st_gid) == (12, 34), name
        assert status.st_mtime == 1_000_000 or name == ".", name  # the layer above has put h there
    link, implied = (root / "l").lstat(), (root / "implied").stat()
    assert (link.st_uid, link.st_gid, link.st_mtime) == (12, 34, 1_000_000)
    assert (implied.st_uid, implied.st_mode & 0o7777) == (0, 0o755)


@pytest.mark.parametrize(
    "attributes",
    [
        {"uid": 2**40, "gid": 2**70},
        {"uid": -5},
        {"mtime": 2**70},
        {"mtime": -(2**70)},
        {"pax_headers": {"mtime": "nan"}},
        {"pax_headers": {"mtime": "inf"}},
        {"mode": 2**40 + 0o644},
    ],
    ids=str,
)
def test_owners_and_times_that_no_system_has_are_left_out(tmp_path: Path, attributes: dict[str, object]) -> None:
    content = layer({"f": described(tarfile.REGTYPE, **attributes)})
    assert tree(unpacked(tmp_path, content)) == {"f": ""}


def test_a_directory_that_nobody_may_enter_is_filled_all_the_same(tmp_path: Path) -> None:
    shut = described(tarfile.DIRTYPE, mode=0)
    root = unpacked(tmp_path, {"d": shut, "d/a": "1"}, {"d/b": "2", "d/.wh.a": ""})
    assert tree(root) == {"d": FOLDER, "d/b": "2"}
