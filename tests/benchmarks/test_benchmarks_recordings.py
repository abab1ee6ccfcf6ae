"""The scorer of recordings: events, stretches, average precision."""

import gzip
import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import recordings
from benchmarks.recordings import Said, count, pr_auc, row_f1

TIMES = np.arange(200, dtype=np.int64) * 1000


def said(*rows: int) -> Said:
    flags = np.zeros(len(TIMES), dtype=bool)
    flags[list(rows)] = True
    return Said(flags, flags.astype(float))


def test_flags_near_each_other_are_one_event_and_those_before_the_judged_rows_none():
    counted = count(TIMES, said(5, 60, 70, 90, 91, 150), [(60_000, 65_000), (100_000, 110_000)], start=50_000)
    assert (counted.stretches, counted.found, counted.events, counted.right, counted.rows) == (2, 1, 3, 1, 150)
    measures = counted.measures()
    assert (measures["recall"], measures["precision"]) == (0.5, pytest.approx(1 / 3))
    assert measures["f1"] == pytest.approx(0.4)
    assert measures["false_per_1000"] == pytest.approx(1000 * 2 / 150)
    assert measures["row_f1"] is None


def test_counts_of_several_recordings_add_up():
    one = count(TIMES, said(60), [(60_000, 65_000)], start=0)
    none = count(TIMES, said(), [(60_000, 65_000)], start=0)
    assert (one + none).measures()["recall"] == 0.5
    assert (one + none).measures()["precision"] == 1.0
    assert none.measures()["f1"] == 0.0


def test_stretches_that_end_before_the_judged_rows_are_not_asked_for():
    counted = count(TIMES, said(10), [(5_000, 15_000)], start=50_000)
    assert (counted.stretches, counted.found, counted.events) == (0, 0, 0)


def test_f1_of_rows():
    labels = np.array([True, True, False, False])
    assert row_f1(np.array([True, False, True, False]), labels) == 0.5
    assert row_f1(np.zeros(4, dtype=bool), labels) == 0.0


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40))
def test_average_precision_is_that_of_every_threshold_in_turn(pairs: list[tuple[int, bool]]):
    scores, labels = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs], bool)
    area = before = 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        above = scores >= threshold
        recall = (above & labels).sum() / max(1, labels.sum())
        area += (recall - before) * (above & labels).sum() / above.sum()
        before = recall
    assert pr_auc(scores, labels) == pytest.approx(area)


def test_rows_of_a_folder(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "data" / "small"
    folder.mkdir(parents=True)
    values = np.random.default_rng(0).normal(20, 1, 900)
    values[700] = 60
    stamps = [f"2026-01-05 {i // 60:02d}:{i % 60:02d}:00" for i in range(900)]
    lines = [f"{stamp},{value:.3f}" for stamp, value in zip(stamps, values, strict=True)]
    (folder / "one.csv.gz").write_bytes(gzip.compress("\n".join(["timestamp,v0", *lines]).encode()))
    (tmp_path / "labels.json").write_text(json.dumps({"small/one.csv": [[stamps[699], stamps[701]]]}))
    (tmp_path / "judged_from.json").write_text(json.dumps({"small/one.csv": stamps[300]}))
    arguments = ["recordings", "--folder", str(tmp_path), "--seeds", "1", "--processes", "1", "--json"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--detectors", "cutwater", "rolling median"])
    recordings.main()
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["set"], row["detector"]) for row in rows] == [
        ("small", "cutwater"),
        ("mean", "cutwater"),
        ("small", "rolling median"),
        ("mean", "rolling median"),
    ]
    assert set(rows[0]) >= {"recall", "precision", "f1", "false_per_1000", "pr_auc", "row_f1"}
    assert all(row["recall"] == 1.0 for row in rows)


def test_a_folder_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv("CUTWATER_RECORDINGS", "nowhere")
    with pytest.raises(SystemExit, match="'nowhere' holds no labels"):
        recordings.folder_of(None)
