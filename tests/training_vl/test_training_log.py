"""The log of a run."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator

from training_vl.training_log import LOG_NAME, RunningMeans, TrainingLog, read_log


def test_means_since_the_last_entry_also_after_a_resume() -> None:
    accelerator, means = Accelerator(cpu=True), RunningMeans()
    for value in (1.0, 2.0):
        means.add({"loss": torch.tensor(value), "mlm_loss": torch.tensor(2 * value)})
    resumed = RunningMeans()
    resumed.load_state_dict(means.state_dict(), torch.device("cpu"))
    for running in (means, resumed):
        running.add({"loss": torch.tensor(6.0), "mlm_loss": torch.tensor(0.0)})
        assert running.take(accelerator) == {"loss": 3.0, "mlm_loss": 2.0}
        running.add({"loss": torch.tensor(5.0)})
        assert running.take(accelerator) == {"loss": 5.0}


def test_a_resumed_log_drops_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, start_step=0, tensorboard=False)
    for step in (1, 2, 3):
        log.write(step, {"loss": float(step)})
    log.write(3, {"loss": 9.0}, prefix="eval")
    with (tmp_path / LOG_NAME).open("a") as file:
        file.write('{"step": 4, "train/lo')  # the process was killed here
    assert [row["step"] for row in read_log(tmp_path)] == [1, 2, 3, 3]
    log = TrainingLog(tmp_path, start_step=2, tensorboard=False)
    log.write(3, {"loss": 5.0})
    assert read_log(tmp_path) == [
        {"step": 1, "train/loss": 1.0},
        {"step": 2, "train/loss": 2.0},
        {"step": 3, "train/loss": 5.0},
    ]
    TrainingLog(tmp_path, start_step=0, tensorboard=False)
    assert read_log(tmp_path) == []


def test_tensorboard_holds_the_same_numbers(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = TrainingLog(tmp_path, start_step=0, tensorboard=True)
    log.write(1, {"loss": 4.0})
    log.write(2, {"loss": 3.0})
    log.close()
    log = TrainingLog(tmp_path, start_step=1, tensorboard=True)
    log.write(2, {"loss": 2.5})
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 4.0), (2, 2.5)]
