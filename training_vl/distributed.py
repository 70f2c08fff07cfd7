"""The processes of a run: starting them through accelerate, and noticing when fewer came than were asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from transformers.configuration_utils import PreTrainedConfig

from .arguments import TrainingArguments

logger = logging.getLogger(__name__)


def make_accelerator(
    *,
    find_unused_parameters: bool,
    mixed_precision: str | None = None,
    use_cpu: bool = False,
    expected_processes: int | None = None,
) -> Accelerator:
    """Join the launched processes.

    Several processes on a CPU talk through gloo. accelerate joins them only when it is told that the CPU is meant;
    without it each would believe to be alone.

    Args:
        find_unused_parameters: Whether some parameters of the model get no gradient in a step.
        mixed_precision: "no", "bf16" or "fp16"; None for what the launcher was told.
        use_cpu: Whether to leave an accelerator of the machine alone.
        expected_processes: Number of processes that were meant to be launched.

    Returns:
        The accelerator.

    Raises:
        RuntimeError: See `check_world_size`.
    """
    cpu = use_cpu or torch.accelerator.current_accelerator(check_available=True) is None
    parallel = DistributedDataParallelKwargs(find_unused_parameters=find_unused_parameters)
    accelerator = Accelerator(cpu=cpu, mixed_precision=mixed_precision, kwargs_handlers=[parallel])
    check_world_size(accelerator.num_processes, expected_processes, os.environ)
    return accelerator


def training_accelerator(training: TrainingArguments, *, find_unused_parameters: bool) -> Accelerator:
    """Join the processes of a training run.

    Args:
        training: Of the run.
        find_unused_parameters: See `make_accelerator`.

    Returns:
        The accelerator.

    Raises:
        RuntimeError: See `check_world_size`.
    """
    return make_accelerator(
        find_unused_parameters=find_unused_parameters,
        mixed_precision=training.mixed_precision,
        use_cpu=training.use_cpu,
        expected_processes=training.expected_processes,
    )


def leaves_parameters_unused(config: PreTrainedConfig) -> bool:
    """Whether a pre-training step with this `config` gives some parameters no gradient, which DDP must be told."""
    image_is_unread = config.fusion_method == "text" and not config.region_targets
    return config.model_type == "vilbert" and (
        config.frozen_text_layers > 0
        or config.frozen_visual_layers > 0
        or not config.use_coattention
        or image_is_unread
    )


def check_world_size(world_size: int, expected: int | None, environment: Mapping[str, str]) -> None:
    """Say so when another number of processes runs together than was asked for.

    `accelerate launch --cpu --num_processes 2` and configs with `distributed_type: MULTI_CPU` start one process
    without a word (accelerate 1.15). They leave behind an address for processes to meet at, but no number of them.

    Args:
        world_size: Processes that run together.
        expected: Processes that were meant to; None when nobody said.
        environment: Environment variables of this process.

    Raises:
        RuntimeError: If several processes were launched and each runs alone: they would overwrite each other's files.
    """
    launched = int(environment.get("WORLD_SIZE", 1))
    if launched > world_size:
        raise RuntimeError(
            f"{launched} processes were launched, but only {world_size} found together: they would all write the same "
            "files. On a CPU add --use_cpu"
        )
    how = (
        "On a CPU start several processes with `accelerate launch --config_file "
        "examples/accelerate_configs/cpu_2.yaml`; --cpu --num_processes and MULTI_CPU start only one"
    )
    if expected is not None and world_size != expected:
        logger.warning("%d PROCESSES WERE EXPECTED, BUT %d RUN. %s", expected, world_size, how)
    elif world_size == 1 and "MASTER_ADDR" in environment and "WORLD_SIZE" not in environment:
        logger.warning("SEVERAL PROCESSES WERE ASKED FOR, BUT ONLY ONE RUNS. %s", how)
