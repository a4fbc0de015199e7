"""Tables say what was measured: medians, ratios within a round, and nothing of runs that went wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench.report import Figure, Runs, brief, current, growth, of_mode, summary, tables, text_of

MODE = "whole-native-small-c64"
ABOUT = {
    "measured_at": "2026-01-01",
    "machine": {"processor": "P", "cores": 2, "memory_gb": 4, "system": "Linux 6", "python": "3.11.7"},
    "plan": {"rounds": 3, "seconds": 2.0, "load": "wrk"},
    "versions": {"aigateway-core": "0.1.0"},
}


def run(target: str, number: int, cpu_us: float, *, mode: str = MODE, **more: Any) -> dict[str, Any]:
    row = {"target": target, "mode": mode, "round": number, "cpu_us": cpu_us, "rate": 1e6 / cpu_us, "memory_mb": 50.0}
    return {**row, "p50": cpu_us, "p99": 2 * cpu_us, "failed": 0, "all": 1000, **more}


def results(*runs: dict[str, Any]) -> dict[str, Any]:
    names = dict.fromkeys(row["target"] for row in runs)
    about = {
        name: {"title": name.upper(), "start_seconds": 0.5, "start_cpu_seconds": 0.4, "memory_mb": 40.0}
        for name in names
    }
    return {"targets": about, "runs": list(runs), "left_out": {}, "cannot": {}, **ABOUT}


def test_a_ratio_is_taken_within_a_round() -> None:
    # The second round was three times slower for both of them.
    found = results(run("aigateway", 0, 100), run("aigateway", 1, 300), run("peer", 0, 200), run("peer", 1, 600))
    assert Runs(found).ratio("peer", MODE, "cpu_us") == Figure(2.0, 2.0, 2.0)


def test_a_round_that_only_one_of_them_has_makes_no_ratio() -> None:
    found = results(run("aigateway", 0, 100), run("peer", 1, 600))
    assert Runs(found).ratio("peer", MODE, "cpu_us") is None


def test_what_is_added_is_what_is_more_than_without_a_gateway_in_milliseconds() -> None:
    found = results(run("direct", 0, 1000), run("aigateway", 0, 3500))
    assert Runs(found).added_ms("aigateway", MODE, "p50") == Figure(2.5, 2.5, 2.5)


def test_what_is_translated_is_held_against_what_is_not() -> None:
    translated = MODE.replace("native", "translated")
    found = results(run("direct", 0, 1000), run("aigateway", 0, 3000, mode=translated))
    assert Runs(found).added_ms("aigateway", translated, "p50") == Figure(2.0, 2.0, 2.0)


@pytest.mark.parametrize(("failed", "counts"), [(1, True), (2, False), (1000, False)])
def test_a_run_with_wrong_answers_counts_for_nothing_and_is_named(failed: int, counts: bool) -> None:
    found = results(run("aigateway", 0, 100), run("peer", 0, 50, failed=failed))
    assert bool(Runs(found).of("peer", MODE)) is counts
    assert (f"peer failed in {MODE}, round 0" in tables(found)) is not counts


def test_the_table_has_the_median_and_its_spread() -> None:
    found = results(*(run("aigateway", number, cost) for number, cost in enumerate((100, 90, 150))))
    assert "| AIGATEWAY | 10,000 [6,667 – 11,111] | 1.00 | 100 [90.0 – 150] | 1.00 |" in of_mode(found, MODE)


def test_the_summary_has_a_row_for_each_target_and_the_most_memory() -> None:
    found = results(run("direct", 0, 10), run("aigateway", 0, 100), run("aigateway", 1, 100, memory_mb=77.0))
    _, _, direct, ours = summary(found).splitlines()
    assert direct.startswith("| DIRECT | 100,000 |")
    assert "| 77.0 | 0.50 | 0.40 |" in ours


def test_the_brief_table_is_of_gateways_alone_and_has_their_large_bodies() -> None:
    large = "whole-native-agent-c16"
    found = results(run("direct", 0, 10), run("aigateway", 0, 100), run("aigateway", 0, 500, mode=large))
    _, _, *rows = brief(found).splitlines()
    assert rows == ["| AIGATEWAY | 10,000 | 100 | 2,000 | – | 50.0 |"]


def test_what_grows_is_held_against_the_smallest_of_its_round() -> None:
    grown = [
        {"what": "open streams", "size": size, "round": number, "cpu_us": cost, "memory_mb": 90.0, "failed": 0}
        for size, costs in ((100, (10.0, 30.0)), (1000, (20.0, 60.0)))
        for number, cost in enumerate(costs)
    ]
    found = {**results(), "growth": [{**row, "stream_kb": 51.2 - row["round"]} for row in grown]}
    _, _, small, large = growth(found).splitlines()
    assert small == "| open streams | 100 | 20.0 [10.0 – 30.0] | 1.00 | 90.0 | 51.2 kB | 0 |"
    assert large == "| open streams | 1000 | 40.0 [20.0 – 60.0] | 2.00 | 90.0 | 51.2 kB | 0 |"
    assert growth(found) in tables(found)
    assert json.loads(text_of(found)) == found


def test_a_document_gets_the_tables_that_it_asks_for_and_keeps_the_rest() -> None:
    found = results(run("direct", 0, 10), run("aigateway", 0, 100))
    blocks = [f"<!-- bench: {name} -->\nold\n<!-- /bench -->\n" for name in ("summary", MODE)]
    asking = f"before\n{blocks[0]}between\n{blocks[1]}after\n"
    text = current(asking, found)
    assert summary(found) in text
    assert of_mode(found, MODE) in text
    assert "old" not in text
    assert [line for line in text.splitlines() if line in ("before", "between", "after")] == [
        "before",
        "between",
        "after",
    ]
    assert current(text, found) == text


def test_figures_are_kept_as_they_are_with_a_line_for_each_run() -> None:
    found = results(run("direct", 0, 10), run("aigateway", 0, 100))
    assert json.loads(text_of(found)) == found
    assert sum('"round":' in line for line in text_of(found).splitlines()) == 2
    assert json.loads(text_of(results())) == results()


def test_the_tables_of_the_documents_are_those_of_the_figures() -> None:
    root = Path(__file__).resolve().parents[2]
    found = json.loads((root / "tests" / "bench" / "measured.json").read_text())
    for name in ("README.md", "aigateway-core/docs/performance.md"):
        text = (root / name).read_text()
        assert text == current(text, found), (
            f"run: PYTHONPATH=tests python -m bench.report tests/bench/measured.json {name}"
        )
