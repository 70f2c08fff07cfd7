"""Fine-tuning for retrieval: in a batch, against drawn candidates, resumed, and stopped at its best."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from datasets_vl.captions import read_captions
from modeling_vl import AutoModelForImageTextRetrieval
from tests.training_vl.retrieval_data import SIZES, arguments_of, write_photos
from training_vl.retrieval_arguments import parse_retrieval_arguments
from training_vl.retrieval_training import fine_tune_retrieval
from training_vl.training_log import read_log

LEARNING = ("--learning_rate", "5e-3", "--config_overrides", json.dumps({**SIZES["both"], "pooler_act": "tanh"}))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def run(photos: Path, output_dir: Path, config: str, *more: str) -> list[dict[str, float]]:
    fine_tune_retrieval(parse_retrieval_arguments(arguments_of(photos, output_dir, config, *more)))
    return [
        {name: value for name, value in row.items() if name != "train/examples_per_second"}
        for row in read_log(output_dir)
    ]


@pytest.mark.parametrize("config", ["vilbert", "visualbert"])
def test_training_learns_which_photo_a_caption_belongs_to(photos: Path, tmp_path: Path, config: str) -> None:
    log = run(photos, tmp_path / "run", config, *LEARNING, "--max_steps", "80", "--eval_steps", "40")
    losses = [row["train/loss"] for row in log if "train/loss" in row]
    assert sum(losses[:5]) / 5 == pytest.approx(math.log(10), abs=0.1)  # a random choice of ten
    assert sum(losses[-5:]) / 5 < 1.9
    scores = [row for row in log if "eval/recall_sum" in row]
    assert [row["step"] for row in scores] == [40, 80]
    assert scores[-1]["eval/text_to_image_recall_at_5"] > 0.4  # of 20 photos: chance is 0.25
    model = AutoModelForImageTextRetrieval.from_pretrained(tmp_path / "run")
    assert model.config.model_type == config


@pytest.mark.parametrize("config", ["vilbert", "visualbert"])
def test_a_resumed_run_is_the_same_run(photos: Path, tmp_path: Path, config: str) -> None:
    more = ("--feature_dropout", "0.3", "--token_dropout", "0.2", "--save_steps", "3", "--eval_steps", "3")
    expected = run(photos, tmp_path / "whole", config, *more, "--save_total_limit", "5")
    (tmp_path / "stopped").mkdir()
    (tmp_path / "whole" / "checkpoint-3").rename(tmp_path / "stopped" / "checkpoint-3")
    lines = (tmp_path / "whole" / "log.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "stopped" / "log.jsonl").write_text("".join(lines[:4]))
    assert run(photos, tmp_path / "stopped", config, *more, "--resume_from_checkpoint", "latest") == expected
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert weights[0] == weights[1]


def test_drawn_candidates_with_hard_negatives(photos: Path, tmp_path: Path) -> None:
    ids = list(read_captions(photos / "captions.jsonl", split="train").image_ids)
    pool = {name: [ids[(number + 1) % len(ids)]] for number, name in enumerate(ids)}
    (tmp_path / "pool.json").write_text(json.dumps(pool))
    more = ("--candidates", "drawn", "--hard_negatives", str(tmp_path / "pool.json"), "--max_steps", "80")
    log = run(photos, tmp_path / "run", "vilbert", *LEARNING, *more)
    losses = [row["train/loss"] for row in log if "train/loss" in row]
    assert sum(losses[:5]) / 5 == pytest.approx(math.log(4), abs=0.1)  # a random choice of four
    assert sum(losses[-5:]) / 5 < 1.0
    assert log[-2]["train/epoch"] == 2  # 320 captions, ten a step


def test_the_best_model_is_kept_when_the_run_stops_early(photos: Path, tmp_path: Path) -> None:
    more = ("--start", "least_squares", "--early_stopping_patience", "2", "--eval_steps", "1", "--max_steps", "40")
    log = run(photos, tmp_path / "run", "vilbert", *more, "--learning_rate", "0.1", "--warmup_steps", "1")
    sums = {row["step"]: row["eval/recall_sum"] for row in log if "eval/recall_sum" in row}
    best = json.loads((tmp_path / "run" / "best" / "scores.json").read_text())
    assert best["scores"]["recall_sum"] == max(sums.values())
    assert max(sums) == best["step"] + 2 < 40


def test_features_of_another_size_are_refused(photos: Path, tmp_path: Path) -> None:
    overrides = '{"visual_embedding_dim": 9, "vocab_size": 30}'
    with pytest.raises(ValueError, match="has 24 numbers a region, the model wants visual_embedding_dim=9"):
        run(photos, tmp_path / "run", "visualbert", "--config_overrides", overrides)
