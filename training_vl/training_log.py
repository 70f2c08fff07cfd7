"""The log of a run: means since the last entry, JSON lines and TensorBoard."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

LOG_NAME = "log.jsonl"
TENSORBOARD_NAME = "tensorboard"


class RunningMeans:
    """Means of named numbers over the steps since the last entry of the log that had them, and over all processes."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add the `values` of one step, scalars under the same names in every process."""
        for name, value in values.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self, accelerator: Accelerator) -> dict[str, float]:
        """The means, after which counting begins anew; all processes of `accelerator` call it together."""
        names = sorted(self._sums)
        sums = torch.stack([self._sums[name].float() for name in names]).to(accelerator.device)
        counts = torch.tensor([self._counts[name] for name in names], device=accelerator.device)
        means = accelerator.reduce(sums / counts, "mean")
        self._sums, self._counts = {}, {}
        return dict(zip(names, means.tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """The sums so far, for a checkpoint."""
        return {"sums": {name: value.cpu() for name, value in self._sums.items()}, "counts": dict(self._counts)}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue with the sums of `state` on `device`."""
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        self._counts = dict(state["counts"])


class TrainingLog:
    """Writes `log.jsonl`, one JSON object an entry, and TensorBoard files below `tensorboard`.

    Args:
        folder: Of the run.
        start_step: Entries of later steps are dropped: they are of a run that went on beyond its last checkpoint.
        tensorboard: Whether to write TensorBoard files.

    Raises:
        ImportError: If TensorBoard is wanted but not installed.
    """

    def __init__(self, folder: Path, *, start_step: int, tensorboard: bool) -> None:
        self._path = folder / LOG_NAME
        kept = [row for row in read_log(folder) if row["step"] <= start_step] if start_step else []
        partial = self._path.with_name(f"{LOG_NAME}.partial")
        partial.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        os.replace(partial, self._path)
        self._writer = _summary_writer(folder / TENSORBOARD_NAME, start_step) if tensorboard else None

    def write(self, step: int, values: Mapping[str, float], prefix: str = "train") -> None:
        """Add an entry.

        Args:
            step: Optimizer steps done.
            values: Numbers by name.
            prefix: What they are about: the first part of their names in both places.
        """
        entry = {f"{prefix}/{name}": value for name, value in values.items()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **entry}) + "\n")
        if self._writer is not None:
            for name, value in entry.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def close(self) -> None:
        """Finish the TensorBoard files."""
        if self._writer is not None:
            self._writer.close()


def read_log(folder: str | Path) -> list[dict[str, float]]:
    """The entries of a run's log.

    A line that a killed process left unfinished is dropped.

    Args:
        folder: The run's `output_dir`.

    Returns:
        One mapping an entry: `step`, and numbers under `train/...` or `eval/...`. Empty when there is no log.
    """
    path = Path(folder) / LOG_NAME
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _summary_writer(folder: Path, start_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "TensorBoard is not installed: pip install 'modeling-vl[train]', or train with --tensorboard false"
        ) from error
    return SummaryWriter(str(folder), purge_step=start_step + 1 if start_step else None)
