"""One model for several tasks: whose turn it is, exact resume, and measuring it task by task."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from accelerate.state import AcceleratorState

from examples import run_evaluation, run_multi_task
from modeling_vl.auto_vl import AutoModelForMultiTask
from tests.integration.pretraining_runs import ROOT, comparable, weights
from tests.training_vl.tiny_data import IMAGE_SIZES, SIZES
from tests.training_vl.tiny_tasks import FEATURES, VOCABULARY, write_task
from training_vl.multi_task import set_up_multi_task, train_multi_task
from training_vl.multi_task_arguments import parse_multi_task_arguments
from training_vl.multi_task_loop import OneTask
from training_vl.tasks import TASKS

RECIPE = ROOT / "examples" / "recipes" / "multi_task_vilbert.yaml"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def entry(data: Path, benchmark: str, **further: Any) -> dict[str, Any]:
    scenes = write_task(data, benchmark)
    regions = {"regions": str(scenes.regions["train"]), "val_regions": str(scenes.regions["val"])}
    return {"data": str(scenes.data), **regions, **further}


def recipe(data: Path, name: str, **arguments: Any) -> str:
    tasks = {
        "vqa": entry(data, "vqa"),
        "nlvr2": entry(data, "nlvr2", batch_size=8, micro_batch_size=4),
        "refcoco+": entry(data, "refcoco+"),
    }
    sizes = {**SIZES, **IMAGE_SIZES, "visual_embedding_dim": FEATURES, "vocab_size": VOCABULARY}
    content = {
        "tasks": tasks,
        "config": "vilbert",
        "config_overrides": {**sizes, "num_task_tokens": 5, "max_position_embeddings": 80},
        "tokenizer": f"{tasks['vqa']['data']}/tokenizer",
        "batch_size": 4,
        "max_steps": 12,
        "learning_rate": 0.001,
        "logging_steps": 1,
        "use_cpu": True,
        "tensorboard": False,
        **arguments,
    }
    path = data / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))  # the tasks have an order
    return str(path)


def run(path: str, output_dir: Path, *words: str) -> list[dict[str, Any]]:
    train_multi_task(parse_multi_task_arguments([path, "--output_dir", str(output_dir), *words]))
    return comparable(output_dir)


def trained(log: list[dict[str, Any]]) -> list[set[str]]:
    """The tasks that were trained in each iteration."""
    losses = [{name for name in row if name.startswith("train/") and name.endswith("/loss")} for row in log]
    return [{name.split("/")[1] for name in of_row} - {"loss"} for of_row in losses if of_row]


def test_a_task_that_has_stopped_trains_now_and_then(data: Path, tmp_path: Path) -> None:
    """No score can double, so every task stops at its second evaluation, after iteration 4, and never goes again."""
    path = recipe(data, "stopping", eval_steps=2, stop_patience=0, stop_threshold=1e9, go_threshold=1.0)
    everyone = {"vqa", "nlvr2", "refcoco_plus"}
    log = run(path, tmp_path)
    assert trained(log) == [everyone] * 12
    # Iterations without anybody's turn are passed over, so with all at rest nothing is lost; with one going it shows.
    tasks = yaml.safe_load(Path(path).read_text())["tasks"]
    del tasks["vqa"]["val_regions"]
    tasks["vqa"]["train_split"] = "train"
    only_vqa_goes = recipe(
        data,
        "one_goes",
        tasks=tasks | {"vqa": {**tasks["vqa"], "data": _without_validation(Path(tasks["vqa"]["data"]), tmp_path)}},
        eval_steps=2,
        stop_patience=0,
        stop_threshold=1e9,
        go_threshold=1.0,
    )
    log = run(only_vqa_goes, tmp_path / "one")
    alone = {"vqa"}
    assert trained(log) == [everyone] * 5 + [alone] * 3 + [everyone] + [alone] * 3
    assert [row["eval/nlvr2/is_going"] for row in log if "eval/nlvr2/is_going" in row] == [1, 0, 0, 0, 0, 0]
    assert not any(name.startswith("eval/vqa") for row in log for name in row)


def _without_validation(prepared: Path, folder: Path) -> str:
    copy = folder / "prepared"
    shutil.copytree(prepared, copy)
    description = json.loads((copy / "task.json").read_text())
    del description["splits"]["val"]
    (copy / "task.json").write_text(json.dumps(description))
    return str(copy)


def test_every_task_is_evaluated_after_each_of_its_epochs(data: Path, tmp_path: Path) -> None:
    path = recipe(data, "epochs", batch_size=16)
    parts = set_up_multi_task(parse_multi_task_arguments([path]))
    log = run(path, tmp_path)
    for name, of_task in parts.tasks.items():
        batch_size = 8 if name == "nlvr2" else 16
        epoch = -(-len(of_task.parts.training.table) // batch_size)
        expected = sorted({*range(epoch, 12, epoch), 12})
        assert [row["step"] for row in log if f"eval/{name}/is_going" in row] == expected
    assert {path.name for path in tmp_path.glob("predictions_*")} == {
        "predictions_vqa_val.json",
        "predictions_nlvr2_val.csv",
        "predictions_refcoco_plus_val.jsonl",
    }


def test_the_loss_of_a_task_may_count_more(data: Path, tmp_path: Path) -> None:
    """With plain gradients the first norm shows it; the log has the loss itself."""
    tasks = {name: entry(data, name) for name in ("vqa", "refcoco")}
    logs = []
    for scale in (1, 3):
        tasks["vqa"]["loss_scale"] = scale
        path = recipe(data, f"scale{scale}", tasks=tasks, max_steps=1, max_grad_norm=0)
        logs.append(run(path, tmp_path / str(scale))[0])
    plain, scaled = logs
    assert scaled["train/vqa/loss"] == plain["train/vqa/loss"]
    assert scaled["train/vqa/grad_norm"] == pytest.approx(3 * plain["train/vqa/grad_norm"], rel=1e-4)


def test_it_resumes_exactly(data: Path, tmp_path: Path) -> None:
    """From a checkpoint at which some tasks have stopped."""
    path = recipe(data, "resume", save_steps=7, eval_steps=3, stop_patience=0, stop_threshold=0.2, num_workers=1)
    whole = run(path, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole" / "checkpoint-7", tmp_path / "resumed" / "checkpoint-7")
    shutil.copy(tmp_path / "whole" / "log.jsonl", tmp_path / "resumed")
    assert run(path, tmp_path / "resumed", "--resume_from_checkpoint", "latest") == whole
    assert weights(tmp_path / "resumed") == weights(tmp_path / "whole")
    going = [value for row in whole for name, value in row.items() if name.endswith("/is_going") and row["step"] <= 7]
    assert {0.0, 1.0} == set(going)


def test_each_task_has_its_head_its_token_and_the_shared_trunk(data: Path) -> None:
    parts = set_up_multi_task(parse_multi_task_arguments([recipe(data, "parts")]))
    heads = parts.config.multi_task_heads
    assert {name: head["kind"] for name, head in heads.items()} == {
        "vqa": "question_answering",
        "nlvr2": "classification",
        "refcoco_plus": "referring_expressions",
    }
    assert list(heads["vqa"]["id2label"].values()) == parts.tasks["vqa"].parts.training.table.labels
    assert parts.tasks["nlvr2"].parts.config.num_images == 2
    # A config is saved with its entries in alphabetical order; which token a task has must not depend on it.
    assert list(heads) == ["nlvr2", "refcoco_plus", "vqa"]
    assert {name: head["task_id"] for name, head in heads.items()} == {"vqa": 0, "nlvr2": 1, "refcoco_plus": 2}
    batch = next(iter(parts.tasks["vqa"].parts.training_data(batch_size=2, seed=0, rank=0, world_size=1)))
    assert "task_ids" not in batch  # the model picks the token itself
    assert torch.equal(batch["labels"].sum(1) > 0, torch.ones(2, dtype=torch.bool))


def test_tasks_share_a_head(data: Path, tmp_path: Path) -> None:
    tasks = {"refcoco": entry(data, "refcoco"), "refcoco+": entry(data, "refcoco+", head="refcoco")}
    run(recipe(data, "shared", tasks=tasks, max_steps=2), tmp_path)
    model = AutoModelForMultiTask.from_pretrained(tmp_path)
    assert list(model.cls) == ["refcoco"]
    assert OneTask.of(model, TASKS["refcoco+"])[0].task is model.tasks["refcoco_plus"]


@pytest.mark.parametrize(
    ("benchmarks", "message"),
    [
        (("vqa", "gqa"), "the head of gqa knows .* classes, .*, the data .*: prepare the data with the classes of"),
        (
            ("nlvr2", "snli_ve"),
            "snli_ve cannot share the head of nlvr2: their models have the fields {'num_images': 1}",
        ),
        (("snli_ve", "vqa"), "shares the head of 'snli_ve', of kind 'classification'"),
        (("vqa", "vqa"), "shares the head of 'vqa', which is no task with a head of its own"),
    ],
)
def test_heads_that_cannot_be_shared(data: Path, benchmarks: tuple[str, str], message: str) -> None:
    owner, other = benchmarks
    tasks = {owner: entry(data, owner), other: entry(data, other, head=owner)}
    path = recipe(data, f"{owner}_and_{other}", tasks=tasks)
    with pytest.raises(ValueError, match=message):
        set_up_multi_task(parse_multi_task_arguments([path]))


def call(monkeypatch: pytest.MonkeyPatch, module: object, *words: str) -> None:
    AcceleratorState._reset_state(True)
    monkeypatch.setattr(sys, "argv", ["script", *words, "--use_cpu"])
    module.main()
    AcceleratorState._reset_state(True)


def test_a_tiny_run_is_measured_task_by_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = json.dumps({"snli_ve": {}, "refcoco+": {}})
    words = [str(RECIPE), "--config", "vilbert", "--tiny", "--output_dir", str(tmp_path), "--tensorboard", "false"]
    call(monkeypatch, run_multi_task, *words, "--tasks", tasks)
    for task, prepared in (("snli_ve", "prepared_snli_ve"), ("refcoco+", "prepared_refcoco+")):
        scores = tmp_path / f"{task}.json"
        places = ["--data", str(tmp_path / "tiny" / prepared), "--regions", str(tmp_path / "tiny" / "scenes" / "val")]
        call(monkeypatch, run_evaluation, str(tmp_path), "--task", task, *places, "--scores", str(scores))
        last = comparable(tmp_path)[-1]
        head = task.replace("+", "_plus")
        assert json.loads(scores.read_text())["model"]["accuracy"] == last[f"eval/{head}/accuracy"]
    with pytest.raises(ValueError, match="the model has heads for refcoco_plus, snli_ve, none for vqa"):
        OneTask.of(AutoModelForMultiTask.from_pretrained(tmp_path), TASKS["vqa"])


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("[1]", "which tasks\\? Give tasks: a mapping"),
        ("{", "tasks is no JSON"),
        ('{"vqa": {"region": "x"}}', "tasks: vqa names region; it may give batch_size, data,"),
        ('{"vqa": {"loss_scale": 0}}', "tasks: the loss_scale of vqa must be a number above 0, got 0"),
    ],
)
def test_faulty_tasks_are_named(tasks: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_multi_task_arguments(["--tasks", tasks])


def test_an_answer_at_a_mask_is_refused(data: Path) -> None:
    path = recipe(data, "mask", config_overrides={**SIZES, "visual_embedding_dim": FEATURES}, config="visualbert")
    with pytest.raises(ValueError, match='set config_overrides to {"answer_position": "pooled"}'):
        set_up_multi_task(parse_multi_task_arguments([path]))
