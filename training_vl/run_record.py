"""What a training run leaves beside its model about itself: arguments, steps, hardware, versions and commit."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from datasets_vl.code_version import library_versions
from datasets_vl.record_files import read_record, write_record

from .checkpointing import RunState

RUN_NAME = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """What a model's folder says of the run that trained it.

    Attributes:
        steps: Optimizer steps done.
        total_steps: Steps that were planned; more than `steps` where the run stopped because nothing got better.
        processes: Number of processes.
        hardware: What each process ran on.
        code_commit: Of the code, see `datasets_vl.code_version.code_commit`.
        versions: Of the libraries, by name.
        arguments: All arguments of the run.
    """

    steps: int
    total_steps: int
    processes: int
    hardware: str
    code_commit: str | None
    versions: dict[str, str]
    arguments: dict[str, Any]


def write_run_record(folder: Path, state: RunState, device: torch.device, commit: str | None) -> None:
    """Write `run.json`, whole or not at all.

    Args:
        folder: With the model.
        state: Of the run at its end.
        device: On which it ran.
        commit: Of the code when it began, see `datasets_vl.code_version.code_commit`.
    """
    record = RunRecord(
        steps=state.step,
        total_steps=state.total_steps,
        processes=state.world_size,
        hardware=hardware_name(device),
        code_commit=commit,
        versions=library_versions(),
        arguments=state.arguments,
    )
    write_record(folder / RUN_NAME, record)


def read_run_record(folder: str | Path) -> RunRecord | None:
    """Read what `write_run_record` wrote.

    Args:
        folder: With the model.

    Returns:
        The record; None where there is none.

    Raises:
        ValueError: If the file holds something else.
    """
    return read_record(Path(folder) / RUN_NAME, RunRecord, "a training run")


def hardware_name(device: torch.device) -> str:
    """What a `device` of this machine is called: the accelerator's own name, or the CPU with the cores it has."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"CPU ({platform.machine()}, {os.cpu_count()} cores)"
    return device.type
