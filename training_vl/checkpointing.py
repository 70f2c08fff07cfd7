"""Checkpoints from which training continues exactly.

A checkpoint is a folder `checkpoint-<step>`: the model and the processor as `from_pretrained` wants them,
`training.pt` (optimizer, schedule, gradient scaler), `process-<rank>.pt` for every process (random states, place in
the data, means being logged) and `state.json`. It is written under another name and renamed when it is whole.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel, ProcessorMixin

STATE_NAME = "state.json"
TRAINING_NAME = "training.pt"
LATEST = "latest"

FREE_ARGUMENTS = frozenset(
    {
        *("output_dir", "resume_from_checkpoint", "save_steps", "save_total_limit", "logging_steps", "eval_steps"),
        *("eval_batch_size", "expected_processes", "tensorboard", "num_workers", "cache_dir", "regions", "captions"),
        *("val_regions", "val_captions", "val_split", "from_bert", "from_pretrained", "tokenizer"),
        *("num_epochs", "max_steps", "data", "early_stopping_patience"),
    }
)
"""Arguments that need not be the same in a resumed run: what they say is in the checkpoint, is checked otherwise (the
data check themselves, `total_steps` stands for epochs and steps), or does not touch the training."""

_NAME = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class RunState:
    """What a checkpoint says about its run.

    Attributes:
        step: Optimizer steps done.
        total_steps: Steps of the whole run.
        world_size: Number of processes.
        arguments: All arguments of the run.
    """

    step: int
    total_steps: int
    world_size: int
    arguments: dict[str, Any]


def checkpoints(output_dir: Path) -> dict[int, Path]:
    """The whole checkpoints in `output_dir` by step, in ascending order."""
    found = {}
    if output_dir.is_dir():
        for path in output_dir.iterdir():
            name = _NAME.fullmatch(path.name)
            if name and (path / STATE_NAME).is_file():
                found[int(name[1])] = path
    return dict(sorted(found.items()))


def find_checkpoint(output_dir: Path, wanted: str | None) -> Path | None:
    """The checkpoint to continue from.

    Args:
        output_dir: Of the run.
        wanted: A checkpoint folder, "latest", or None to start anew.

    Returns:
        The folder; None to start from the beginning.

    Raises:
        FileNotFoundError: If `wanted` is no whole checkpoint.
        ValueError: If `output_dir` holds checkpoints that the run would mix with its own.
    """
    existing = checkpoints(output_dir)
    if wanted is None:
        if existing:
            raise ValueError(
                f"{output_dir} holds checkpoints of an earlier run, up to step {max(existing)}: continue it with "
                "--resume_from_checkpoint latest, or choose another output_dir"
            )
        return None
    if wanted == LATEST:
        return existing[max(existing)] if existing else None
    path = Path(wanted)
    if not (path / STATE_NAME).is_file():
        raise FileNotFoundError(f"{path} is no checkpoint: it has no {STATE_NAME}; {output_dir} has {list(existing)}")
    later = [step for step in existing if step > read_state(path).step]
    if later:
        raise ValueError(
            f"{output_dir} holds later checkpoints than {path}, of steps {later}: move them away, or choose another "
            "output_dir"
        )
    return path


def read_state(checkpoint: Path) -> RunState:
    """What `checkpoint` says about its run."""
    return RunState(**json.loads((checkpoint / STATE_NAME).read_text(encoding="utf-8")))


def check_resumable(checkpoint: Path, present: RunState) -> RunState:
    """Refuse to continue with settings under which the run would not be the same.

    Args:
        checkpoint: Where the run shall continue.
        present: The run that wants to; its step is not read.

    Returns:
        What the checkpoint says about its run.

    Raises:
        ValueError: Naming what was and what is.
    """
    saved = read_state(checkpoint)
    changes = [
        f"{name} was {getattr(saved, name)}, is {getattr(present, name)}"
        for name in ("world_size", "total_steps")
        if getattr(saved, name) != getattr(present, name)
    ]
    changes += [
        f"{name} was {saved.arguments.get(name)!r}, is {present.arguments.get(name)!r}"
        for name in dict.fromkeys([*saved.arguments, *present.arguments])
        if name not in FREE_ARGUMENTS and saved.arguments.get(name) != present.arguments.get(name)
    ]
    if changes:
        fixed = (
            " The options max_steps and num_epochs set total_steps, and a learning rate schedule that has begun can "
            "be neither extended nor shortened."
            if saved.total_steps != present.total_steps
            else ""
        )
        raise ValueError(
            f"{checkpoint} cannot be continued exactly: {'; '.join(changes)}.{fixed} Use the saved settings, or begin "
            f"a new run from its weights with --from_pretrained {checkpoint} and another output_dir"
        )
    return saved


class Checkpointer:
    """Saves and restores everything that a run consists of.

    Args:
        output_dir: Where the checkpoints lie; all processes see it.
        model: The model, not wrapped.
        processor: Saved beside it.
        optimizer: As prepared by accelerate.
        schedule: Its learning rate schedule.
        accelerator: The processes.
        keep: Checkpoints to keep, None for all.
    """

    def __init__(
        self,
        output_dir: Path,
        model: PreTrainedModel,
        processor: ProcessorMixin,
        optimizer: Optimizer,
        schedule: LRScheduler,
        accelerator: Accelerator,
        keep: int | None = None,
    ) -> None:
        self.output_dir = output_dir
        self.model = model
        self.processor = processor
        self.optimizer = optimizer
        self.schedule = schedule
        self.accelerator = accelerator
        self.keep = keep

    def save(self, state: RunState, process_state: Mapping[str, Any]) -> Path:
        """Save a checkpoint; all processes call it together.

        Args:
            state: About the run.
            process_state: What this process adds, in plain values and tensors.

        Returns:
            The folder. An older checkpoint is deleted only after it has its name.
        """
        final = self.output_dir / f"checkpoint-{state.step}"
        partial = self.output_dir / f"{final.name}.partial"
        if self.accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        own = {"random": random_state(), **process_state}
        torch.save(own, partial / _process_name(self.accelerator.process_index))
        if self.accelerator.is_main_process:
            self.model.save_pretrained(partial)
            self.processor.save_pretrained(partial)
            scaler = self.accelerator.scaler
            training = {
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "scaler": None if scaler is None else scaler.state_dict(),
            }
            torch.save(training, partial / TRAINING_NAME)
            (partial / STATE_NAME).write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            _bring_to_disk(partial)
            shutil.rmtree(final, ignore_errors=True)
            os.replace(partial, final)
            _delete_oldest(self.output_dir, self.keep)
        self.accelerator.wait_for_everyone()
        return final

    def restore(self, checkpoint: Path) -> dict[str, Any]:
        """Take up optimizer, schedule and random states; the model was loaded from the folder already.

        Args:
            checkpoint: A folder that passed `check_resumable`.

        Returns:
            What this process had added.
        """
        training = torch.load(checkpoint / TRAINING_NAME, map_location="cpu", weights_only=True)
        self.optimizer.load_state_dict(training["optimizer"])
        self.schedule.load_state_dict(training["schedule"])
        if training["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(training["scaler"])
        own = torch.load(
            checkpoint / _process_name(self.accelerator.process_index), map_location="cpu", weights_only=True
        )
        set_random_state(own.pop("random"))
        return own


def random_state() -> dict[str, Any]:
    """The random states of python, numpy and torch in this process, as plain values and tensors."""
    name, keys, *rest = np.random.get_state()
    state = {
        "python": random.getstate(),
        "numpy": (name, keys.tolist(), *rest),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Any]) -> None:
    """Restore what `random_state` gave as `state`."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


def _process_name(rank: int) -> str:
    return f"process-{rank:05d}.pt"


def _bring_to_disk(folder: Path) -> None:
    """After a power cut a renamed folder must not hold empty files."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _delete_oldest(output_dir: Path, keep: int | None) -> None:
    if keep is not None:
        for path in list(checkpoints(output_dir).values())[:-keep]:
            shutil.rmtree(path)
