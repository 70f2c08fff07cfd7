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


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def recipe(data: Path) -> Path:
    return write_recipe(
        data,
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


@pytest.fixture(scope="module")
def two(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Output folder and stderr of two processes that trained together."""
    folder = tmp_path_factory.mktemp("two")
    return folder, launch(TWO_ON_CPU, recipe, folder)


def test_the_config_starts_two_processes(two: tuple[Path, str]) -> None:
    folder, stderr = two
    assert read_state(folder / "checkpoint-6").world_size == 2
    assert sorted(path.name for path in (folder / "checkpoint-6").glob("process-*")) == [
        "process-00000.pt",
        "process-00001.pt",
    ]
    assert "PROCESSES WERE" not in stderr


def test_two_processes_equal_one_with_the_whole_batch(two: tuple[Path, str], recipe: Path, tmp_path: Path) -> None:
    """The one process takes the eight examples of a step in one batch, the two take them in two micro-batches each."""
    one = run_here(recipe, tmp_path, "--micro_batch_size", "8", "--expected_processes", "1")
    together = comparable(two[0])
    assert [row["step"] for row in together] == [row["step"] for row in one]
    for mine, other in zip(together, one, strict=True):
        assert mine == pytest.approx(other, rel=1e-5, abs=1e-6)
    apart = load_file(tmp_path / "model.safetensors")
    for name, value in load_file(two[0] / "model.safetensors").items():
        torch.testing.assert_close(value, apart[name], atol=1e-4, rtol=0)


def test_each_process_resumes_from_its_own_state(two: tuple[Path, str], recipe: Path, tmp_path: Path) -> None:
    shutil.copytree(two[0] / "checkpoint-3", tmp_path / "checkpoint-3")
    shutil.copy(two[0] / "log.jsonl", tmp_path)
    launch(TWO_ON_CPU, recipe, tmp_path, "--resume_from_checkpoint", "latest")
    assert comparable(tmp_path) == comparable(two[0])
    assert weights(tmp_path) == weights(two[0])


def test_another_number_of_processes_cannot_resume(two: tuple[Path, str], recipe: Path) -> None:
    with pytest.raises(ValueError, match="world_size was 2, is 1"):
        run_here(recipe, two[0], "--resume_from_checkpoint", "latest")


def test_a_launch_that_starts_only_one_is_warned_about(data: Path, tmp_path: Path) -> None:
    """What accelerate 1.15 makes of `--cpu --num_processes 2`."""
    short = write_recipe(data, "short", max_steps=1)
    stderr = launch([*LAUNCH, "--cpu", "--num_processes", "2"], short, tmp_path)
    assert "SEVERAL PROCESSES WERE ASKED FOR, BUT ONLY ONE RUNS" in stderr
    assert "examples/accelerate_configs/cpu_2.yaml" in stderr
    assert read_state(tmp_path / "checkpoint-1").world_size == 1
