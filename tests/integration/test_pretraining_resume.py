"""A run is killed between two checkpoints; continued, it does exactly what an uninterrupted run does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.pretraining_runs import run_here, start_and_kill, weights
from tests.training_vl.tiny_data import write_data, write_recipe
from training_vl.checkpointing import checkpoints

STEPS, SAVE_STEPS = 80, 25


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    ("config", "streaming", "num_workers"),
    [("vilbert", False, 0), ("visualbert", False, 2), ("vilbert", True, 2)],
)
def test_a_killed_run_continues_exactly(
    data: Path, tmp_path: Path, config: str, streaming: bool, num_workers: int
) -> None:
    recipe = write_recipe(
        data,
        f"{config}-{streaming}-{num_workers}",
        config=config,
        streaming=streaming,
        num_workers=num_workers,
        shuffle_images=4,
        micro_batch_size=2,
        max_steps=STEPS,
        logging_steps=1,
        save_steps=SAVE_STEPS,
        save_total_limit=2,
        eval_steps=40,
        val_split="val",
    )
    killed_at = start_and_kill(recipe, tmp_path / "killed", save_steps=SAVE_STEPS)
    saved_at = max(checkpoints(tmp_path / "killed"))
    assert saved_at < killed_at < STEPS
    uninterrupted = run_here(recipe, tmp_path / "whole")
    resumed = run_here(recipe, tmp_path / "killed", "--resume_from_checkpoint", "latest")
    # It goes through several epochs, with dropout, and an evaluation in between.
    assert max(row.get("train/epoch", 0) for row in uninterrupted) >= 3
    assert resumed == uninterrupted
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
