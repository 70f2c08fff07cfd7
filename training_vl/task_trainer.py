"""The same tasks through transformers' Trainer."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel

from processing_vl.task_collators import TaskCollator, without_bookkeeping
from processing_vl.task_example import TaskExample

from .finetuning import check_output_dir, write_predictions
from .model_setup import starting_model
from .ordered_trainer import NumberedExamples, OrderedTrainer, find_trainer_checkpoint
from .task_arguments import TaskRunArguments
from .task_evaluation import evaluate_task
from .task_setup import TaskParts, TaskSplit, set_up_task
from .tiny_task import shrink_task
from .training_loop import Batch


class ModelInputsOf:
    """A collator whose batches hold what the model reads and nothing else, as the Trainer wants them.

    Args:
        collator: Of the task.
    """

    def __init__(self, collator: TaskCollator) -> None:
        self._collator = collator

    def __call__(self, examples: list[TaskExample]) -> Batch:
        """The batch of `examples`."""
        return without_bookkeeping(self._collator(examples))


class TaskTrainer(OrderedTrainer):
    """A Trainer for one task, which with one process gives exactly the losses of `finetuning.fine_tune`.

    Args:
        arguments: Of the run.
        parts: Of the run.
        model: For the task; what the run starts from. By default as `arguments` say.
        **options: Of the Trainer.

    Raises:
        ValueError: If the images are read as a stream, or the Trainer refuses its arguments.
    """

    def __init__(
        self, arguments: TaskRunArguments, parts: TaskParts, model: PreTrainedModel | None = None, **options: Any
    ) -> None:
        self.parts = parts
        evaluates = parts.validation is not None
        super().__init__(
            arguments,
            lambda: model or starting_model(arguments, parts.config, parts.task.how.auto_class),
            parts.processor,
            NumberedExamples(parts.training.regions, parts.training.examples),
            ModelInputsOf(parts.collator),
            evaluates=evaluates,
            metric=parts.task.metric if evaluates else None,
            **options,
        )

    def measure(self, split: TaskSplit | None = None) -> dict[str, float]:
        """See `OrderedTrainer.measure`."""
        split = split or self.parts.validation
        batches = split.batches(
            self.parts.collator,
            batch_size=self.args.eval_batch_size,
            rank=self.args.process_index,
            world_size=self.args.world_size,
            num_workers=self.args.dataloader_num_workers,
        )
        return evaluate_task(self.model, self.parts.task, split.table, batches, self.accelerator, split.proposals)


def train_with_trainer(arguments: TaskRunArguments) -> TaskTrainer:
    """Train, save the best model, and write its predictions for the validation split.

    Args:
        arguments: Of the run.

    Returns:
        The Trainer, with the best model.

    Raises:
        FileNotFoundError: Naming all files and folders that are missing.
        ValueError: If arguments, model and data do not fit each other, or `output_dir` holds another run.
    """
    arguments = check_output_dir(arguments, shrink_task)
    checkpoint = find_trainer_checkpoint(arguments.training)
    parts = set_up_task(arguments.model, arguments.data)
    trainer = TaskTrainer(arguments, parts)
    trainer.run(arguments, checkpoint)
    if parts.validation is not None:
        write_predictions(arguments, parts, trainer.model, trainer.accelerator)
    return trainer
