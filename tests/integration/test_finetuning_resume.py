"""A fine-tuning run is killed between two checkpoints; continued, it does exactly what an uninterrupted one does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.finetuning_runs import SCRIPT, run_here
from tests.integration.pretraining_runs import start_and_kill, weights
from tests.training_vl.tiny_tasks import task_recipe
from training_vl.checkpointing import checkpoints

STEPS, SAVE_STEPS = 60, 20


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize(
    ("task", "config", "num_workers", "streaming"), [("vqa", "visualbert", 0, False), ("nlvr2", "vilbert", 2, True)]
)
def test_a_killed_run_continues_exactly(
    data: Path, tmp_path: Path, task: str, config: str, num_workers: int, streaming: bool
) -> None:
    recipe = task_recipe(
        data,
        f"{task}-{config}",
        task=task,
        config=config,
        num_workers=num_workers,
        streaming=streaming,
        micro_batch_size=2,
        head_learning_rate=0.02,
        max_steps=STEPS,
        save_steps=SAVE_STEPS,
        save_total_limit=2,
        eval_steps=20,
    )
    killed_at = start_and_kill(recipe, tmp_path / "killed", save_steps=SAVE_STEPS, script=SCRIPT)
    saved_at = max(checkpoints(tmp_path / "killed"))
    assert saved_at < killed_at < STEPS
    uninterrupted = run_here(recipe, tmp_path / "whole")
    resumed = run_here(recipe, tmp_path / "killed", "--resume_from_checkpoint", "latest")
    assert max(row.get("train/epoch", 0) for row in uninterrupted) >= 1
    assert resumed == uninterrupted
    for name in ("best/scores.json", "best/model.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole") == weights(tmp_path / "whole" / "best")
    (predictions,) = (tmp_path / "whole").glob("predictions_val.*")
    assert (tmp_path / "killed" / predictions.name).read_bytes() == predictions.read_bytes()
