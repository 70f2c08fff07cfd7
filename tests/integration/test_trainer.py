"""transformers' Trainer gives the losses of our loop, stops early, and resumes exactly."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from transformers import Trainer, TrainingArguments

from tests.integration.finetuning_runs import history, run_here
from tests.integration.pretraining_runs import weights
from tests.training_vl.tiny_tasks import task_recipe
from training_vl.model_setup import starting_model
from training_vl.ordered_trainer import NumberedExamples
from training_vl.run_record import read_run_record
from training_vl.task_arguments import TaskRunArguments, parse_task_arguments
from training_vl.task_setup import set_up_task
from training_vl.task_trainer import ModelInputsOf, train_with_trainer


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def arguments_of(recipe: Path, output_dir: Path, *words: str) -> TaskRunArguments:
    return parse_task_arguments([str(recipe), "--output_dir", str(output_dir), *words])


@pytest.mark.parametrize(("task", "config"), [("vqa", "vilbert"), ("nlvr2", "visualbert"), ("refcoco", "vilbert")])
def test_the_losses_are_those_of_our_loop(data: Path, tmp_path: Path, task: str, config: str) -> None:
    """With dropout, micro-batches, a schedule, a learning rate for the heads, and through several epochs."""
    recipe = task_recipe(
        data,
        f"{task}-{config}",
        task=task,
        config=config,
        batch_size=8,
        micro_batch_size=4,
        max_steps=20,
        eval_steps=10,
        head_learning_rate=0.02,
    )
    ours = run_here(recipe, tmp_path / "ours")
    train_with_trainer(arguments_of(recipe, tmp_path / "theirs", "--save_total_limit", "2"))
    theirs = history(tmp_path / "theirs", 20)
    assert [row["loss"] for row in theirs if "loss" in row] == [
        pytest.approx(row["train/loss"], rel=1e-6) for row in ours if "train/loss" in row
    ]
    metric = [{name[5:]: value for name, value in row.items() if name.startswith("eval/")} for row in ours]
    measured = [{name[5:]: value for name, value in row.items() if name.startswith("eval_")} for row in theirs]
    assert [row for row in measured if row] == [row for row in metric if row]
    assert weights(tmp_path / "theirs") == weights(tmp_path / "ours")
    (predictions,) = (tmp_path / "ours").glob("predictions_val.*")
    assert (tmp_path / "theirs" / predictions.name).read_bytes() == predictions.read_bytes()
    # The run really went through more than one epoch, and in two micro-batches a step.
    assert max(row.get("train/epoch", 0) for row in ours) >= 1


def test_it_resumes_exactly(data: Path, tmp_path: Path) -> None:
    recipe = task_recipe(data, "resume", task="snli_ve", max_steps=9, eval_steps=3, num_workers=1)
    train_with_trainer(arguments_of(recipe, tmp_path / "whole", "--save_total_limit", "5"))
    shutil.copytree(tmp_path / "whole" / "checkpoint-3", tmp_path / "resumed" / "checkpoint-3")
    train_with_trainer(
        arguments_of(recipe, tmp_path / "resumed", "--resume_from_checkpoint", "latest", "--save_total_limit", "5")
    )
    assert history(tmp_path / "resumed", 9) == history(tmp_path / "whole", 9)
    assert weights(tmp_path / "resumed") == weights(tmp_path / "whole")


def test_it_stops_early_and_keeps_the_best(data: Path, tmp_path: Path) -> None:
    """With a learning rate of 0 no evaluation is better than the first."""
    recipe = task_recipe(data, "early", task="snli_ve", max_steps=12, eval_steps=2, learning_rate=0.0)
    trainer = train_with_trainer(
        arguments_of(recipe, tmp_path, "--early_stopping_patience", "2", "--save_total_limit", "9")
    )
    assert trainer.state.global_step == 6
    record = read_run_record(tmp_path)
    assert (record.steps, record.total_steps, record.arguments["task"]) == (6, 12, "snli_ve")
    assert trainer.state.best_model_checkpoint.endswith("checkpoint-2")
    with pytest.raises(ValueError, match="holds checkpoints of an earlier run, the last one checkpoint-6: continue"):
        train_with_trainer(arguments_of(recipe, tmp_path))


def test_streams_are_refused(data: Path, tmp_path: Path) -> None:
    recipe = task_recipe(data, "stream", task="vqa", streaming=True)
    with pytest.raises(ValueError, match="the Trainer resumes by numbers: leave out streaming"):
        train_with_trainer(arguments_of(recipe, tmp_path))


def test_a_plain_trainer_evaluates_too(data: Path, tmp_path: Path) -> None:
    """Without our subclass: only logits are gathered, labels are found, and the loss is there."""
    arguments = arguments_of(task_recipe(data, "plain", task="vqa"), tmp_path)
    parts = set_up_task(arguments.model, arguments.data)
    validation = NumberedExamples(parts.validation.regions, parts.validation.examples)
    examples = [validation[0, number] for number in range(5)]
    trainer = Trainer(
        starting_model(arguments, parts.config, parts.task.how.auto_class),
        TrainingArguments(str(tmp_path), remove_unused_columns=False, use_cpu=True, report_to="none"),
        data_collator=ModelInputsOf(parts.collator),
    )
    output = trainer.predict(examples)
    answers = parts.config.num_labels
    assert output.predictions.shape == output.label_ids.shape == (5, answers)
    assert output.metrics["test_loss"] > 0
