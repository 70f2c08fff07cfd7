"""How training goes on: arguments, optimizer groups, the loop, exact checkpoints and resume, evaluation."""

from .arguments import (
    DataArguments,
    ModelArguments,
    PreTrainingArguments,
    TrainingArguments,
    parse_pretraining_arguments,
)
from .pretraining_loop import PreTraining, train_step
from .pretraining_metrics import evaluate_pretraining
from .training_log import read_log

__all__ = [
    "DataArguments",
    "ModelArguments",
    "PreTraining",
    "PreTrainingArguments",
    "TrainingArguments",
    "evaluate_pretraining",
    "parse_pretraining_arguments",
    "read_log",
    "train_step",
]
