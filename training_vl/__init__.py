"""How training goes on: arguments, optimizer groups, the loop, exact checkpoints and resume, evaluation.

What is named here is imported when it is first asked for: a command line answers a mistake without waiting for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .arguments import (
        DataArguments,
        ModelArguments,
        RunArguments,
        TrainingArguments,
        parse_pretraining_arguments,
    )
    from .finetuning import fine_tune
    from .pretraining import pretrain
    from .pretraining_metrics import evaluate_pretraining
    from .task_arguments import parse_task_arguments
    from .training_log import read_log
    from .training_loop import TrainingLoop, train_step

_MODULES = {
    "DataArguments": "arguments",
    "ModelArguments": "arguments",
    "RunArguments": "arguments",
    "TrainingArguments": "arguments",
    "TrainingLoop": "training_loop",
    "evaluate_pretraining": "pretraining_metrics",
    "fine_tune": "finetuning",
    "parse_pretraining_arguments": "arguments",
    "parse_task_arguments": "task_arguments",
    "pretrain": "pretraining",
    "read_log": "training_log",
    "train_step": "training_loop",
}

__all__ = [
    "DataArguments",
    "ModelArguments",
    "RunArguments",
    "TrainingArguments",
    "TrainingLoop",
    "evaluate_pretraining",
    "fine_tune",
    "parse_pretraining_arguments",
    "parse_task_arguments",
    "pretrain",
    "read_log",
    "train_step",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
