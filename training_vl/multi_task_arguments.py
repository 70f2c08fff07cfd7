"""Arguments of training one model for several tasks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .arguments import ModelArguments, RegionArguments, RunArguments, TrainingArguments
from .recipes import described, parse_groups
from .retrieval_arguments import TASK as RETRIEVAL
from .retrieval_arguments import RetrievalDataArguments
from .task_arguments import TaskDataArguments

OF_A_TASK = ("data", "regions", "val_regions", "train_split", "val_split", "max_text_length")
OF_THE_RUN = {"task", *(field.name for field in dataclasses.fields(RegionArguments))} - {"regions", "val_regions"}
OF_RETRIEVAL = tuple(
    field.name for field in dataclasses.fields(RetrievalDataArguments) if field.name not in OF_THE_RUN
)
"""What a task says of its data: one with a prepared folder, and retrieval."""


def head_name(task: str) -> str:
    """What the head of a `task` is called: its name, where that may be part of a parameter's name."""
    return task.replace("+", "_plus")


def is_retrieval(task: str) -> bool:
    """Whether a `task` ranks images for captions: "retrieval", "retrieval_coco", "retrieval_flickr30k", ..."""
    return task == RETRIEVAL or task.startswith(f"{RETRIEVAL}_")


def keys_of(task: str) -> tuple[str, ...]:
    """What the entry of a `task` may say of its data."""
    return OF_RETRIEVAL if is_retrieval(task) else OF_A_TASK


@dataclass
@described
class MultiTaskDataArguments(RegionArguments):
    """Which tasks, and on what.

    Args:
        tasks: The tasks in the order in which they take their turns: name of the task to a mapping with "data", its
            prepared folder, and any of "regions", "val_regions", "train_split", "val_split", "max_text_length",
            "batch_size" and "micro_batch_size" where it differs from the others; "loss_scale", what its loss is
            multiplied by; and "head", another task whose head it shares instead of one of its own. A task called
            "retrieval", or by a longer name such as "retrieval_coco", names "captions" instead of "data", and may give
            all that fine-tuning for retrieval reads, with "candidates" "drawn" where it says nothing. JSON on the
            command line.
        regions: Shards of region features of the tasks that name none of their own.
        val_regions: The same for their validation splits.
    """

    tasks: dict | str | None = None
    regions: str | None = None
    val_regions: str | None = None

    def __post_init__(self) -> None:
        """Read the tasks, and refuse what they cannot say."""
        if isinstance(self.tasks, str):
            try:
                self.tasks = json.loads(self.tasks)
            except json.JSONDecodeError as error:
                raise ValueError(f"tasks is no JSON: {error}; got {self.tasks!r}") from None
        if not isinstance(self.tasks, dict) or not all(isinstance(entry, dict) for entry in self.tasks.values()):
            raise ValueError(f"which tasks? Give tasks: a mapping of their names to mappings, got {self.tasks!r}")
        for name, entry in self.tasks.items():
            known = {*keys_of(name), "batch_size", "micro_batch_size", "loss_scale", "head"}
            unknown = sorted(set(entry) - known)
            if unknown:
                raise ValueError(f"tasks: {name} names {', '.join(unknown)}; it may give {', '.join(sorted(known))}")
            scale = entry.get("loss_scale", 1)
            if not isinstance(scale, int | float) or not scale > 0:
                raise ValueError(f"tasks: the loss_scale of {name} must be a number above 0, got {scale!r}")
            try:
                self.of_task(name)
            except ValueError as error:
                raise ValueError(f"tasks: {name}: {error}") from None

    def shared_heads(self) -> dict[str, str]:
        """The task whose head a task shares, by the names that their heads have or would have."""
        return {head_name(name): head_name(entry["head"]) for name, entry in self.tasks.items() if "head" in entry}

    def loss_scales(self) -> dict[str, float]:
        """What the loss of each task is multiplied by, by the names of their heads."""
        return {head_name(name): float(entry.get("loss_scale", 1)) for name, entry in self.tasks.items()}

    def of_task(self, name: str) -> TaskDataArguments | RetrievalDataArguments:
        """What one task reads.

        Args:
            name: A key of `tasks`.

        Returns:
            Arguments as of a run of that task alone.

        Raises:
            ValueError: If what its entry says contradicts itself.
        """
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(RegionArguments)}
        own = {key: value for key, value in self.tasks[name].items() if key in keys_of(name)}
        if "regions" in own:
            shared["val_regions"] = None
        if is_retrieval(name):
            return RetrievalDataArguments(**{**shared, "candidates": "drawn", **own})
        return TaskDataArguments(**{**shared, **own, "task": name})


@dataclass
@described
class MultiTaskTrainingArguments(TrainingArguments):
    """How the training goes on. A step is an iteration: one update of the model for every task whose turn it is.

    Args:
        batch_size: Examples of a task in an iteration, of all processes and micro-batches together.
        num_epochs: Passes over the data of the task that takes most iterations for one.
        learning_rate: Highest learning rate.
        eval_steps: Iterations between two evaluations of all tasks. By default each is evaluated after each pass over
            its own data, and all at the end.
        save_steps: Iterations between two checkpoints. By default one at the end.
        iteration_gap: A task that has stopped still trains in one of so many iterations (12-in-1: 4).
        stop_patience: Evaluations without a rise of its score after which a task goes on; one more stops it.
        stop_threshold: Share of its best score by which a task's score must exceed it to count as a rise.
        go_threshold: Share of its best score by which the score of a stopped task must fall for it to go again.
    """

    batch_size: int = 64
    num_epochs: float = 10.0
    learning_rate: float = 4e-5
    eval_steps: int | None = None
    save_steps: int | None = None
    iteration_gap: int = 4
    stop_patience: int = 1
    stop_threshold: float = 0.001
    go_threshold: float = 0.005

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        super().__post_init__()
        for name, bound in (("iteration_gap", 1), ("stop_patience", 0), ("stop_threshold", 0), ("go_threshold", 0)):
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be at least {bound}, got {getattr(self, name)}")


MultiTaskRunArguments = RunArguments[MultiTaskDataArguments]


def of_one_task(training: MultiTaskTrainingArguments, entry: dict[str, Any]) -> MultiTaskTrainingArguments:
    """The arguments with the batch sizes that the `entry` of a task gives in `training`'s place."""
    sizes = {name: entry[name] for name in ("batch_size", "micro_batch_size") if name in entry}
    return dataclasses.replace(training, **sizes)


def parse_multi_task_arguments(arguments: Sequence[str], *, description: str | None = None) -> MultiTaskRunArguments:
    """Read the command line of a run, see `recipes.parse_groups`.

    Args:
        arguments: The words of the command line, without the program.
        description: Text above the list of arguments in the help.

    Returns:
        The arguments.
    """
    groups = (ModelArguments, MultiTaskDataArguments, MultiTaskTrainingArguments)
    return RunArguments(*parse_groups(groups, arguments, description=description))
