"""Two processes on a CPU: they really are two, equal one process with the whole batch, and resume exactly."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.integration.pretraining_runs import LAUNCH, ROOT, comparable, launch, run_here, weights
from tests.training_vl.tiny_data import NO_DROPOUT, NO_IMAGE_DROPOUT, write_data, write_recipe
from training_vl.checkpointing import read_state

TWO_ON_CPU = [*LAUNCH, "--config_file", str(ROOT / "examples" / "accelerate_configs" / "cpu_2.yaml")]


def check_that_two_ran_together(folder: Path, stderr: str) -> None:
    assert read_state(folder / "checkpoint-6").world_size == 2
    files = sorted(path.name for path in (folder / "checkpoint-6").glob("process-*"))
    assert files == ["process-00000.pt", "process-00001.pt"]
    assert "PROCESSES WERE" not in stderr


def check_equal_to_one_process(two: Path, recipe: Path, folder: Path) -> None:
    """The one process takes the eight examples of a step in one batch, the two take them in two micro-batches each."""
    one = run_here(recipe, folder, "--micro_batch_size", "8", "--expected_processes", "1")
    together = comparable(two)
    assert [row["step"] for row in together] == [row["step"] for row in one] == [1, 2, 3, 3, 4, 5, 6, 6]
    for mine, other in zip(together, one, strict=True):
        assert mine == pytest.approx(other, rel=1e-5, abs=1e-6)
    apart = load_file(folder / "model.safetensors")
    for name, value in load_file(two / "model.safetensors").items():
        torch.testing.assert_close(value, apart[name], atol=1e-4, rtol=0)


def check_exact_resume(two: Path, recipe: Path, folder: Path) -> None:
    """As if the run had been stopped after its checkpoint of step 3."""
    shutil.copytree(two / "checkpoint-3", folder / "checkpoint-3")
    shutil.copy(two / "log.jsonl", folder)
    launch(TWO_ON_CPU, recipe, folder, "--resume_from_checkpoint", "latest")
    assert comparable(folder) == comparable(two)
    assert weights(folder) == weights(two)


def test_two_processes_are_one_training(tmp_path: Path) -> None:
    """One test, because starting two processes takes longer than everything they do."""
    recipe = write_recipe(
        write_data(tmp_path / "data"),
        "two",
        overrides={**NO_DROPOUT, **NO_IMAGE_DROPOUT},
        batch_size=8,
        micro_batch_size=2,
        save_steps=3,
        eval_steps=3,
        val_split="val",
        expected_processes=2,
        warmup_steps=1,
    )
    two = tmp_path / "two"
    check_that_two_ran_together(two, launch(TWO_ON_CPU, recipe, two))
    check_equal_to_one_process(two, recipe, tmp_path / "one")
    check_exact_resume(two, recipe, tmp_path / "resumed")
    with pytest.raises(ValueError, match="world_size was 2, is 1"):
        run_here(recipe, two, "--resume_from_checkpoint", "latest")


def test_a_launch_that_starts_only_one_is_warned_about(tmp_path: Path) -> None:
    """What accelerate 1.15 makes of `--cpu --num_processes 2`."""
    recipe = write_recipe(write_data(tmp_path / "data"), "short", max_steps=1)
    stderr = launch([*LAUNCH, "--cpu", "--num_processes", "2"], recipe, tmp_path / "run")
    assert "SEVERAL PROCESSES WERE ASKED FOR, BUT ONLY ONE RUNS" in stderr
    assert "examples/accelerate_configs/cpu_2.yaml" in stderr
    assert read_state(tmp_path / "run" / "checkpoint-1").world_size == 1
