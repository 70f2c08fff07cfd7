"""Retrieval through transformers' Trainer: the losses of our loop, early stopping, exact resume."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from datasets_vl.captions import read_captions
from examples import run_with_trainer
from tests.integration.finetuning_runs import history
from tests.integration.pretraining_runs import comparable, weights
from tests.training_vl.retrieval_data import SIZES, arguments_of, write_photos
from training_vl.retrieval_arguments import parse_retrieval_arguments
from training_vl.retrieval_trainer import RetrievalTrainer, train_retrieval_with_trainer
from training_vl.retrieval_training import METRIC, fine_tune_retrieval
from training_vl.run_record import read_run_record

DROPOUT = json.dumps({**SIZES["both"], "hidden_dropout_prob": 0.1})


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, and in `pool.json` the next photo as hard negative of each."""
    photos = write_photos(tmp_path_factory.mktemp("photos"))
    ids = list(read_captions(photos / "captions.jsonl", split="train").image_ids)
    pool = {name: [ids[(number + 1) % len(ids)]] for number, name in enumerate(ids)}
    (photos / "pool.json").write_text(json.dumps(pool))
    return photos


def train(photos: Path, output_dir: Path, config: str, *more: str) -> RetrievalTrainer:
    return train_retrieval_with_trainer(
        parse_retrieval_arguments(arguments_of(photos, output_dir, config, "--config_overrides", DROPOUT, *more))
    )


@pytest.mark.parametrize(
    ("config", "more"),
    [
        ("vilbert", ("--batch_size", "40", "--start", "least_squares", "--feature_dropout", "0.3")),
        ("vilbert", ("--batch_size", "80", "--candidates", "drawn", "--hard_negatives", "pool.json")),
        ("visualbert", ("--batch_size", "80", "--candidates", "drawn", "--early_stopping_patience", "3")),
    ],
    ids=["in_batch", "hard_negatives", "best_model"],
)
def test_the_losses_are_those_of_our_loop(photos: Path, tmp_path: Path, config: str, more: tuple[str, ...]) -> None:
    """With dropout, two micro-batches a step, a schedule, and through more than one epoch."""
    more = tuple(str(photos / word) if word == "pool.json" else word for word in more)
    words = (*more, "--micro_batch_size", str(int(more[1]) // 2), "--learning_rate", "5e-3", "--eval_steps", "3")
    trained = arguments_of(photos, tmp_path / "ours", config, "--config_overrides", DROPOUT, *words)
    fine_tune_retrieval(parse_retrieval_arguments(trained))
    ours = comparable(tmp_path / "ours")
    train(photos, tmp_path / "theirs", config, *words, "--save_total_limit", "2")
    theirs = history(tmp_path / "theirs", 6)
    losses = [row["loss"] for row in theirs if "loss" in row]
    assert losses == [pytest.approx(row["train/loss"], rel=1e-6) for row in ours if "train/loss" in row]
    assert len(losses) == 6
    recalls = [{name[5:]: value for name, value in row.items() if name.startswith("eval/")} for row in ours]
    measured = [{name[5:]: value for name, value in row.items() if name.startswith("eval_")} for row in theirs]
    assert [row for row in measured if row] == [row for row in recalls if row]
    assert weights(tmp_path / "theirs") == weights(tmp_path / "ours")
    assert max(row.get("train/epoch", 0) for row in ours) >= 1


def test_it_resumes_exactly(photos: Path, tmp_path: Path) -> None:
    words = ("--save_steps", "2", "--eval_steps", "3", "--save_total_limit", "5", "--token_dropout", "0.2")
    words = (*words, "--candidates", "drawn", "--num_workers", "1")
    train(photos, tmp_path / "whole", "vilbert", *words)
    shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "resumed" / "checkpoint-2")
    train(photos, tmp_path / "resumed", "vilbert", *words, "--resume_from_checkpoint", "latest")
    assert history(tmp_path / "resumed", 6) == history(tmp_path / "whole", 6)
    assert weights(tmp_path / "resumed") == weights(tmp_path / "whole")


def test_it_stops_early_and_keeps_the_best(photos: Path, tmp_path: Path) -> None:
    """With a learning rate of 0 no evaluation is better than the first."""
    words = arguments_of(photos, tmp_path, "visualbert", "--learning_rate", "0", "--max_steps", "12")
    run_with_trainer.run([*words, "--eval_steps", "2", "--early_stopping_patience", "2", "--save_total_limit", "9"])
    state = json.loads((tmp_path / "checkpoint-6" / "trainer_state.json").read_text())
    assert state["best_global_step"] == 2
    assert state["best_metric"] == history(tmp_path, 2)[-1][f"eval_{METRIC}"]
    record = read_run_record(tmp_path)
    assert (record.steps, record.total_steps, record.arguments["task"]) == (6, 12, "retrieval")
    assert weights(tmp_path) == weights(tmp_path / "checkpoint-2")
