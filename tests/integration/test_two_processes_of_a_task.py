"""Fine-tuning in two processes equals one process: losses, weights, scores and predictions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.integration.finetuning_runs import run_here
from tests.integration.pretraining_runs import LAUNCH, ROOT, comparable, launch
from tests.training_vl.tiny_data import NO_DROPOUT, NO_IMAGE_DROPOUT
from tests.training_vl.tiny_tasks import task_recipe
from training_vl.checkpointing import read_state

TWO_ON_CPU = [*LAUNCH, "--config_file", str(ROOT / "examples" / "accelerate_configs" / "cpu_2.yaml")]

# A wrapper that outlives its run may hang when the processes part, but only now and then: so it is looked for.
WATCHED = """
import gc
import sys
from torch.nn.parallel import DistributedDataParallel
from examples.run_finetuning import main
from training_vl.training_loop import TrainingLoop

def wrappers():
    return sum(type(each) is DistributedDataParallel for each in gc.get_objects())

run = TrainingLoop.run

def watched(loop):
    before = wrappers()
    run(loop)
    sys.stderr.write(f"wrappers: {before}, then {wrappers()}\\n")

TrainingLoop.run = watched
main()
"""


def test_two_processes_are_one_training(tmp_path: Path) -> None:
    recipe = task_recipe(
        tmp_path / "data",
        "two",
        task="vqa",
        config_overrides={**NO_DROPOUT, **NO_IMAGE_DROPOUT},
        batch_size=8,
        micro_batch_size=2,
        expected_processes=2,
    )
    two, one = tmp_path / "two", tmp_path / "one"
    watched = tmp_path / "watched.py"
    watched.write_text(WATCHED)
    assert launch(TWO_ON_CPU, recipe, two, script=watched).count("wrappers: 1, then 0") == 2
    assert read_state(two / "checkpoint-6").world_size == 2
    alone = run_here(recipe, one, "--micro_batch_size", "8", "--expected_processes", "1")
    together = comparable(two)
    assert [row["step"] for row in together] == [row["step"] for row in alone] == [1, 2, 3, 3, 4, 5, 6, 6]
    for mine, other in zip(together, alone, strict=True):
        assert mine == pytest.approx(other, rel=1e-5, abs=1e-6)
    apart = load_file(one / "model.safetensors")
    for name, value in load_file(two / "model.safetensors").items():
        torch.testing.assert_close(value, apart[name], atol=1e-4, rtol=0)
    assert (two / "predictions_val.json").read_bytes() == (one / "predictions_val.json").read_bytes()
