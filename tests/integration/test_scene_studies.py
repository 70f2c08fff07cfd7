"""The studies on built-in scenes: the commands as a user starts them, with a few scenes and steps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from datasets_vl.captions import read_captions
from tests.integration.pretraining_runs import ROOT
from training_vl.training_log import read_log


def start(script: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)


def test_comparison_of_tasks(tmp_path: Path) -> None:
    words = (tmp_path, "--tiny", "--models", "VisualBERT", "--tasks", "snli_ve", "retrieval")
    first = start("compare_scene_tasks.py", *words)
    assert first.returncode == 0, first.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["scores"]) == ["snli_ve", "retrieval"]
    for scores in results["scores"].values():
        assert list(scores["VisualBERT"]) == ["from scratch", "pre-trained"]
        assert all(
            0 <= score["low"] <= score["value"] <= score["high"] <= 1 for score in scores["VisualBERT"].values()
        )
    assert results["scores"]["retrieval"]["VisualBERT"]["pre-trained"]["guessing"] == 1 / 8
    lines = (tmp_path / "results.md").read_text()
    assert lines.strip() in first.stdout
    assert lines.startswith("| task | guessing | VisualBERT from scratch | VisualBERT pre-trained | gain |")
    assert (tmp_path / "results.png").stat().st_size > 10_000
    scratch, trained = (
        tmp_path / "runs" / f"snli_ve_visualbert_{start}.log" for start in ("from_scratch", "pre-trained")
    )
    assert f"--config {tmp_path / 'pretrained_visualbert'} --tokenizer" in scratch.read_text()
    assert f"--from_pretrained {tmp_path / 'pretrained_visualbert'}" in trained.read_text()

    again = start("compare_scene_tasks.py", *words)
    assert again.returncode == 0, again.stderr
    assert "fine-tuning: 4 of 4 are done already" in again.stdout
    assert (tmp_path / "results.md").read_text() == lines
    other = start("compare_scene_tasks.py", tmp_path, "--tiny", "--tasks", "vqa")
    assert other.returncode == 1
    assert "name another folder" in other.stderr
    assert "Traceback" not in other.stderr


def test_three_stages(tmp_path: Path) -> None:
    run = start("run_three_stages.py", tmp_path, "--tiny")
    assert run.returncode == 0, run.stderr
    starts = json.loads((tmp_path / "results.json").read_text())["scores"]["vqa"]["VisualBERT"]
    assert list(starts) == ["stage 3 alone", "stages 2, 3", "stages 1, 3", "stages 1, 2, 3"]
    texts = read_captions(tmp_path / "data" / "prepared_vqa" / "texts_train.jsonl")
    assert "?" in texts.text(0)
    assert not texts.text(0).endswith("?"), "the answer follows the question"
    second = tmp_path / "vqa_texts_stages_1,_3"
    assert {"train/mlm_loss"} <= set(read_log(second)[-1])


def test_texts_for_people_with_data(tmp_path: Path) -> None:
    missing = start("write_task_texts.py", tmp_path / "nowhere", tmp_path / "texts.jsonl")
    assert missing.returncode == 1
    assert "FileNotFoundError" in missing.stderr
    assert "Traceback" not in missing.stderr
    wrong = start("write_task_texts.py", tmp_path, tmp_path / "texts.txt")
    assert "must end in .jsonl" in wrong.stderr
