"""From arguments to a task's data, config, processor and collator."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from configuration_vl.configuration_vision_language import VisionLanguageConfig
from datasets_vl.evaluation import evaluation_batches
from datasets_vl.local import LocalRegions
from datasets_vl.shard_folder import ShardFolder
from datasets_vl.tasks.examples import TaskExamples
from datasets_vl.tasks.proposals import verified_proposals
from datasets_vl.tasks.table import TaskTable, read_task_description, read_task_table
from datasets_vl.training_data import TrainingData
from processing_vl.processing_regions import RegionTextProcessor
from processing_vl.task_collators import TaskCollator

from .arguments import ModelArguments
from .data_setup import check_feature_dim, make_training_data, open_regions
from .model_setup import load_config, load_processor
from .retrieval_arguments import TASK as RETRIEVAL
from .task_arguments import TaskDataArguments
from .task_scores import is_labelled
from .tasks import TASKS, TaskDefinition
from .training_loop import Batch

logger = logging.getLogger(__name__)

VALIDATION_SPLITS = ("val", "dev")


@dataclass(frozen=True)
class TaskSplit:
    """One split, ready to be read.

    Attributes:
        name: Of the split.
        source: Where the images lie.
        regions: The images.
        examples: Makes its examples.
        verified: Detector whose boxes the regions were found to be when the split was prepared, None if nobody looked.
    """

    name: str
    source: str
    regions: LocalRegions | ShardFolder
    examples: TaskExamples
    verified: str | None = None

    @property
    def table(self) -> TaskTable:
        """The records."""
        return self.examples.table

    @property
    def proposals(self) -> str:
        """Where the boxes come from: what was verified, or detector and choice of boxes as the features name them."""
        if self.verified:
            return self.verified
        metadata = self.regions.metadata
        known = [text for text in (metadata.detector, metadata.box_policy) if text]
        return ", ".join(known) or self.source

    def batches(
        self, collator: TaskCollator, *, batch_size: int, rank: int = 0, world_size: int = 1, num_workers: int = 0
    ) -> Iterable[Batch]:
        """One process's share of the split, every example once.

        Args:
            collator: Makes batches.
            batch_size: Examples a batch.
            rank: Number of this process.
            world_size: Number of processes.
            num_workers: Worker processes that prepare batches.

        Returns:
            The batches.
        """
        return evaluation_batches(
            self.regions,
            self.examples,
            collator,
            batch_size=batch_size,
            rank=rank,
            world_size=world_size,
            num_workers=num_workers,
        )


@dataclass(frozen=True)
class OpenedTask:
    """The data of a task.

    Attributes:
        task: The task.
        labels: Classes or answers in the order of their numbers, or None.
        training: The split to train on.
        validation: The split to evaluate on, or None.
    """

    task: TaskDefinition
    labels: list[str] | None
    training: TaskSplit
    validation: TaskSplit | None


@dataclass(frozen=True)
class TaskParts:
    """What a run of a task is made of, but for the model.

    Attributes:
        arguments: The data arguments.
        task: The task.
        config: Of the model.
        processor: Encodes texts and regions.
        collator: Makes batches.
        training: The split to train on.
        validation: The split to evaluate on, or None.
    """

    arguments: TaskDataArguments
    task: TaskDefinition
    config: VisionLanguageConfig
    processor: RegionTextProcessor
    collator: TaskCollator
    training: TaskSplit
    validation: TaskSplit | None

    def training_data(self, *, batch_size: int, seed: int, rank: int, world_size: int) -> TrainingData:
        """Endless batches of one process.

        Args:
            batch_size: Examples a batch of this process.
            seed: Of the order.
            rank: Number of this process.
            world_size: Number of processes.

        Returns:
            The data.
        """
        return make_training_data(
            self.arguments,
            self.training.regions,
            self.training.examples,
            self.collator,
            batch_size=batch_size,
            seed=seed,
            rank=rank,
            world_size=world_size,
        )


def find_task(name: str | None, answer_separator: str = "") -> TaskDefinition:
    """The task of a run.

    Args:
        name: Its name.
        answer_separator: What stands between question and answer in front of VCR's rationales.

    Returns:
        The task.

    Raises:
        ValueError: If there is none, or it has no answers in front of rationales.
    """
    if name == RETRIEVAL:
        raise ValueError(
            "retrieval has no prepared folder: examples/run_retrieval.py ranks the images of its captions"
        )
    if name not in TASKS:
        raise ValueError(f"which task? Give task: one of {', '.join(TASKS)}, got {name!r}")
    task = TASKS[name]
    if not answer_separator:
        return task
    if task.example_options.get("choose") != "rationale":
        raise ValueError(f"answer_separator {answer_separator!r} belongs to vcr_qar, not to {name}: leave it out")
    return replace(task, example_options={**task.example_options, "separator": answer_separator})


def set_up_task(model: ModelArguments, data: TaskDataArguments) -> TaskParts:
    """Open the data of a run, and make a config, a processor and a collator that fit them.

    Args:
        model: Which model.
        data: Which task on what.

    Returns:
        The parts.

    Raises:
        FileNotFoundError: If `data` names no prepared folder.
        ValueError: If something is missing or does not fit together.
    """
    opened = open_task(data)
    config = task_config(model, opened.task, opened.labels)
    check_splits(opened, config)
    answers_at_mask = opened.task.kind == "question_answering" and config.answer_position == "mask"
    processor = load_processor(model, config, append_mask=answers_at_mask)
    collator = make_collator(opened.task, processor, config, data)
    return TaskParts(data, opened.task, config, processor, collator, opened.training, opened.validation)


def open_task(data: TaskDataArguments) -> OpenedTask:
    """Open the data of a task.

    Args:
        data: Which task on what.

    Returns:
        The splits, and the names of the classes.

    Raises:
        FileNotFoundError: If `data` names no prepared folder.
        ValueError: If something is missing or does not fit together.
    """
    task = find_task(data.task, data.answer_separator)
    if data.data is None:
        raise ValueError("which annotations? Give data: a folder written by examples/prepare_task.py")
    description = read_task_description(data.data)
    check_benchmark(task, description, data.data)
    training = open_split(data, task, data.train_split, data.regions, **task.training_options)
    if not is_labelled(training.table):
        raise ValueError(f"the records of {data.train_split} do not say what is right: a test split trains nothing")
    validation = None
    val_split = data.val_split or _default_validation(description, data.train_split)
    if val_split is not None:
        validation = open_split(data, task, val_split, data.val_regions or data.regions)
        if not is_labelled(validation.table):
            raise ValueError(
                f"the records of {val_split} do not say what is right: evaluate on another val_split, and predict "
                "this one with examples/run_evaluation.py"
            )
    else:
        logger.warning(
            "%s has no split to evaluate %s on, and no val_split is given: no score is measured, nothing stops the run"
            " early, and the last model is the one that is kept",
            *(data.data, task.name),
        )
    return OpenedTask(task, description["labels"], training, validation)


def check_splits(opened: OpenedTask, config: VisionLanguageConfig) -> None:
    """Refuse images that the model cannot read.

    Args:
        opened: The data of a task.
        config: Of the model.

    Raises:
        ValueError: Naming both numbers.
    """
    for split in (opened.training, opened.validation):
        if split is not None:
            check_feature_dim(split.regions.metadata, config, split.source)


def check_benchmark(task: TaskDefinition, description: dict[str, Any], folder: str) -> None:
    """Refuse prepared data of another benchmark.

    Args:
        task: What is to be done.
        description: What the folder says of itself.
        folder: Its name, for the error.

    Raises:
        ValueError: If it holds another benchmark.
    """
    if description["task"] != task.benchmark:
        raise ValueError(f"{folder} holds {description['task']}, the task {task.name} needs {task.benchmark}")


def check_labels(config: VisionLanguageConfig, task: TaskDefinition, labels: list[str] | None, model: str) -> None:
    """Refuse a model that knows other classes than the prepared data.

    Args:
        config: Of the model.
        task: What is to be done.
        labels: Of the data.
        model: Its name, for the error.

    Raises:
        ValueError: If the names of the classes, or their order, differ.
    """
    known = [config.id2label[number] for number in range(config.num_labels)]
    if task.how.has_classes and known != labels:
        raise ValueError(
            f"{model} knows {len(known)} classes, {', '.join(map(repr, known[:3]))}, ..., the data "
            f"{len(labels or ())}, {', '.join(map(repr, (labels or ())[:3]))}, ...: prepare the data with the classes "
            "of the model (the option --vocabulary), or take a model that was trained on these data"
        )


def open_split(
    data: TaskDataArguments, task: TaskDefinition, split: str, regions: str | None, **options: Any
) -> TaskSplit:
    """Open a split of the prepared data, or several together.

    Args:
        data: Where the data are and how the images are read.
        task: What is asked of them.
        split: Name of the split, or several as "train+val".
        regions: Where its images are.
        **options: Of the examples, besides those of the task.

    Returns:
        The split.

    Raises:
        ValueError: If there is no such split, or the images are missing.
    """
    opened = open_regions(data, regions)
    tables = [read_task_table(data.data, name) for name in split.split("+")]
    table = tables[0]
    if len(tables) > 1:
        rows = pa.concat_tables(each.rows for each in tables)
        table = TaskTable(table.kind, rows, task=table.task, labels=table.labels)
    examples = TaskExamples(table, **{**task.example_options, **options})
    verified = verified_proposals(read_task_description(data.data), split.split("+"), opened.fingerprint)
    return TaskSplit(split, str(regions), opened, examples, verified)


def task_config(model: ModelArguments, task: TaskDefinition, labels: list[str] | None) -> VisionLanguageConfig:
    """The model's config, with the fields that the task needs and the names of its classes.

    Args:
        model: Which model.
        task: The task.
        labels: Classes or answers in the order of their numbers.

    Returns:
        The config.
    """
    # A model that was trained for several tasks before is now for this one alone.
    config = load_config(model, multi_task_heads={}, **task.config_fields)
    if labels is not None:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
    return config


def make_collator(
    task: TaskDefinition, processor: RegionTextProcessor, config: VisionLanguageConfig, data: TaskDataArguments
) -> TaskCollator:
    """The collator of a task.

    Args:
        task: The task.
        processor: Encodes texts and regions.
        config: Of the model.
        data: The length of texts, and the task token.

    Returns:
        The collator.

    Raises:
        ValueError: If there is a task token and the model knows none, or the other way round.
    """
    knows = getattr(config, "num_task_tokens", 0)
    if (data.task_token is None) != (knows == 0) or (data.task_token or 0) >= max(1, knows):
        raise ValueError(
            f"task_token is {data.task_token}, the model has num_task_tokens={knows}: give one of its rows, and none "
            "to a model without"
        )
    return task.how.make_collator(
        processor, config, max_text_length=data.max_text_length or task.max_text_length, task_token=data.task_token
    )


def _default_validation(description: dict[str, Any], train_split: str) -> str | None:
    trained = train_split.split("+")
    return next((name for name in VALIDATION_SPLITS if name in description["splits"] and name not in trained), None)
