"""What a run says of itself beside its model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from training_vl.checkpointing import RunState
from training_vl.run_record import RUN_NAME, hardware_name, read_run_record, write_run_record


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_run_record(tmp_path) is None
    state = RunState(step=8, total_steps=10, world_size=2, arguments={"batch_size": 4, "config_overrides": {"a": [1]}})
    write_run_record(tmp_path, state, torch.device("cpu"), "0123abc with changes")
    record = read_run_record(tmp_path)
    assert (record.steps, record.total_steps, record.processes) == (8, 10, 2)
    assert record.arguments == {"batch_size": 4, "config_overrides": {"a": [1]}}
    assert record.hardware.startswith("CPU (")
    assert record.code_commit == "0123abc with changes"
    assert record.versions["torch"] == torch.__version__
    assert [path.name for path in tmp_path.iterdir()] == [RUN_NAME]


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"steps": 3})])
def test_a_file_of_something_else_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / RUN_NAME).write_text(text)
    with pytest.raises(ValueError, match=r"run\.json is not what a training run writes"):
        read_run_record(tmp_path)


def test_other_devices_are_called_by_their_type() -> None:
    assert hardware_name(torch.device("meta")) == "meta"
