"""The corpus holds small files and what flyctl of August 2026 said of each, in outcomes.json."""

from __future__ import annotations

import json
import random
import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import pytest

from shell.flytoml import FlyTomlError, read
from shell.flytoml.verdict import Kind, Verdict, verdict
from tests.shell.test_flytoml_lines import CORPUS

if TYPE_CHECKING:
    from pathlib import Path

OUTCOMES: dict[str, dict[str, Any]] = json.loads((CORPUS / "outcomes.json").read_text())
PIECES = [
    b"[", b"]", b"[[", b"]]", b"{", b"}", b"=", b",", b".", b'"', b"'", b'"""', b"'''", b"#", b"\\", b"\n", b"\r\n",
    b"\0", b"\xff", b"\xef\xbb\xbf", b"-1", b"9" * 30, b"1e400", b"nan", b"inf", b"true", b"[]", b"{}", b"[{}]",
    b"1979-05-27", b"\\e", b"[services]\n", b"[[services]]\n", b"[[http_service]]\n", b"[env]\n", b"[vm]\n",
    b"processes = ['x']\n", b"checks = 1\n", b"\xc4\xb0", b"K",
]  # fmt: skip
VALUES = [
    b"0", b"-1", b"8080.0", b"8080.5", b"'8080'", b"99999", b"1e3", b"inf", b"nan", b"true", b"'true'", b"''", b"'x'",
    b"'1,2'", b"'10s'", b"'10'", b"'2m'", b"'500ms'", b"'stop'", b"[]", b"['x']", b"[1]", b"[[]]", b"{}", b"{ a = 1 }",
    b"[{}]", b"[{ name = 'x', value = 1 }]", b"[{ port = '80' }]", b"{ type = 'tcp', interval = 1 }", b"\"'\"",
]  # fmt: skip


def of_text(folder: Path, text: str) -> Verdict:
    path = folder / "fly.toml"
    path.write_text(text)
    return verdict(path)


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_the_verdict_is_flyctl_s_and_so_are_the_words(name: str) -> None:
    expected = OUTCOMES[name]
    found = verdict(CORPUS / name)
    assert found.kind == expected["outcome"], found
    words = expected["messages"] or [text for text in (expected["load_error"], expected["parse_error"]) if text]
    assert sorted(said.text for said in (*found.errors, *found.warnings)) == sorted(words)


def test_every_file_of_the_corpus_has_an_outcome() -> None:
    assert {path.name for path in CORPUS.glob("*.toml")} == set(OUTCOMES)


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_what_flyctl_reads_is_read(name: str) -> None:
    fine = OUTCOMES[name]["outcome"] in (Kind.VALID, Kind.INVALID)
    with nullcontext() if fine else suppress(FlyTomlError):
        assert read(CORPUS / name).path == CORPUS / name


@pytest.mark.parametrize(
    ("text", "kind", "line", "words"),
    [
        ("app = 99999999999999999999", Kind.LOAD_ERROR, 1, "64 bits"),
        ("app = 'x'\n[env]\nA = inf\nB = 1979-05-27", Kind.VALID, 0, ""),
        ("x = nan", Kind.PARSE_ERROR, 1, "json: unsupported value: NaN"),
        ("app = 1979-05-27", Kind.VALID, 0, ""),
        ("swap_size_mb = 1e21", Kind.PARSE_ERROR, 1, "cannot unmarshal number 1e+21 into Go struct field Config.swap"),
        ("swap_size_mb = 1e3", Kind.VALID, 0, ""),
        ("[http_service.http_options]\nidle_timeout = -1", Kind.PARSE_ERROR, 2, "number -1 into Go struct field HTTPO"),
        ("[[services]]\n[[services.ports]]\nport = true", Kind.PARSE_ERROR, 3, "Unknown type for cast: bool"),
        ("[[services]]\nconcurrency = '1,x'", Kind.PARSE_ERROR, 2, "Can not convert '1,x': strconv.Atoi: parsing"),
        ("[[services]]\nconcurrency = '1,2'", Kind.VALID, 0, ""),
        ("[[services]]\n[services.tcp_checks]\nheaders = 1", Kind.PARSE_ERROR, 2, "Error processing tcp_checks: Unsup"),
        ("services = [1]", Kind.PARSE_ERROR, 1, "Can not cast '%!s(int64=1)' of type '%!t(int64=1)' as map[string]any"),
        ("[[compute]]\ncpus = 1\n[[compute]]\ncpus = 'x'", Kind.PARSE_ERROR, 4, "Compute.vm.MachineGuest.cpus of type"),
        ("[metrics]\nport = 'x'", Kind.PARSE_ERROR, 2, "Metrics.metrics.MachineMetrics.port of type int"),
        ("metric = 1", Kind.PARSE_ERROR, 1, "Error processing mounts: Unknown type 'int64'"),
        ("[experimental]\ncmd = [1]", Kind.PARSE_ERROR, 2, "could not cast 1 of type int64 to string on cmd"),
        ("[experimental]\nkill_timeout = '5'", Kind.PARSE_ERROR, 1, 'time: missing unit in duration "5"'),
        ("kill_timeout = ''", Kind.VALID, 0, ""),
        ("[deploy]\nwait_timeout = ''", Kind.PARSE_ERROR, 2, 'time: invalid duration ""'),
        ("[deploy]\nwait_timeout = true", Kind.PARSE_ERROR, 2, "unknown duration type: bool"),
        (
            "[Services]\ninternal_port = 1",
            Kind.PARSE_ERROR,
            1,
            "object into Go struct field Config.services of type []",
        ),
        ("[processes]\nweb = 'x'\n[http_service]\n", Kind.INVALID, 3, "but app has 1 processes defined"),
        ('[processes]\nweb = "\'"', Kind.INVALID, 2, "section: EOF found when expecting closing quote"),
        (
            "[[mounts]]\nsource = 'd'\ninitial_size = 'big'",
            Kind.INVALID,
            3,
            "because of: invalid size: invalid size: 'b",
        ),
        ("[[mounts]]\nsource = 'd'\ninitial_size = '1xb'", Kind.INVALID, 3, "invalid size: invalid suffix: 'xb'"),
        ("[[mounts]]\nsource = 'd'\ninitial_size = '15Mb'", Kind.INVALID, 3, "value which is smaller than 1GB"),
        ("[[mounts]]\nsource = 'd'\ninitial_size = '1.5 TiB'", Kind.VALID, 0, ""),
        ("[[mounts]]\nsnapshot_retention = 61", Kind.INVALID, 2, "not between 1 and 60 days inclusive"),
        ("[[mounts]]\nauto_extend_size_threshold = 80", Kind.INVALID, 2, "must be all defined or none"),
        ("[[restart]]\npolicy = 'never'\nprocesses = ['w']", Kind.INVALID, 3, "Restart policy specifies 'w' as one"),
        ("a = {\n}", Kind.VALID, 0, ""),
    ],
)
def test_a_mistake_has_flyctl_s_words_and_a_line(tmp_path: Path, text: str, kind: Kind, line: int, words: str) -> None:
    found = of_text(tmp_path, text)
    assert found.kind is kind, found
    if found.errors:
        assert (found.errors[0].line, words in found.errors[0].text) == (line, True), found


