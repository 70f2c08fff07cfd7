"""Which checkpoint is taken, which is refused, and what an interrupted save leaves behind."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from training_vl.checkpointing import (
    Checkpointer,
    RunState,
    check_resumable,
    checkpoints,
    find_checkpoint,
    random_state,
    read_state,
    set_random_state,
)

STATE = RunState(step=0, total_steps=100, world_size=1, arguments={"seed": 1, "batch_size": 8, "save_steps": 5})


class Saved(nn.Linear):
    """Stands for the model, whose folder is not what these tests look at."""

    def save_pretrained(self, folder: Path) -> None:
        torch.save(self.state_dict(), Path(folder) / "weights.pt")


class FullDisk:
    """A processor that cannot be saved."""

    def save_pretrained(self, folder: Path) -> None:
        raise OSError("No space left on device")


def at_step(step: int, **changes: Any) -> RunState:
    return RunState(**{**vars(STATE), "step": step, **changes})


def checkpointer(folder: Path, keep: int | None = None) -> Checkpointer:
    accelerator = Accelerator(cpu=True)
    model = Saved(2, 2)
    optimizer = accelerator.prepare(torch.optim.AdamW(model.parameters()))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer.optimizer, lambda step: 1 / (1 + step))
    return Checkpointer(folder, model, model, optimizer, schedule, accelerator, keep)


def test_the_newest_are_kept(tmp_path: Path) -> None:
    writer = checkpointer(tmp_path, keep=2)
    for step in (5, 10, 100):
        writer.save(at_step(step), {})
    assert list(checkpoints(tmp_path)) == [10, 100]
    assert find_checkpoint(tmp_path, "latest") == tmp_path / "checkpoint-100"


def test_everything_comes_back(tmp_path: Path) -> None:
    writer = checkpointer(tmp_path)
    for _ in range(3):
        writer.model(torch.rand(4, 2)).sum().backward()
        writer.optimizer.step()
        writer.schedule.step()
    folder = writer.save(at_step(3), {"data": {"batches": 7}})
    drawn = random.random(), np.random.rand(), torch.rand(2).tolist()
    other = checkpointer(tmp_path)
    assert other.restore(folder) == {"data": {"batches": 7}}
    assert (random.random(), np.random.rand(), torch.rand(2).tolist()) == drawn
    for mine, saved in zip(other.optimizer.state.values(), writer.optimizer.state.values(), strict=True):
        assert all(torch.equal(mine[name], saved[name]) for name in ("step", "exp_avg", "exp_avg_sq"))
    assert other.schedule.get_last_lr() == writer.schedule.get_last_lr()
    assert read_state(folder) == at_step(3)


def test_an_interrupted_save_leaves_the_one_before(tmp_path: Path) -> None:
    writer = checkpointer(tmp_path, keep=1)
    writer.save(at_step(5), {})
    whole, writer.processor = writer.processor, FullDisk()
    with pytest.raises(OSError, match="No space left"):
        writer.save(at_step(10), {})
    assert (tmp_path / "checkpoint-10.partial").is_dir()
    assert find_checkpoint(tmp_path, "latest") == tmp_path / "checkpoint-5"
    writer.processor = whole
    writer.save(at_step(10), {})
    assert list(checkpoints(tmp_path)) == [10]
    assert not list(tmp_path.glob("*.partial"))


def test_a_new_run_never_mixes_with_an_old_one(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path, None) is None
    assert find_checkpoint(tmp_path / "absent", "latest") is None
    writer = checkpointer(tmp_path)
    writer.save(at_step(5), {})
    writer.save(at_step(10), {})
    with pytest.raises(ValueError, match="checkpoints of an earlier run, up to step 10: continue it with"):
        find_checkpoint(tmp_path, None)
    with pytest.raises(ValueError, match=r"later checkpoints than .*checkpoint-5, of steps \[10\]"):
        find_checkpoint(tmp_path, str(tmp_path / "checkpoint-5"))
    assert find_checkpoint(tmp_path, str(tmp_path / "checkpoint-10")) == tmp_path / "checkpoint-10"
    with pytest.raises(FileNotFoundError, match=r"checkpoint-7 is no checkpoint: it has no state.json"):
        find_checkpoint(tmp_path, str(tmp_path / "checkpoint-7"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"world_size": 2}, "world_size was 1, is 2"),
        ({"total_steps": 50}, "total_steps was 100, is 50. The options max_steps and num_epochs set total_steps"),
        ({"arguments": {**STATE.arguments, "batch_size": 16}}, "batch_size was 8, is 16"),
        (
            {"arguments": {**STATE.arguments, "seed": 2}},
            "seed was 1, is 2. Use the saved settings, or begin a new run",
        ),
    ],
)
def test_a_run_that_would_differ_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    folder = checkpointer(tmp_path).save(at_step(5), {})
    with pytest.raises(ValueError, match=message):
        check_resumable(folder, at_step(0, **changes))


def test_what_does_not_touch_the_training_may_change(tmp_path: Path) -> None:
    folder = checkpointer(tmp_path).save(at_step(5), {})
    arguments = {**STATE.arguments, "save_steps": 50}
    assert check_resumable(folder, at_step(0, arguments=arguments)).step == 5


def test_random_states_survive_safe_loading(tmp_path: Path) -> None:
    torch.save(random_state(), tmp_path / "state.pt")
    drawn = random.random(), np.random.rand(), torch.rand(2).tolist()
    set_random_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert (random.random(), np.random.rand(), torch.rand(2).tolist()) == drawn
