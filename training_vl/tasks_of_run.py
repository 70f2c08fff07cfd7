"""A task among several that one model is trained for: how it is measured, and what is written of it in the end."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from transformers import PreTrainedModel

from .finetuning import validation_batches, write_predictions
from .multi_task_arguments import MultiTaskTrainingArguments
from .multi_task_loop import OneTask
from .retrieval_report import write_rankings
from .retrieval_scoring import score_in_memory
from .retrieval_training import RetrievalParts, recalls
from .task_arguments import TaskRunArguments
from .task_evaluation import evaluate_task
from .task_setup import TaskParts

logger = logging.getLogger(__name__)


class TaskOfRun(ABC):
    """One of the tasks of a run.

    Args:
        name: Of its head.
        parts: Its data, and what makes batches of them.
        training: How it is trained.
    """

    def __init__(self, name: str, parts: TaskParts | RetrievalParts, training: MultiTaskTrainingArguments) -> None:
        self.name = name
        self.parts = parts
        self.training = training

    @property
    @abstractmethod
    def metric(self) -> str:
        """The score that tells whether it gets better."""

    @property
    def is_evaluated(self) -> bool:
        """Whether it has something to be measured on."""
        return self.parts.validation is not None

    @property
    def loss_arguments(self) -> dict[str, Any]:
        """What the model is told besides a batch to compute its loss."""
        return {}

    @abstractmethod
    def measure(self, model: PreTrainedModel, accelerator: Accelerator) -> dict[str, float]:
        """The scores on its validation split.

        Args:
            model: For all tasks, not wrapped.
            accelerator: The processes; all call it together.

        Returns:
            The scores by name, the same in all processes.
        """

    @abstractmethod
    def write_predictions(self, model: PreTrainedModel, accelerator: Accelerator) -> None:
        """Write what the model says of the validation split into `output_dir`.

        Args:
            model: As for `measure`.
            accelerator: The same.
        """


class PreparedTask(TaskOfRun):
    """A task with a prepared folder.

    Args:
        name: Of its head.
        parts: Its data, and what makes batches of them.
        arguments: As of a run of this task alone.
    """

    parts: TaskParts

    def __init__(self, name: str, parts: TaskParts, arguments: TaskRunArguments) -> None:
        super().__init__(name, parts, arguments.training)
        self.arguments = arguments

    @property
    def metric(self) -> str:
        """That of the task."""
        return self.parts.task.metric

    def measure(self, model: PreTrainedModel, accelerator: Accelerator) -> dict[str, float]:
        """See `TaskOfRun.measure`: `model` and `accelerator` are those there."""
        split = self.parts.validation
        batches = validation_batches(self.arguments, self.parts, accelerator)
        return evaluate_task(
            OneTask(model, self.name), self.parts.task, split.table, batches, accelerator, split.proposals
        )

    def write_predictions(self, model: PreTrainedModel, accelerator: Accelerator) -> None:
        """See `TaskOfRun.write_predictions`: in the benchmark's format; `model` and `accelerator` are those there."""
        of_task = OneTask(model, self.name)
        write_predictions(self.arguments, self.parts, of_task, accelerator, prefix=f"{self.name}_")


class CaptionTask(TaskOfRun):
    """Retrieval of images by their captions; `parts` are `RetrievalParts`."""

    parts: RetrievalParts

    @property
    def metric(self) -> str:
        """Share of the captions whose image is ranked first, as the benchmark's tables have it."""
        return "text_to_image_recall_at_1"

    @property
    def loss_arguments(self) -> dict[str, Any]:
        """As in a run of retrieval alone."""
        return self.parts.loss_arguments

    def measure(self, model: PreTrainedModel, accelerator: Accelerator) -> dict[str, float]:
        """See `TaskOfRun.measure`: recalls, and their sum; `model` and `accelerator` are those there."""
        return recalls(self._scores(model, accelerator), self.parts.validation)

    def write_predictions(self, model: PreTrainedModel, accelerator: Accelerator) -> None:
        """See `TaskOfRun.write_predictions`: the best images; `model` and `accelerator` are those there."""
        scores = self._scores(model, accelerator)
        split = self.parts.arguments.val_split or "val"
        path = Path(self.training.output_dir) / f"predictions_{self.name}_{split}.jsonl"
        if accelerator.is_main_process:
            write_rankings(path, scores, self.parts.validation)
            logger.info("the best images for the captions of %s are in %s", self.name, path)

    def _scores(self, model: PreTrainedModel, accelerator: Accelerator) -> np.ndarray:
        return score_in_memory(self.parts.scorer(model, task=self.name), accelerator)
