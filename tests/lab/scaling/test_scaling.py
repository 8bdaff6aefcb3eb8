from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.scaling.callers import Crowd, Errand
from tests.lab.scaling.chart import chart_of
from tests.lab.scaling.page import page_of
from tests.lab.scaling.series import Figure, Knee, Point, Series, costs, knee
from tests.lab.scaling.subjects import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCS = Path(__file__).resolve().parents[3] / "docs"
AGAIN = (
    "run: python -m tests.lab.scaling --read docs/scaling.json --write docs/scaling.md --svg docs/images/scaling.svg"
)
COUNTS = (1, 3, 10, 30, 100, 300, 1000)


def recorded() -> list[Series]:
    record = json.loads((DOCS / "scaling.json").read_text())
    return [Series.from_json(series) for series in record["series"]]


def test_the_page_and_its_chart_are_what_the_program_makes_of_its_record() -> None:
    assert (DOCS / "scaling.md").read_text() == page_of(recorded()), AGAIN
    assert (DOCS / "images" / "scaling.svg").read_text() == chart_of(recorded()), AGAIN


def test_the_record_has_every_number_and_every_figure_of_everything_that_can_be_measured() -> None:
    measured = {series.what: series for series in recorded()}
    assert list(measured) == list(SUBJECTS)
    for what, series in measured.items():
        missing = set(SUBJECTS[what].counts) - {point.count for point in series.points}
        assert series.left_out if missing else not series.left_out, f"{what}: without {sorted(missing)}"
        keys = {figure.key for figure in SUBJECTS[what].figures}
        for point in series.points:
            assert all(values.keys() == keys for values in point.rounds), f"{what} at {point.count}: {AGAIN}"


def line(*slopes: float) -> list[tuple[int, float]]:
    """Return costs that rise from 0 by these slopes between `COUNTS`."""
    found = [(COUNTS[0], 0.0)]
    for (fewer, count), slope in zip(pairwise(COUNTS), slopes, strict=True):
        found.append((count, found[-1][1] + slope * (count - fewer)))
    return found


@pytest.mark.parametrize(
    ("slopes", "expected"),
    [
        ((1, 1, 1, 1, 1, 1), None),
        ((1, 1, 1, 2, 2, 2), Knee(100, 1, 2)),
        ((1, 1, 1.5, 1.5, 1.5, 1.5), Knee(30, 1, 1.5)),
        ((1, 1, 1.4, 1.4, 1.4, 1.4), None),
        ((1, 1, 1, 5, 1, 1), None),
        ((1, 1, 1, 1, 1, 3), Knee(1000, 1, 3)),
        ((1, 1, 0, 0, 0, 0), None),
        ((0, 0, 0, 0, 0, 0), None),
        ((0, 0, 0, 0, 1, 4), Knee(1000, 200 / 299, 4)),
    ],
)
def test_the_knee_is_where_one_more_costs_half_as_much_again_and_goes_on_to(
    slopes: tuple[float, ...], expected: Knee | None
) -> None:
    found = knee(line(*slopes), noise=0.5)
    assert (found and found.count) == (expected and expected.count), found
    if found and expected:
        assert found.at_first == pytest.approx(expected.at_first)
        assert found.there == pytest.approx(expected.there)


def test_a_rise_within_the_noise_tells_nothing() -> None:
    assert knee(line(0.1, 0.1, 9, 9, 9, 9), noise=1) is None


def test_the_cost_of_each_counts_as_often_as_there_are_of_them_and_other_work_is_left_out() -> None:
    points = tuple(Point(count, ({"us": 2}, {"us": 90}, {"us": 3})) for count in (1, 10))
    series = Series("names", "2026-01-01", "", "", points)
    assert costs(series, Figure("us", "again, µs", 0, 1, each=True)) == [(1, 2), (10, 20)]
    assert costs(series, Figure("us", "again, µs", 0, 1)) == [(1, 2), (10, 2)]
    assert costs(series, Figure("us", "answers/s", 0, of_rounds=max)) == [(1, 90), (10, 90)]


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def greet(connection: socket.socket) -> None:
    with connection:
        connection.sendall(b"hello\n")


def echo(connection: socket.socket) -> None:
    with connection:
        connection.sendall(b"you said " + connection.recv(100))


def test_every_call_is_made_and_timed_and_a_caller_who_speaks_is_heard() -> None:
    for answer, errand in ((greet, Errand(b"", b"hello\n")), (echo, Errand(b"good day", b"you said good day"))):
        with server(answer) as port:
            tally = Crowd(port, errand, in_flight=8, calls=50).run()
        assert not tally.errors
        assert len(tally.times_ms) == 50
        assert 0 < tally.percentile(50) <= tally.percentile(99) <= max(tally.times_ms) <= tally.seconds * 1000


def test_a_wrong_answer_none_at_all_and_a_refusal_are_errors_and_not_times() -> None:
    kept: list[socket.socket] = []
    with server(greet) as port:
        wrong = Crowd(port, Errand(b"", b"good day"), 4, 4).run()
    with server(kept.append) as port:
        silent = Crowd(port, Errand(b"", b"hello\n"), 2, 2, call_seconds=0.2).run()
    refused = Crowd(port, Errand(b"", b"hello\n"), 2, 2).run()
    for connection in kept:
        connection.close()
    assert dict(wrong.errors) == {"answer of 6 bytes: b'hello\\n'": 4}
    assert dict(silent.errors) == {"no answer within 0.2 s": 2}
    assert dict(refused.errors) == {"ECONNREFUSED": 2}
    assert not wrong.times_ms + silent.times_ms + refused.times_ms
    assert refused.percentile(99) == 0


def measured(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    files = ("--json", directory / "r.json", "--svg", directory / "r.svg", "--write", directory / "r.md")
    return subprocess.run(
        [sys.executable, "-m", "tests.lab.scaling", *options, *files],
        capture_output=True, text=True, timeout=120, check=False, cwd=DOCS.parent,
    )  # fmt: skip


def test_what_is_not_measured_anew_is_taken_from_the_record(tmp_path: Path) -> None:
    done = measured(tmp_path, "--read", str(DOCS / "scaling.json"))
    assert done.returncode == 0, done.stderr
    for made, kept in (("r.md", "scaling.md"), ("r.json", "scaling.json"), ("r.svg", "images/scaling.svg")):
        assert (tmp_path / made).read_text() == (DOCS / kept).read_text(), kept


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for content in ("", "{}", '{"schema_version": 9, "series": []}', '{"schema_version": 1, "series": [{}]}'):
        (tmp_path / "old.json").write_text(content)
        done = measured(tmp_path, "--read", str(tmp_path / "old.json"))
        assert done.returncode == 1, content
        assert done.stderr.startswith("--read: expected "), done.stderr
        assert not (tmp_path / "r.md").exists()


@pytest.mark.long
@pytest.mark.parametrize("what", [pytest.param("machines", marks=pytest.mark.lab), "hellos", "requests", "names"])
def test_everything_can_be_measured_at_the_smallest_number(what: str, tmp_path: Path) -> None:
    done = measured(tmp_path, "--what", what, "--most", "1", "--rounds", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    (series,) = json.loads((tmp_path / "r.json").read_text())["series"]
    ((values,),) = [point["rounds"] for point in series["points"]]
    assert values.get("errors", 0) == values.get("lost", 0) == 0, values
    assert f"## {SUBJECTS[what].title}" in (tmp_path / "r.md").read_text()
