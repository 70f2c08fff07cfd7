"""A run that trains one model for several tasks, from the arguments to the saved model and its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import set_seed
from transformers import PreTrainedModel

from configuration_vl.configuration_vision_language import VisionLanguageConfig
from modeling_vl.auto_vl import AutoModelForMultiTask
from processing_vl.processing_regions import RegionTextProcessor

from .arguments import ModelArguments, RunArguments
from .checkpointing import find_checkpoint
from .distributed import training_accelerator
from .finetuning import validation_batches, write_predictions
from .model_setup import load_config, load_processor, starting_model
from .multi_task_arguments import MultiTaskRunArguments, head_name, of_one_task
from .multi_task_loop import MultiTaskLoop, OneTask, Round, Turn
from .run_checks import check_multi_task
from .stop_and_go import StopAndGo
from .task_arguments import TaskRunArguments
from .task_evaluation import evaluate_task
from .task_setup import OpenedTask, TaskParts, check_labels, check_splits, open_task
from .tiny_task import shrink_multi_task
from .training_loop import divide_batch


@dataclass(frozen=True)
class MultiTaskParts:
    """What a run of several tasks is made of, but for the model.

    Attributes:
        config: Of the model.
        processor: Encodes texts and regions of all tasks.
        tasks: The tasks by the names of their heads.
        arguments: The arguments of each, as of a run of that task alone.
    """

    config: VisionLanguageConfig
    processor: RegionTextProcessor
    tasks: dict[str, TaskParts]
    arguments: dict[str, TaskRunArguments]


def train_multi_task(arguments: MultiTaskRunArguments) -> None:
    """Train, save the model of the last iteration and write its predictions for every validation split.

    Args:
        arguments: Of the run.

    Raises:
        FileNotFoundError: Naming all files and folders that are missing.
        ValueError: If arguments, model and data do not fit each other.
        FloatingPointError: If the loss is no longer finite.
    """
    check_multi_task(arguments)
    if arguments.training.tiny:
        arguments = shrink_multi_task(arguments)
    training = arguments.training
    accelerator = training_accelerator(
        training,
        find_unused_parameters=True,  # a step trains one head of many
    )
    checkpoint = find_checkpoint(Path(training.output_dir), training.resume_from_checkpoint)
    parts = set_up_multi_task(arguments)
    model = starting_model(arguments, parts.config, AutoModelForMultiTask, checkpoint)
    # Every process drops out other units; a resumed run restores these states.
    set_seed(training.seed, device_specific=True)
    multi_task_loop(arguments, parts, model, accelerator, checkpoint).run()
    for name, of_task in parts.tasks.items():
        if of_task.validation is not None:
            write_predictions(parts.arguments[name], of_task, OneTask(model, name), accelerator, prefix=f"{name}_")
    accelerator.end_training()


def set_up_multi_task(arguments: MultiTaskRunArguments) -> MultiTaskParts:
    """Open the data of all tasks, and make a config, a processor and collators that fit them.

    Args:
        arguments: Of the run.

    Returns:
        The parts.

    Raises:
        FileNotFoundError: If a task names no prepared folder.
        ValueError: If something is missing or does not fit together.
    """
    data, opened = {}, {}
    for name in arguments.data.tasks:
        data[head_name(name)] = arguments.data.of_task(name)
        opened[head_name(name)] = open_task(data[head_name(name)])
    config = multi_task_config(arguments.model, opened, arguments.data.shared_heads())
    processor = load_processor(arguments.model, config)
    tasks, of_tasks = {}, {}
    for (name, task), entry in zip(opened.items(), arguments.data.tasks.values(), strict=True):
        check_splits(task, config)
        own_config = config.for_task(name)
        check_labels(own_config, task.task, task.labels, f"the head of {name}")
        length = data[name].max_text_length or task.task.max_text_length
        collator = task.task.how.make_collator(processor, own_config, max_text_length=length)
        tasks[name] = TaskParts(data[name], task.task, own_config, processor, collator, task.training, task.validation)
        training = of_one_task(arguments.training, entry)
        of_tasks[name] = RunArguments(arguments.model, data[name], training)
    return MultiTaskParts(config, processor, tasks, of_tasks)


def multi_task_config(
    model: ModelArguments, opened: dict[str, OpenedTask], shared: dict[str, str]
) -> VisionLanguageConfig:
    """The config of a model with a head for every task.

    Args:
        model: Which model.
        opened: The data of the tasks by the names of their heads.
        shared: The task whose head a task shares, where it has none of its own.

    Returns:
        The config.

    Raises:
        ValueError: If tasks cannot share a head, or one is to be answered at a mask: one processor serves all tasks.
    """
    heads: dict[str, dict[str, Any]] = {}
    for number, (name, task) in enumerate(opened.items()):
        heads[name] = {"kind": task.task.kind, "task_id": number}
        if name in shared:
            owner = opened.get(shared[name], task)  # that there is none, or of another kind, the config says
            fields = [dict(each.task.config_fields) for each in (task, owner)]
            if owner.task.kind == task.task.kind and fields[0] != fields[1]:
                raise ValueError(
                    f"{name} cannot share the head of {shared[name]}: their models have the fields {fields[0]} and "
                    f"{fields[1]}"
                )
            heads[name]["head"] = shared[name]
            continue
        heads[name] |= task.task.config_fields
        if task.task.how.has_classes:
            heads[name]["id2label"] = {str(number): label for number, label in enumerate(task.labels)}
    config = load_config(model, multi_task_heads=heads)
    if config.answer_position == "mask" and any(task.task.kind == "question_answering" for task in opened.values()):
        raise ValueError(
            "answer_position 'mask' wants a [MASK] behind the texts of questions alone, but one processor serves all "
            'tasks: set config_overrides to {"answer_position": "pooled"}'
        )
    return config


def multi_task_loop(
    arguments: MultiTaskRunArguments,
    parts: MultiTaskParts,
    model: PreTrainedModel,
    accelerator: Accelerator,
    checkpoint: Path | None = None,
) -> MultiTaskLoop:
    """The loop of a run of several tasks.

    Args:
        arguments: Of the run.
        parts: Of the run.
        model: With a head for every task; with `checkpoint`, loaded from it.
        accelerator: The processes.
        checkpoint: Where to continue, None for the beginning.

    Returns:
        The loop, ready to run.
    """
    training = arguments.training
    scales = arguments.data.loss_scales()
    turns = {name: _turn(parts.tasks[name], parts.arguments[name], accelerator, scales[name]) for name in parts.tasks}
    batches = {
        name: validation_batches(parts.arguments[name], of_task, accelerator)
        for name, of_task in parts.tasks.items()
        if of_task.validation is not None
    }

    def evaluate() -> dict[str, float]:
        scores = {}
        for name in loop.tasks_to_evaluate():
            of_task = parts.tasks[name]
            split = of_task.validation
            measured = evaluate_task(
                OneTask(model, name), of_task.task, split.table, batches[name], accelerator, split.proposals
            )
            turns[name].stop_and_go.see(measured[of_task.task.metric])
            scores |= {f"{name}/{key}": value for key, value in measured.items()}
            scores[f"{name}/is_going"] = float(turns[name].is_going)
        return scores

    loop = MultiTaskLoop(
        f"training for {len(turns)} tasks",
        training,
        arguments.to_dict(),
        model,
        parts.processor,
        Round(turns, training.iteration_gap, training.batch_size),
        accelerator,
        evaluate=evaluate if batches else None,
        checkpoint=checkpoint,
    )
    return loop


def _turn(parts: TaskParts, arguments: TaskRunArguments, accelerator: Accelerator, loss_scale: float) -> Turn:
    training = arguments.training
    sizes = divide_batch(training, accelerator.num_processes)
    data = parts.training_data(
        batch_size=sizes.micro_batch,
        seed=training.seed,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    judge = StopAndGo(training.stop_patience, training.stop_threshold, training.go_threshold)
    return Turn(data, sizes, training.batch_size, judge if parts.validation is not None else None, loss_scale)
