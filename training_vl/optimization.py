"""The optimizer: AdamW whose groups are found by module, and its learning rate schedule."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from transformers import get_linear_schedule_with_warmup

from .arguments import TrainingArguments

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def parameter_groups(
    model: nn.Module, weight_decay: float, head_learning_rate: float | None = None
) -> list[dict[str, Any]]:
    """Divide the trainable parameters into those that decay and those that do not: biases and all layer norms.

    Layer norms are known by their type. The originals search names for "LayerNorm.weight", which misses the layer
    norms behind the co-attention; vilbert_beta even swaps the two groups.

    Args:
        model: Any model. A parameter that is shared, such as tied word embeddings, counts once.
        weight_decay: Of the parameters that decay.
        head_learning_rate: Learning rate of everything that is no part of the `base_model` (1e-4 for the "vil_" heads
            of both ViLBERT code bases); None for no rate of its own.

    Returns:
        Two groups for an optimizer, every trainable parameter in exactly one of them; with a `head_learning_rate`
        these two for the base model, then two for the heads.

    Raises:
        ValueError: If nothing is trainable, or there are no heads that could have a learning rate of their own.
    """
    with_head = head_learning_rate is not None
    trunk = {id(parameter) for parameter in (model.base_model if with_head else model).parameters()}
    groups: list[dict[int, nn.Parameter]] = [{}, {}, {}, {}]
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                number = int(name == "bias" or isinstance(module, NORMS)) + 2 * (id(parameter) not in trunk)
                groups[number][id(parameter)] = parameter
    if not any(groups):
        raise ValueError(f"{type(model).__name__} has no trainable parameter")
    if with_head and not any(groups[2:]):
        raise ValueError(f"{type(model).__name__} has no head: leave out head_learning_rate")
    options = [{"weight_decay": weight_decay}, {"weight_decay": 0.0}]
    if with_head:
        options += [{**option, "lr": head_learning_rate} for option in options]
    return [{"params": list(group.values()), **option} for group, option in zip(groups, options, strict=False)]


def make_optimizer(model: nn.Module, arguments: TrainingArguments) -> AdamW:
    """AdamW over `parameter_groups` of `model` with the settings of `arguments`."""
    return AdamW(
        parameter_groups(model, arguments.weight_decay, arguments.head_learning_rate),
        lr=arguments.learning_rate,
        betas=(arguments.adam_beta1, arguments.adam_beta2),
        eps=arguments.adam_epsilon,
        fused=True,
    )


def make_schedule(
    optimizer: Optimizer, arguments: TrainingArguments, total_steps: int, steps_per_epoch: float
) -> LRScheduler:
    """Linear warm-up to the learning rate, then what `arguments.schedule` says.

    Args:
        optimizer: Its learning rates are the highest ones.
        arguments: `warmup_steps`, or `warmup_ratio` of all steps; `schedule`, and its drops.
        total_steps: Steps of the whole run.
        steps_per_epoch: Steps of a pass over the data.

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
    if arguments.schedule == "linear":
        return get_linear_schedule_with_warmup(optimizer, warmup_steps, total_steps)
    drops = [epoch * steps_per_epoch for epoch in arguments.drop_epochs or ()]

    def factor(step: int) -> float:
        rise = min(1.0, step / max(1, warmup_steps))
        return rise * arguments.drop_factor ** sum(step >= drop for drop in drops)

    return LambdaLR(optimizer, factor)
