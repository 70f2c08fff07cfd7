"""`--tiny` tries out every task; what it saves is measured, and its predictions have the benchmark's format."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState
from transformers import AutoConfig

from examples import run_evaluation, run_finetuning
from hub_cards.scores import read_measurements
from tests.integration.pretraining_runs import ROOT
from training_vl.tasks import TASKS
from training_vl.training_log import read_log

RUNS = [
    ("vqa", "vqa_visualbert", "visualbert"),
    ("gqa", "gqa_vilbert", "vilbert"),
    ("vcr_qa", "vcr_qa_visualbert", "visualbert"),
    ("nlvr2", "nlvr2_visualbert", "visualbert"),
    ("nlvr2", "nlvr2_vilbert", "vilbert"),
    ("snli_ve", "snli_ve", "visualbert"),
    ("refcoco+", "refcoco_vilbert", "vilbert"),
    ("flickr30k_entities", "flickr30k_entities_visualbert", "visualbert"),
]


@pytest.fixture(autouse=True)
def processes_of_their_own() -> Iterator[None]:
    """accelerate keeps one device and precision for a whole process."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


def call(monkeypatch: pytest.MonkeyPatch, module: object, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["script", *words, "--use_cpu"])
    module.main()


def tiny_run(monkeypatch: pytest.MonkeyPatch, output: Path, recipe: str, config: str, *words: str) -> None:
    path = ROOT / "examples" / "recipes" / f"{recipe}.yaml"
    words = (str(path), "--tiny", "--config", config, "--output_dir", str(output), *words)
    call(monkeypatch, run_finetuning, *words, "--tensorboard", "false")


def evaluation_words(output: Path, task: str) -> list[str]:
    regions = output / "tiny" / ("nlvr2_regions" if task == "nlvr2" else "scenes") / "val"
    data = output / "tiny" / f"prepared_{TASKS[task].benchmark}"
    return [str(output), "--task", task, "--data", str(data), "--regions", str(regions)]


@pytest.mark.parametrize(("task", "recipe", "config"), RUNS, ids=[f"{task}-{config}" for task, _, config in RUNS])
def test_every_task(task: str, recipe: str, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_run(monkeypatch, tmp_path, recipe, config)
    log = read_log(tmp_path)
    assert [row["step"] for row in log] == [1, 2, 2, 3, 4, 4]
    definition = TASKS[task]
    assert {f"eval/{definition.metric}", "eval/loss"} <= set(log[-1])
    best = json.loads((tmp_path / "best" / "scores.json").read_text())
    assert best["scores"][definition.metric] == max(row.get(f"eval/{definition.metric}", 0) for row in log)
    output, scores = tmp_path / "new" / f"again{definition.suffix}", tmp_path / "scores.json"
    words = [*evaluation_words(tmp_path, task), "--output", str(output), "--scores", str(scores)]
    call(monkeypatch, run_evaluation, *words)
    assert output.read_bytes() == (tmp_path / f"predictions_val{definition.suffix}").read_bytes()
    table = json.loads(scores.read_text())
    assert set(table) == {"model", "exchanged images", "guessing"}
    assert table["model"][definition.metric] == best["scores"][definition.metric]
    of_card = read_measurements([f"{file}=scenes" for file in (scores, tmp_path / "best" / "scores.json")])
    values = [{score.name: score.value for score in one.scores}[definition.metric] for one in of_card]
    assert values == [table["model"][definition.metric]] * 2


def test_vcr_hands_in_answers_and_rationales_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in ("vcr_qa", "vcr_qar"):
        tiny_run(monkeypatch, tmp_path / task, f"{task}_vilbert", "vilbert")
    call(
        monkeypatch,
        run_evaluation,
        *evaluation_words(tmp_path / "vcr_qar", "vcr_qar"),
        *("--vcr_answers", str(tmp_path / "vcr_qa" / "predictions_val.csv"), "--output", str(tmp_path / "vcr.csv")),
    )
    assert "answer_and_rationale" in capsys.readouterr().out
    header, *rows = (tmp_path / "vcr.csv").read_text().splitlines()
    assert len(header.split(",")) == 1 + 4 + 16
    assert header.endswith("rationale_conditioned_on_a3_3")
    assert len(rows) == len((tmp_path / "vcr_qa" / "predictions_val.csv").read_text().splitlines()) - 1


def test_given_data_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_run(monkeypatch, tmp_path / "first", "snli_ve", "vilbert")
    made = tmp_path / "first" / "tiny"
    tiny_run(
        monkeypatch,
        tmp_path / "second",
        "snli_ve",
        "vilbert",
        *("--data", str(made / "prepared_snli_ve"), "--regions", str(made / "scenes" / "train")),
        *("--val_regions", str(made / "scenes" / "val")),
    )
    assert not (tmp_path / "second" / "tiny" / "scenes").exists()
    assert AutoConfig.from_pretrained(tmp_path / "second").num_labels == 3


def test_errors_are_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="ValueError: where shall the model go"):
        call(monkeypatch, run_finetuning, "--task", "vqa", "--config", "vilbert")
    with pytest.raises(SystemExit, match="ValueError: which task"):
        call(monkeypatch, run_finetuning, "--config", "vilbert", "--output_dir", str(tmp_path))
    with pytest.raises(SystemExit, match="ValueError: there are no built-in scenes for nlvr1"):
        tiny_run(monkeypatch, tmp_path / "nlvr1", "nlvr1_finetuning", "vilbert")
    tiny_run(monkeypatch, tmp_path / "vqa", "vqa_vilbert", "vilbert")
    words = evaluation_words(tmp_path / "vqa", "vqa")
    with pytest.raises(SystemExit, match="has no split 'test'"):
        call(monkeypatch, run_evaluation, *words, "--split", "test")
    words[words.index("vqa")] = "gqa"
    with pytest.raises(SystemExit, match="prepared_vqa holds vqa, the task gqa needs gqa"):
        call(monkeypatch, run_evaluation, *words)
