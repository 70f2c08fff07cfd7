"""What the demo does around its commands; `make demo` itself takes minutes."""

from __future__ import annotations

import json
import os
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
