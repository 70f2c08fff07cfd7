"""A run that trains one model for several tasks, from the arguments to the saved model and its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import Accelerator
from accelerate.utils import set_seed
from transformers import PreTrainedModel

from configuration_vl.configuration_vision_language import VisionLanguageConfig
from modeling_vl.auto_vl import AutoModelForMultiTask
from processing_vl.processing_regions import RegionTextProcessor

from .arguments import ModelArguments, RunArguments
from .checkpointing import find_checkpoint
from .distributed import training_accelerator
from .model_setup import load_config, load_processor, starting_model
from .multi_task_arguments import MultiTaskRunArguments, head_name, of_one_task
from .multi_task_loop import MultiTaskLoop, Round, Turn
from .retrieval_training import open_retrieval
from .run_checks import check_multi_task
from .stop_and_go import StopAndGo
from .task_arguments import TaskDataArguments
from .task_setup import OpenedTask, TaskParts, check_labels, check_splits, open_task
from .tasks_of_run import CaptionTask, PreparedTask, TaskOfRun
from .tiny_task import shrink_multi_task
from .training_loop import divide_batch


@dataclass(frozen=True)
class MultiTaskParts:
    """What a run of several tasks is made of, but for the model.

    Attributes:
        config: Of the model.
        processor: Encodes texts and regions of all tasks.
        tasks: The tasks by the names of their heads.
    """

    config: VisionLanguageConfig
    processor: RegionTextProcessor
    tasks: dict[str, TaskOfRun]


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
    for of_task in parts.tasks.values():
        if of_task.is_evaluated:
            of_task.write_predictions(model, accelerator)
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
    data = {head_name(name): arguments.data.of_task(name) for name in arguments.data.tasks}
    opened = {name: open_task(of_task) for name, of_task in data.items() if isinstance(of_task, TaskDataArguments)}
    heads = {name: WantedHead.of(opened[name]) if name in opened else RETRIEVAL_HEAD for name in data}
    config = multi_task_config(arguments.model, heads, arguments.data.shared_heads())
    processor = load_processor(arguments.model, config)
    tasks: dict[str, TaskOfRun] = {}
    for (name, of_task), entry in zip(data.items(), arguments.data.tasks.values(), strict=True):
        own_config = config.for_task(name)
        training = of_one_task(arguments.training, entry)
        if name in opened:
            parts = _prepared_parts(name, opened[name], own_config, processor, of_task)
            tasks[name] = PreparedTask(name, parts, RunArguments(arguments.model, of_task, training))
        else:
            tasks[name] = CaptionTask(name, open_retrieval(of_task, own_config, processor), training)
    return MultiTaskParts(config, processor, tasks)


def _prepared_parts(
    name: str,
    opened: OpenedTask,
    config: VisionLanguageConfig,
    processor: RegionTextProcessor,
    data: TaskDataArguments,
) -> TaskParts:
    task = opened.task
    check_splits(opened, config)
    check_labels(config, task, opened.labels, f"the head of {name}")
    collator = task.how.make_collator(processor, config, max_text_length=data.max_text_length or task.max_text_length)
    return TaskParts(data, task, config, processor, collator, opened.training, opened.validation)


class WantedHead(NamedTuple):
    """What the data of a task ask of its head.

    Attributes:
        kind: Of the task, one of `configuration_vl.configuration_task_heads.TASK_KINDS`.
        fields: Fields of the config that it needs.
        labels: Names of the classes in the order of their numbers, where it has classes.
    """

    kind: str
    fields: dict[str, Any]
    labels: list[str] | None

    @classmethod
    def of(cls, opened: OpenedTask) -> WantedHead:
        """That of a task with a prepared folder, which was `opened`."""
        task = opened.task
        return cls(task.kind, dict(task.config_fields), opened.labels if task.how.has_classes else None)


RETRIEVAL_HEAD = WantedHead("retrieval", {}, None)


def multi_task_config(
    model: ModelArguments, wanted: dict[str, WantedHead], shared: dict[str, str]
) -> VisionLanguageConfig:
    """The config of a model with a head for every task.

    Args:
        model: Which model.
        wanted: What the tasks ask of their heads, by the names of these.
        shared: The task whose head a task shares, where it has none of its own.

    Returns:
        The config.

    Raises:
        ValueError: If tasks cannot share a head, or one is to be answered at a mask: one processor serves all tasks.
    """
    heads: dict[str, dict[str, Any]] = {}
    for number, (name, head) in enumerate(wanted.items()):
        heads[name] = {"kind": head.kind, "task_id": number}
        if name in shared:
            owner = wanted.get(shared[name], head)  # that there is none, or of another kind, the config says
            if owner.kind == head.kind and owner.fields != head.fields:
                raise ValueError(
                    f"{name} cannot share the head of {shared[name]}: their models have the fields {head.fields} and "
                    f"{owner.fields}"
                )
            heads[name]["head"] = shared[name]
            continue
        heads[name] |= head.fields
        if head.labels is not None:
            heads[name]["id2label"] = {str(number): label for number, label in enumerate(head.labels)}
    config = load_config(model, multi_task_heads=heads)
    if config.answer_position == "mask" and any(head.kind == "question_answering" for head in wanted.values()):
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
    turns = {name: _turn(of_task, accelerator, scales[name]) for name, of_task in parts.tasks.items()}
    evaluated = any(of_task.is_evaluated for of_task in parts.tasks.values())

    def evaluate() -> dict[str, float]:
        scores = {}
        for name in loop.tasks_to_evaluate():
            of_task = parts.tasks[name]
            measured = of_task.measure(model, accelerator)
            turns[name].stop_and_go.see(measured[of_task.metric])
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
        evaluate=evaluate if evaluated else None,
        checkpoint=checkpoint,
    )
    return loop


def _turn(of_task: TaskOfRun, accelerator: Accelerator, loss_scale: float) -> Turn:
    training = of_task.training
    sizes = divide_batch(training, accelerator.num_processes)
    data = of_task.parts.training_data(
        batch_size=sizes.micro_batch,
        seed=training.seed,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    judge = StopAndGo(training.stop_patience, training.stop_threshold, training.go_threshold)
    judge = judge if of_task.is_evaluated else None
    return Turn(data, sizes, training.batch_size, judge, loss_scale, of_task.loss_arguments)
