"""Arguments of a fine-tuning run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .arguments import ModelArguments, RegionArguments, RunArguments, TrainingArguments
from .recipes import described, parse_groups


@dataclass
@described
class TaskDataArguments(RegionArguments):
    """Which task, and on what.

    Args:
        task: Name of the task: "vqa", "gqa", "vcr_qa", "vcr_qar", "nlvr2", "snli_ve", "nlvr1", "refcoco", "refcoco+",
            "refcocog" or "flickr30k_entities".
        data: Folder written by examples/prepare_task.py.
        train_split: Split to train on, or several as "train+val".
        val_split: Split to evaluate on. By default "val" or "dev", where the folder has one that is not trained on;
            without any there is no evaluation.
        max_text_length: Word pieces a text (with its second text) keeps, special tokens included. By default enough
            for nearly all texts of the task.
        task_token: Row of the task token table, for a ViLBERT with `num_task_tokens`.
        answer_separator: What stands between question and answer in front of VCR's rationales: nothing (uclanlp), or
            "[SEP]" (vilbert_beta, vilbert-multi-task).
    """

    task: str | None = None
    data: str | None = None
    train_split: str = "train"
    val_split: str | None = None
    max_text_length: int | None = None
    task_token: int | None = None
    answer_separator: str = ""


@dataclass
@described
class FineTuningArguments(TrainingArguments):
    """How fine-tuning goes on.

    Args:
        batch_size: Examples an optimizer step, of all processes and micro-batches together.
        micro_batch_size: Examples a forward pass of one process. By default all of a process's share of `batch_size`;
            less saves memory. The loss is the mean of the micro-batches' losses.
        learning_rate: Highest learning rate.
        eval_steps: Steps between two evaluations. By default once an epoch.
        save_steps: Steps between two checkpoints. By default with every evaluation, or once an epoch.
        save_total_limit: Checkpoints to keep, the newest ones. The best model is kept besides, in `best`.
        early_stopping_patience: Evaluations in a row without a better score of the task after which the run stops. By
            default it goes on to its end.
    """

    batch_size: int = 64
    micro_batch_size: int | None = None
    learning_rate: float = 2e-5
    eval_steps: int | None = None
    save_steps: int | None = None
    save_total_limit: int | None = 1
    early_stopping_patience: int | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        super().__post_init__()
        if self.early_stopping_patience is not None and self.early_stopping_patience < 1:
            raise ValueError(f"early_stopping_patience must be at least 1, got {self.early_stopping_patience}")


TaskRunArguments = RunArguments[TaskDataArguments]


def parse_task_arguments(arguments: Sequence[str], *, description: str | None = None) -> TaskRunArguments:
    """Read the command line of a fine-tuning run, see `recipes.parse_groups`.

    Args:
        arguments: The words of the command line, without the program.
        description: Text above the list of arguments in the help.

    Returns:
        The arguments.
    """
    return RunArguments(
        *parse_groups((ModelArguments, TaskDataArguments, FineTuningArguments), arguments, description=description)
    )