def test_a_mistake_a_type_finds_itself_comes_before_one_of_json(tmp_path: Path) -> None:
    found = of_text(tmp_path, "app = 5\n[http_service]\nauto_stop_machines = 1\n")
    assert [said.text for said in found.errors] == ["autostop value is not a valid bool or string"]


def test_every_broken_rule_is_told_and_warnings_apart(tmp_path: Path) -> None:
    text = "console_command = \"'\"\n[[services]]\nprocesses = ['a', 'b']\n[[restart]]\npolicy = 'no'\n"
    found = of_text(tmp_path, text)
    assert [said.line for said in found.errors] == [3, 3, 1, 5]
    assert [said.text[:8] for said in found.warnings] == ["WARNING:"]


def test_a_table_that_flyctl_moves_is_told_where_it_stands(tmp_path: Path) -> None:
    found = of_text(
        tmp_path,
        "[[services]]\n[[services]]\nprocesses = ['a']\nports = [{ port = 1 }]\n[mount]\nsnapshot_retention = 0\n",
    )
    assert [(said.line, said.where) for said in found.errors] == [
        (3, "services[1].processes"),
        (6, "mount.snapshot_retention"),
    ]


def _mutated(content: bytes, chance: random.Random) -> bytes:
    """Change bytes anywhere, or, to stay with TOML more often, a line or a value."""
    lines = content.splitlines(keepends=True)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(lines))
        match chance.randrange(6):
            case 0:
                place = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + chance.choice(PIECES) + lines[at][place + chance.randrange(3) :]
            case 1:
                lines.insert(at, lines.pop(chance.randrange(len(lines))).swapcase())
            case 2:
                lines.append(lines[at])
            case 3:
                lines[at] = lines[at].replace(b"[[", b"[").replace(b"]]", b"]")
            case _:
                key, equals, _ = lines[at].partition(b"=")
                lines[at] = key + equals + chance.choice(VALUES) + b"\n" if equals else lines[at]
    return b"".join(lines)


def _check_mutations(name: str, path: Path, count: int) -> None:
    chance = random.Random(name)  # noqa: S311 - to be repeatable is the point
    original = (CORPUS / name).read_bytes()
    begun = time.process_time()
    for _ in range(count):
        content = _mutated(original, chance)
        path.write_bytes(content)
        found = verdict(path)
        refused = ""
        try:
            read(path)
        except FlyTomlError as error:
            refused = str(error)
        assert not refused or refused.startswith(f"{path}:"), (content, refused)
        assert bool(found.errors) == (found.kind is not Kind.VALID), (content, found)
        if found.kind in (Kind.VALID, Kind.INVALID) and b"nan" not in content and b"inf" not in content:
            assert not refused, (content, found)
    assert time.process_time() - begun < 10, f"{count} small files took too long"


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_a_file_changed_at_random_has_a_verdict_and_is_read_when_flyctl_reads_it(name: str, tmp_path: Path) -> None:
    _check_mutations(name, tmp_path / "fly.toml", 10)


@pytest.mark.long
def test_two_hundred_changes_of_each_file_have_a_verdict(tmp_path: Path) -> None:
    for name in OUTCOMES:
        _check_mutations(name, tmp_path / "fly.toml", 200)


def test_a_date_is_text_to_flyctl_and_to_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    path.write_text("primary_region = 2026-11-20\nkill_signal = 10:00:00\n[processes]\nweb = 2026-11-20T10:00:00Z\n")
    assert verdict(path).kind is Kind.VALID
    found = read(path)
    assert (found.primary_region, found.kill_signal) == ("2026-11-20", "10:00:00")
    assert found.processes["web"].startswith("2026-11-20")
