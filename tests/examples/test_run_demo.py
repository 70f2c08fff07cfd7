"""What the demo does around its commands; `make demo` itself takes minutes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from examples import run_demo


def test_a_result_is_done_while_it_is_newer_than_all_it_is_made_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result, model, data = (tmp_path / name for name in ("scores.json", "model", "data"))
    model.touch()
    data.touch()
    assert not run_demo.is_done(result, model, data)
    result.touch()
    now = time.time_ns()
    for path, age in ((result, 1), (model, 2), (data, 3)):
        os.utime(path, ns=(now - age, now - age))
    assert run_demo.is_done(result, model, data)
    assert capsys.readouterr().out == f"{result} is done already\n"
    os.utime(data, ns=(now, now))
    assert not run_demo.is_done(result, model, data)


def test_finished_scores_are_read_and_not_measured_again(tmp_path: Path) -> None:
    """There is no model here that could be measured."""
    table = {"alignment accuracy": {"model": 0.9, "exchanged": 0.5, "chance": 0.5}}
    model = run_demo.model_file(tmp_path, "vilbert")
    model.parent.mkdir()
    model.touch()
    (tmp_path / "vilbert.json").write_text(json.dumps(table))
    os.utime(model, ns=(1, 1))
    assert run_demo.measure(tmp_path, "vilbert") == table


def run_that_ends_with(code: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"])
    process.wait()
    return process


def write_log(folder: Path, *steps: int) -> None:
    folder.mkdir(exist_ok=True)
    entries = [{"step": step, "train/loss": 10 / step} for step in steps] + [{"step": steps[-1], "eval/loss": 0}]
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def test_without_a_terminal_progress_is_told_in_plain_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_demo.PreTraining(run_that_ends_with(0), tmp_path / "vilbert", "ViLBERT", 50, line=0)
    run.follow()
    for steps in ([2], [2, 4], [2, 4, 6], [2, 4, 6, 8], [2, 4, 6, 8, 50]):
        write_log(tmp_path / "vilbert", *steps)
        run.follow()
        run.follow()
    run.finish()
    assert capsys.readouterr().err.splitlines() == [  # one a tenth of the way
        "pre-training ViLBERT: step 6 of 50, loss 1.667",
        "pre-training ViLBERT: step 50 of 50, loss 0.200",
    ]


def test_a_run_that_fails_ends_the_demo_with_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "vilbert.log").write_text("x" * 3000 + "no memory")
    run = run_demo.PreTraining(run_that_ends_with(3), tmp_path / "vilbert", "ViLBERT", 50, line=0)
    with pytest.raises(SystemExit, match=r"the end of .*vilbert\.log says\nx{1991}no memory$"):
        run.finish()
