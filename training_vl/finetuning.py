"""A fine-tuning run, from the arguments to the best model and its predictions."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from accelerate import Accelerator
from accelerate.utils import set_seed
from transformers import PreTrainedModel

from .arguments import RunArguments
from .best_model import BestModel
from .checkpointing import find_checkpoint
from .distributed import training_accelerator
from .model_setup import starting_model
from .run_checks import check_run
from .task_arguments import FineTuningArguments, TaskRunArguments
from .task_evaluation import evaluate_task, predict_split
from .task_setup import TaskParts, set_up_task
from .tasks import predictions_file
from .tiny_task import shrink_task
from .training_loop import Batch, TrainingLoop, count_steps, divide_batch

logger = logging.getLogger(__name__)

Run = TypeVar("Run", bound=RunArguments[Any])


def fine_tune(arguments: TaskRunArguments) -> Path | None:
    """Fine-tune a model, evaluate it as it goes, save the best one and write its predictions.

    Args:
        arguments: Of the run.

    Returns:
        The file of the predictions; None without a validation split.

    Raises:
        ValueError: If arguments, model and data do not fit each other.
        FloatingPointError: If the loss is no longer finite.
    """
    arguments = check_output_dir(arguments, shrink_task)
    training = arguments.training
    accelerator = training_accelerator(
        training,
        find_unused_parameters=True,  # which parameters a head leaves out depends on the task
    )
    checkpoint = find_checkpoint(Path(training.output_dir), training.resume_from_checkpoint)
    parts = set_up_task(arguments.model, arguments.data)
    model = starting_model(arguments, parts.config, parts.task.how.auto_class, checkpoint)
    # Every process drops out other units; a resumed run restores these states.
    set_seed(training.seed, device_specific=True)
    loop = finetuning_loop(arguments, parts, model, accelerator, checkpoint)
    loop.run()
    predictions = write_predictions(arguments, parts, model, accelerator) if parts.validation else None
    accelerator.end_training()
    return predictions


def check_output_dir(arguments: Run, shrink: Callable[[Run], Run]) -> Run:
    """Ask for a place for the model and for the files it names, and make the run tiny if that is wanted.

    Args:
        arguments: As they came.
        shrink: Makes it tiny.

    Returns:
        Those to run with.

    Raises:
        ValueError: If there is no `output_dir`.
        FileNotFoundError: Naming all files and folders that are missing.
    """
    check_run(arguments)
    return shrink(arguments) if arguments.training.tiny else arguments


def finetuning_loop(
    arguments: TaskRunArguments,
    parts: TaskParts,
    model: PreTrainedModel,
    accelerator: Accelerator,
    checkpoint: Path | None = None,
) -> TrainingLoop:
    """The loop of a fine-tuning run.

    Args:
        arguments: Of the run.
        parts: Of the run.
        model: For the task; with `checkpoint`, loaded from it.
        accelerator: The processes.
        checkpoint: Where to continue, None for the beginning.

    Returns:
        The loop, ready to run.
    """
    place = {"rank": accelerator.process_index, "world_size": accelerator.num_processes}
    micro_batch = divide_batch(arguments.training, accelerator.num_processes).micro_batch
    data = parts.training_data(batch_size=micro_batch, seed=arguments.training.seed, **place)
    training = with_epochs(arguments.training, data.examples_per_epoch)
    evaluate, best = None, None
    if parts.validation is not None:
        batches = validation_batches(arguments, parts, accelerator)
        table, proposals = parts.validation.table, parts.validation.proposals
        best = BestModel(Path(training.output_dir), parts.task.metric, training.early_stopping_patience)

        def evaluate() -> dict[str, float]:
            return evaluate_task(model, parts.task, table, batches, accelerator, proposals)

    return TrainingLoop(
        f"fine-tuning {parts.task.name}",
        training,
        arguments.to_dict(),
        model,
        parts.processor,
        data,
        accelerator,
        evaluate=evaluate,
        best=best,
        checkpoint=checkpoint,
    )


def validation_batches(arguments: TaskRunArguments, parts: TaskParts, accelerator: Accelerator) -> Iterable[Batch]:
    """This process's share of the validation split.

    Args:
        arguments: Of the run.
        parts: Of the run, with a validation split.
        accelerator: The processes.

    Returns:
        The batches.
    """
    micro_batch = divide_batch(arguments.training, accelerator.num_processes).micro_batch
    return parts.validation.batches(
        parts.collator,
        batch_size=arguments.training.eval_batch_size or micro_batch,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
        num_workers=arguments.data.num_workers,
    )


def with_epochs(training: FineTuningArguments, examples_per_epoch: int) -> FineTuningArguments:
    """The arguments with evaluations and checkpoints once an epoch, where nothing else is said.

    Args:
        training: The arguments.
        examples_per_epoch: Examples in one pass over the data.

    Returns:
        Arguments with `eval_steps` and `save_steps`.
    """
    epoch = min(math.ceil(examples_per_epoch / training.batch_size), count_steps(training, examples_per_epoch))
    eval_steps = training.eval_steps or epoch
    return replace(training, eval_steps=eval_steps, save_steps=training.save_steps or eval_steps)


def write_predictions(
    arguments: TaskRunArguments,
    parts: TaskParts,
    model: PreTrainedModel,
    accelerator: Accelerator,
    *,
    prefix: str = "",
) -> Path:
    """Write the predictions for the validation split into `output_dir`, in the benchmark's format.

    Args:
        arguments: Of the run.
        parts: Of the run, with a validation split.
        model: The best one, or a `OneTask` of a multi-task model.
        accelerator: The processes; all call it together.
        prefix: What the split is called by besides its name.

    Returns:
        The file.
    """
    split = parts.validation
    batches = validation_batches(arguments, parts, accelerator)
    predictions, _ = predict_split(model, parts.task, batches, accelerator)
    path = predictions_file(Path(arguments.training.output_dir), parts.task, f"{prefix}{split.name}")
    if accelerator.is_main_process:
        parts.task.write(path, split.table, predictions)
        logger.info("predictions for %s are in %s", f"{prefix}{split.name}", path)
    return path
