"""The benchmark's own arithmetic, its rule of what is worse, what it writes, and how it ends."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from tests.bench import boot, cores, record, report, wrk
from tests.bench.__main__ import main
from tests.bench.chart import chart, used
from tests.bench.compare import regressions
from tests.bench.facts import differing, facts
from tests.bench.measuring import Interrupted, measured
from tests.bench.page import page_of
from tests.bench.programs import PROJECT
from tests.bench.row import BenchError, Better, Compared, Pair, Result, Round, Row, mad
from tests.bench.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DOCS = PROJECT / "docs"
DEADLINE_SECONDS = 60
FACTS = {
    "date": "2026-11-20 12:00 UTC",
    "processor": "<fast> & small",
    "cores": "2",
    "kernel": "6.1",
    "Python": "3.13.1",
    "load before": "0.1",
}
NOT_MET_YET = {"app", "hello-1", "probe-archive", "lab-p50", "lab-up", "lab-up-200"}  # since the targets were raised
KEPT = ("name", "title", "unit", "peer", "target")  # of a row, in a saved run
WRK = """Running 1s test @ http://127.0.0.1:1/
  Latency Distribution
     50%  {p50}
     99%    9.24ms
  10274 requests in 1.00s, 4.38MB read
{bad}Requests/sec:  10244.42
"""


def row(
    *,
    compared: Compared = Compared.RATIO,
    better: Better = Better.LESS,
    target: float | None = 1.0,
    pair: Pair | None = None,
    needs: tuple[str, ...] = (),
) -> Row:
    @contextmanager
    def measure() -> Iterator[Pair]:
        assert pair is not None
        yield pair

    return Row("a-row", "a title", "ms", "a peer", compared, better, target, measure, needs)


def result_of(*figures: float, better: Better = Better.LESS, target: float | None = 1.0) -> Result:
    return Result(row(compared=Compared.ALONE, better=better, target=target), tuple(Round(each) for each in figures))


def counted(values: list[float], then: Exception | type[KeyboardInterrupt] | None = None) -> Callable[[], float]:
    left = iter(values)

    def sample() -> float:
        for value in left:
            return value
        assert then is not None, "more samples were taken than there are"
        raise then

    return sample


@pytest.mark.parametrize(("compared", "figure"), [(Compared.RATIO, 1.5), (Compared.ADDED, 2.0), (Compared.ALONE, 6.0)])
def test_a_figure_is_the_ratio_the_difference_or_ours(compared: Compared, figure: float) -> None:
    assert row(compared=compared).figure(6.0, 4.0) == figure


@pytest.mark.parametrize("compared", Compared)
def test_a_row_without_a_peer_is_its_own_figure(compared: Compared) -> None:
    assert row(compared=compared).figure(6.0, None) == 6.0


def test_the_figure_is_the_median_of_ratios_taken_in_turn_not_the_ratio_of_medians() -> None:
    rounds = (Round(1, 1), Round(10, 10), Round(200, 100))
    assert Result(row(), rounds).figure == 1


@pytest.mark.parametrize(("values", "spread"), [([5], 0), ([1, 2, 9], 1), ([1, 1, 1, 100], 0), ([0, 10], 5)])
def test_the_spread_is_the_median_deviation_from_the_median(values: list[float], spread: float) -> None:
    assert mad(values) == spread


@pytest.mark.parametrize(
    ("better", "figure", "met"),
    [
        (Better.LESS, 0.9, True),
        (Better.LESS, 1.0, True),
        (Better.LESS, 1.1, False),
        (Better.MORE, 0.9, False),
        (Better.MORE, 1.0, True),
        (Better.MORE, 1.1, True),
    ],
)
def test_a_target_is_met_from_its_better_side_and_exactly(better: Better, figure: float, met: bool) -> None:
    result = result_of(figure, better=better)
    assert result.met is met
    assert (used(result.row, figure) <= 1) is met, "the picture says the same"


def test_nothing_is_met_without_a_target_or_a_round() -> None:
    assert result_of(1.0, target=None).met is None
    assert result_of().met is None


def test_the_warm_up_is_not_counted_and_turns_are_taken() -> None:
    order: list[str] = []

    def sample(who: str, values: Iterator[float]) -> Callable[[], float]:
        def take() -> float:
            order.append(who)
            return next(values)

        return take

    pair = Pair(sample("ours", itertools.count(1)), sample("peer", itertools.count(10)))
    result = measured(row(pair=pair), 2, lambda _: None)
    assert order == ["ours", "peer"] * 3
    assert result.rounds == (Round(2, 11), Round(3, 12))


def test_what_was_measured_before_a_failure_is_kept_with_the_reason() -> None:
    pair = Pair(counted([1, 2, 3], BenchError("the server ended")))
    result = measured(row(pair=pair), 5, lambda _: None)
    assert [each.ours for each in result.rounds] == [2, 3]
    assert result.why_not == "the server ended"


def test_what_was_measured_before_ctrl_c_is_kept() -> None:
    with pytest.raises(Interrupted) as stopped:
        measured(row(pair=Pair(counted([1, 2, 3], KeyboardInterrupt))), 5, lambda _: None)
    assert [each.ours for each in stopped.value.result.rounds] == [2, 3]


def test_a_peer_of_zero_is_no_peer() -> None:
    result = measured(row(pair=Pair(lambda: 1.0, lambda: 0.0)), 3, lambda _: None)
    assert "expected something to compare with" in result.why_not


def test_a_row_whose_program_is_missing_says_which() -> None:
    result = measured(row(needs=("sh", "no-such-program")), 3, lambda _: None)
    assert result.why_not == "not installed: no-such-program"


@pytest.mark.parametrize(
    ("before", "now", "worse"),
    [
        ([100, 101, 99], [104, 104, 104], False),  # beyond the noise, but not 5 %
        ([100, 101, 99], [106, 106, 106], True),
        ([100, 110, 90], [120, 120, 120], False),  # 20 %, but within 3 MADs of 10
        ([100, 110, 90], [131, 131, 131], True),
        ([100, 110, 90], [131, 141, 121], False),  # both are noisy
        ([100, 101, 99], [50, 50, 50], False),  # better
        ([0, 0, 0], [1, 1, 1], True),
        ([0, 0, 0], [0, 0, 0], False),
        ([100, 100], [200, 200, 200], False),  # too few to tell
        ([100, 100, 100], [200, 200], False),
    ],
)
@pytest.mark.parametrize("better", Better)
def test_worse_is_beyond_three_joint_mads_and_five_percent(
    before: list[float], now: list[float], worse: bool, better: Better
) -> None:
    if better is Better.MORE:  # the same, seen in a mirror
        before, now = [-each for each in before], [-each for each in now]
    found = regressions([result_of(*now, better=better)], {"a-row": before})
    assert bool(found) is worse, f"{before} -> {now}: {found}"


def test_a_regression_names_its_row_and_both_figures() -> None:
    (found,) = regressions([result_of(0.8, 0.8, 0.8, better=Better.MORE)], {"a-row": [1.0, 1.01, 0.99]})
    assert str(found) == "a-row: 1 -> 0.8, -20%; the noise is 0.03"


def test_a_row_that_the_saved_run_has_not_is_not_worse() -> None:
    assert regressions([result_of(9, 9, 9)], {}) == []


def test_what_json_wrote_is_read_again() -> None:
    results = [result_of(1.5, 2.5, 3.5), Result(row(), why_not="not installed: wrk")]
    saved = record.read(record.as_json(results, FACTS), "run.json")
    assert saved == record.Saved(FACTS, {"a-row": ()})
    saved = record.read(record.as_json(results[:1], FACTS), "run.json")
    assert saved.figures == {"a-row": (1.5, 2.5, 3.5)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        "1",
        '{"schema_version": 2}',
        '{"schema_version": 1}',
        '{"schema_version": 1, "rows": [1]}',
        '{"schema_version": 1, "facts": {}, "rows": [{"name": "a", "figures": ["x"]}]}',
    ],
)
def test_a_file_that_json_did_not_write_is_refused_by_name(text: str) -> None:
    with pytest.raises(BenchError, match=r"^run\.json: expected "):
        record.read(text, "run.json")


def test_the_table_says_what_was_measured_and_what_was_not() -> None:
    results = [
        Result(row(), (Round(50.0, 100.0), Round(60.0, 100.0), Round(70.0, 100.0))),
        Result(row(better=Better.MORE), (Round(1.0, 4.0),), "interrupted"),
        Result(row(), why_not="not installed: wrk"),
    ]
    lines = [re.split(r"\s{2,}", line) for line in report.table(results).splitlines()[1:]]
    assert lines[0] == ["a-row", "60.0 ms", "100 ms", "0.600", "0.100", "≤ 1", "met", "a title; over a peer"]
    assert lines[1][3:] == ["0.250", "0", "≥ 1", "MISSED", "a title; over a peer (interrupted after 1 round)"]
    assert lines[2] == ["a-row", "-", "-", "-", "-", "≤ 1", "not measured: not installed: wrk"]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (0.0123456, "0.0123"), (1, "1.00"), (12.34, "12.3"), (99.96, "100"), (1234.5, "1234"), (-2.5, "-2.50")],
)
def test_numbers_have_three_digits_that_count(value: float, said: str) -> None:
    assert report.number(value) == said


def test_a_busy_machine_is_told() -> None:
    assert "noisy" not in report.heading(FACTS)
    assert "the figures are noisy" in report.heading(FACTS | {"load before": "1.5"})


def test_a_run_of_another_machine_is_told() -> None:
    assert differing(FACTS, FACTS) == []
    assert differing(FACTS, FACTS | {"kernel": "5.10", "date": "then"}) == ["kernel 5.10, now 6.1"]


def test_the_facts_of_this_machine_have_all_that_the_others_need() -> None:
    found = facts()
    assert found.keys() >= FACTS.keys()
    assert all(found.values()), found
    assert f"core {cores.SERVER}" in found["pinning"]


def test_the_picture_is_one_well_formed_file_with_a_bar_for_each_row_with_a_target() -> None:
    results = [
        result_of(0.5),
        result_of(50.0),
        result_of(0.0, target=0.0),
        result_of(0.0, better=Better.MORE),
        result_of(1.0, target=None),
        result_of(),
    ]
    picture = chart(results, FACTS)
    root = ET.fromstring(picture)  # noqa: S314 - our own
    bars = [each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.get("class") in {"met", "missed"}]
    assert [bar.get("class") for bar in bars] == ["met", "missed", "met", "missed"]
    widths = [float(bar.get("width", "")) for bar in bars]
    assert widths[0] > widths[2] == 0
    assert widths[1] == widths[3] == 4 * widths[0], "what is far off is cut at twice its target"
    assert "&lt;fast&gt; &amp; small" in picture
    assert "href" not in picture


@pytest.mark.parametrize(("p50", "p50_ms"), [("860.00us", 0.86), (" 2.86ms", 2.86), (" 1.20s", 1200.0)])
def test_wrk_is_read_in_ms(p50: str, p50_ms: float) -> None:
    assert wrk.read(WRK.format(p50=p50, bad="")) == wrk.Load(10274, 10244.42, p50_ms)


@pytest.mark.parametrize("bad", ["  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, read 7, write 0\n"])
def test_one_failed_request_spoils_the_sample(bad: str) -> None:
    with pytest.raises(BenchError, match=f"got '{bad.strip()}"):
        wrk.read(WRK.format(p50="1.00ms", bad=bad))
    with pytest.raises(BenchError, match="expected every request answered"):
        wrk.read("unable to connect")


def test_every_row_has_a_name_for_the_command_line_and_says_what_it_needs() -> None:
    rows = all_rows()
    assert len(rows) > 15
    for name, each in rows.items():
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert each.peer or each.compared is Compared.ALONE, f"{name} is compared with nothing"
        assert all(re.fullmatch(r"[a-z]+", program) for program in each.needs)


def test_every_row_has_a_target_but_for_two_that_say_what_another_is_worth() -> None:
    assert {name for name, each in all_rows().items() if each.target is None} == {"wrk-ceiling", "hello-cpu"}


def test_the_page_cache_is_dropped_before_the_start_and_a_row_says_when_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = tmp_path / "drop_caches"
    monkeypatch.setattr(boot, "DROP_CACHES", drop)
    assert boot.with_cold_cache(lambda: float(drop.read_text())) == 1
    monkeypatch.setattr(boot, "DROP_CACHES", drop / "not there")
    result = measured(row(pair=Pair(lambda: boot.with_cold_cache(lambda: 1.0))), 3, lambda _: None)
    assert result.why_not.startswith("only root of the host can drop the page cache: "), result.why_not


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--row", "nothing"], "invalid choice: 'nothing'"),
        (["--rounds", "0"], "expected a number from 1, got '0'"),
        (["--rounds", "many"], "expected a number from 1, got 'many'"),
        (["--json", "/nowhere/at/all.json"], "expected a file in a directory that is there"),
        (["--svg", "/"], "expected a file in a directory that is there"),
        (["--compare", "/nowhere.json"], "--compare: "),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_measured(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert said in capsys.readouterr().err


@pytest.mark.long
def test_a_run_writes_json_and_a_picture_and_names_what_is_worse_than_a_saved_one(tmp_path: Path) -> None:
    before, now, picture = tmp_path / "before.json", tmp_path / "now.json", tmp_path / "now.svg"
    accept = all_rows()["boot-accept"]
    rounds = (Round(-1000.0, 1.0),) * 3  # nothing can be as quick again
    before.write_text(record.as_json([Result(accept, rounds)], FACTS))
    command = [sys.executable, "-m", "tests.bench", "--row=boot-accept", "--rounds=3"]
    done = subprocess.run(
        [*command, f"--json={now}", f"--svg={picture}", f"--compare={before}"],
        cwd=PROJECT, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 3, f"{done.stdout}{done.stderr}"
    assert re.search(r"^boot-accept .* ≤ 0\.15 ", done.stdout, re.MULTILINE), done.stdout
    assert "\nworse: boot-accept: -1000 -> 0." in done.stdout, done.stdout
    assert "the saved run is of another machine: processor" in done.stdout
    assert len(record.read(now.read_text(), str(now)).figures["boot-accept"]) == 3
    assert ET.fromstring(picture.read_text()) is not None  # noqa: S314 - our own


def baseline() -> tuple[list[Result], dict[str, str]]:
    document = json.loads((DOCS / "bench.json").read_text())
    return [result_from(each) for each in document["rows"]], document["facts"]


def result_from(saved: dict[str, Any]) -> Result:
    compared, better = Compared(saved["compared"]), Better(saved["better"])
    made = replace(row(compared=compared, better=better), **{name: saved[name] for name in KEPT})
    return Result(made, tuple(Round(**one) for one in saved["rounds"]), saved["why_not"])


def test_the_page_and_its_picture_are_what_the_program_makes_of_the_baseline() -> None:
    results, found = baseline()
    assert (DOCS / "bench.md").read_text() == page_of(results, found)
    assert (DOCS / "images" / "bench.svg").read_text() == chart(results, found)


def test_the_baseline_has_every_row_and_misses_no_target_but_those_that_are_named_here() -> None:
    results, _ = baseline()
    assert {row.name for row in all_rows().values() if not row.asked} <= {result.row.name for result in results}
    assert {result.row.name for result in results if result.met is False or result.why_not} == NOT_MET_YET


def test_ctrl_c_prints_what_there_is() -> None:
    command = [sys.executable, "-m", "tests.bench", "--row=boot-accept", "--rounds=1000"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            _wait_for_line(process.stderr, "round 2 of")
            process.send_signal(signal.SIGINT)
            said = process.stdout.read()
            assert process.wait(DEADLINE_SECONDS) == 130, said
        finally:
            process.kill()
    assert re.search(r"^boot-accept .*\(interrupted after 1 round\)", said, re.MULTILINE), said


@pytest.mark.long
@pytest.mark.lab
@pytest.mark.parametrize("name", [name for name, each in all_rows().items() if not each.asked])
def test_every_row_can_still_be_measured(name: str) -> None:
    result = measured(all_rows()[name], 1, lambda _: None)
    if result.why_not.startswith(("not installed", "only root")):
        pytest.skip(result.why_not)
    assert result.why_not == ""
    assert len(result.rounds) == 1


def _wait_for_line(stream: IO[str], part: str) -> None:
    said = []
    for line in stream:
        said.append(line)
        if part in line:
            return
    pytest.fail(f"no line has {part!r}: {said}")
