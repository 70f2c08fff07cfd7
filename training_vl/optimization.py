"""The optimizer of pre-training: AdamW whose groups are found by module, and its learning rate schedule."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_linear_schedule_with_warmup

from .arguments import TrainingArguments

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Divide the trainable parameters into those that decay and those that do not: biases and all layer norms.

    Layer norms are known by their type. The originals search names for "LayerNorm.weight", which misses the layer
    norms behind the co-attention; vilbert_beta even swaps the two groups.

    Args:
        model: Any model. A parameter that is shared, such as tied word embeddings, counts once.
        weight_decay: Of the first group.

    Returns:
        Two groups for an optimizer, every trainable parameter in exactly one of them.

    Raises:
        ValueError: If nothing is trainable.
    """
    decaying: dict[int, nn.Parameter] = {}
    constant: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                group = constant if name == "bias" or isinstance(module, NORMS) else decaying
                group[id(parameter)] = parameter
    if not decaying and not constant:
        raise ValueError(f"{type(model).__name__} has no trainable parameter")
    return [
        {"params": list(decaying.values()), "weight_decay": weight_decay},
        {"params": list(constant.values()), "weight_decay": 0.0},
    ]


def make_optimizer(model: nn.Module, arguments: TrainingArguments) -> AdamW:
    """AdamW over `parameter_groups` of `model` with the settings of `arguments`."""
    return AdamW(
        parameter_groups(model, arguments.weight_decay),
        lr=arguments.learning_rate,
        betas=(arguments.adam_beta1, arguments.adam_beta2),
        eps=arguments.adam_epsilon,
        fused=True,
    )


def make_schedule(optimizer: Optimizer, arguments: TrainingArguments, total_steps: int) -> LRScheduler:
    """Linear warm-up to the learning rate, then a linear fall to 0 at the last step.

    Args:
        optimizer: Its learning rates are the highest ones.
        arguments: `warmup_steps`, or `warmup_ratio` of all steps.
        total_steps: Steps of the whole run.

    Returns:
        The schedule; step it after the optimizer.

    Raises:
        ValueError: If the warm-up is longer than the run.
    """
    warmup_steps = arguments.warmup_steps
    if warmup_steps is None:
        warmup_steps = math.ceil(arguments.warmup_ratio * total_steps)
    if warmup_steps > total_steps:
        raise ValueError(f"the warm-up takes {warmup_steps} steps, the whole run only {total_steps}")
    return get_linear_schedule_with_warmup(optimizer, warmup_steps, total_steps)
