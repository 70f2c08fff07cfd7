"""Scores of a study: read from what the scripts write, told as table, sentences and chart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from training_vl.study_table import Score, draw_chart, read_score, table_lines, verdict, write_results

ROWS = {
    "vqa": {
        "ViLBERT": {"scratch": Score(0.5, 0.45, 0.55, 0.4, 0.3), "trained": Score(0.7, 0.65, 0.75, 0.4, 0.3)},
        "VisualBERT": {"scratch": Score(0.5, 0.45, 0.55, 0.4, 0.3), "trained": Score(0.52, 0.47, 0.57, 0.4, 0.3)},
    },
    "nlvr2": {
        "ViLBERT": {"scratch": Score(0.6, 0.5, 0.7, 0.5, 0.5), "trained": Score(0.6, 0.5, 0.7, 0.5, 0.5)},
        "VisualBERT": {"scratch": Score(0.25, 0.2, 0.3, 0.5, 0.5), "trained": Score(1.0, 0.9, 1.0, 0.5, 0.5)},
    },
}


def test_scores_of_both_scripts(tmp_path: Path) -> None:
    task = tmp_path / "test.json"
    columns = {"model": (0.75, 0.6, 0.9), "exchanged images": (0.5, 0.4, 0.6), "guessing": (0.25, 0.2, 0.3)}
    names = ("accuracy", "accuracy_low", "accuracy_high")
    task.write_text(json.dumps({column: dict(zip(names, row, strict=True)) for column, row in columns.items()}))
    assert read_score(task, "accuracy") == Score(0.75, 0.6, 0.9, exchanged=0.5, guessing=0.25)
    recalls = tmp_path / "recalls.json"
    row = {"model": 0.6, "low": 0.5, "high": 0.7, "exchanged": 0.02, "chance": 0.01}
    recalls.write_text(json.dumps({"arguments": {}, "recalls": {"caption to image R@1": row}}))
    assert read_score(recalls, "caption to image R@1") == Score(0.6, 0.5, 0.7, exchanged=0.02, guessing=0.01)
    with pytest.raises(ValueError, match=r"test\.json has no 'recall_at_1_low', which the score 'recall_at_1' needs"):
        read_score(task, "recall_at_1")


def test_table() -> None:
    assert table_lines(ROWS) == [
        "| task | guessing | ViLBERT scratch | ViLBERT trained | gain "
        "| VisualBERT scratch | VisualBERT trained | gain |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        "| vqa | 30.0% | 50.0% (45 to 55) | 70.0% (65 to 75) | +20.0 | 50.0% (45 to 55) | 52.0% (47 to 57) | +2.0 |",
        "| nlvr2 | 50.0% | 60.0% (50 to 70) | 60.0% (50 to 70) | +0.0 "
        "| 25.0% (20 to 30) | 100.0% (90 to 100) | +75.0 |",
    ]


def test_verdict_tells_gains_from_noise() -> None:
    vilbert, visualbert = verdict(ROWS)
    assert vilbert == "ViLBERT: pre-training helps on vqa; not on nlvr2."
    assert visualbert == "VisualBERT: pre-training helps on nlvr2; the intervals overlap on vqa."


def test_files(tmp_path: Path) -> None:
    write_results(tmp_path, ROWS, ["| a |", "", "b"], {"steps": 2})
    assert (tmp_path / "results.md").read_text() == "| a |\n\nb\n"
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["settings"] == {"steps": 2}
    assert content["scores"]["nlvr2"]["VisualBERT"]["trained"] == {
        "value": 1.0, "low": 0.9, "high": 1.0, "exchanged": 0.5, "guessing": 0.5,
    }  # fmt: skip
    draw_chart(tmp_path / "chart.png", ROWS, "a title")
    with Image.open(tmp_path / "chart.png") as chart:
        colours = {colour for _, colour in chart.convert("RGB").getcolors(1 << 24)}
    assert {(31, 119, 180), (255, 127, 14)} <= colours, "bars of both starts"
