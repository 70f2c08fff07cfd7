"""One model for several tasks: they take turns, and those that have learnt enough rest (12-in-1, Lu et al., 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from configuration_vl.configuration_vision_language import VisionLanguageConfig
from datasets_vl.training_data import TrainingData
from modeling_vl.outputs import TaskOutput
from modeling_vl.task_models import Task

from .multi_task_arguments import head_name
from .stop_and_go import StopAndGo
from .tasks import TaskDefinition
from .training_loop import Batch, BatchSizes, TrainingLoop, mean_loss, train_step


class OneTask:
    """A multi-task model that does one of its tasks, as a model of that task alone would.

    Args:
        model: The model.
        name: The task, a key of its config's `multi_task_heads`.
    """

    def __init__(self, model: PreTrainedModel, name: str) -> None:
        self.model = model
        self.name = name

    @classmethod
    def of(cls, model: PreTrainedModel, task: TaskDefinition) -> tuple[OneTask, VisionLanguageConfig]:
        """A multi-task model that does a task.

        Args:
            model: The model.
            task: The task.

        Returns:
            It, and the config of its head. The model picks the task token by itself, so the config names none.

        Raises:
            ValueError: If the model has no head for the task.
        """
        name = head_name(task.name)
        if name not in model.tasks:
            raise ValueError(f"the model has heads for {', '.join(model.tasks)}, none for {task.name}")
        config = model.config.for_task(name)
        if hasattr(config, "num_task_tokens"):
            config.num_task_tokens = 0
        return cls(model, name), config

    @property
    def task(self) -> Task:
        """What knows what the logits mean."""
        return self.model.tasks[self.name]

    @property
    def training(self) -> bool:
        """Whether the model is in training mode."""
        return self.model.training

    def train(self, mode: bool = True) -> None:
        """Put the model into training mode, or with a `mode` of False into evaluation mode."""
        self.model.train(mode)

    def eval(self) -> None:
        """Put the model into evaluation mode."""
        self.train(False)

    def __call__(self, **inputs: Any) -> TaskOutput:
        """Run the model on `inputs` of the task."""
        return self.model(task=self.name, **inputs)


class Turn:
    """One task in the round: its data, how often it was trained, and whether it goes or has stopped.

    Args:
        data: This process's micro-batches.
        sizes: How its batch is divided.
        batch_size: Examples of an update, of all processes.
        stop_and_go: Judges its scores; None for a task that is not evaluated and always goes.
        loss_scale: What its loss is multiplied by.
        loss_arguments: What the model is told besides a batch to compute its loss.
    """

    def __init__(
        self,
        data: TrainingData,
        sizes: BatchSizes,
        batch_size: int,
        stop_and_go: StopAndGo | None,
        loss_scale: float = 1.0,
        loss_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self.data = data
        self.sizes = sizes
        self.batch_size = batch_size
        self.loss_scale = loss_scale
        self.loss_arguments = dict(loss_arguments or {})
        self.stop_and_go = stop_and_go
        self.updates = 0

    @property
    def is_going(self) -> bool:
        """Whether it trains in every iteration."""
        return self.stop_and_go is None or self.stop_and_go.is_going

    @property
    def updates_per_epoch(self) -> int:
        """Updates that one pass over its data takes."""
        return max(1, -(-self.data.examples_per_epoch // self.batch_size))

    @property
    def has_ended_an_epoch(self) -> bool:
        """Whether the last update was the last of a pass over its data."""
        return self.updates > 0 and self.updates % self.updates_per_epoch == 0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        judged = None if self.stop_and_go is None else self.stop_and_go.state_dict()
        return {"data": self.data.state_dict(), "updates": self.updates, "stop_and_go": judged}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with `state`."""
        self.data.load_state_dict(state["data"])
        self.updates = state["updates"]
        if self.stop_and_go is not None:
            self.stop_and_go.load_state_dict(state["stop_and_go"])


class TaskBatches(NamedTuple):
    """The micro-batches of one task's update.

    Attributes:
        task: The task.
        batches: Those of this process.
        batch_size: Examples of the update, of all processes.
        loss_scale: What the task's loss is multiplied by.
        loss_arguments: What the model is told besides a batch.
    """

    task: str
    batches: list[Batch]
    batch_size: int
    loss_scale: float
    loss_arguments: dict[str, Any]


class Round:
    """The tasks by name, and whose turn it is: in the place of the data of a run, each item being an iteration.

    Args:
        turns: The tasks in their order.
        iteration_gap: A task that has stopped trains in one of so many iterations.
        batch_size: The run's own, which an epoch is counted in.
    """

    def __init__(self, turns: Mapping[str, Turn], iteration_gap: int, batch_size: int) -> None:
        self.turns = dict(turns)
        self.iteration_gap = iteration_gap
        self._batch_size = batch_size
        self._iteration = 0
        self.trained: tuple[str, ...] = ()

    @property
    def epoch(self) -> int:
        """Passes over the data of the task that is least advanced."""
        return min(turn.data.epoch for turn in self.turns.values())

    @property
    def examples_per_epoch(self) -> int:
        """As many as a run of `batch_size` needs for the iterations of the longest task's epoch."""
        return max(turn.updates_per_epoch for turn in self.turns.values()) * self._batch_size

    def __iter__(self) -> Iterator[list[TaskBatches]]:
        """Iterations without end, each a list of the updates in it."""
        batches = {name: iter(turn.data) for name, turn in self.turns.items()}
        while True:
            # Iterations in which all would rest are passed over.
            while not (trained := self._whose_turn()):
                self._iteration += 1
            self.trained = trained
            self._iteration += 1
            updates = []
            for name in self.trained:
                turn = self.turns[name]
                micro_batches = list(islice(batches[name], turn.sizes.micro_batches))
                updates.append(TaskBatches(name, micro_batches, turn.batch_size, turn.loss_scale, turn.loss_arguments))
                turn.updates += 1
            yield updates

    def _whose_turn(self) -> tuple[str, ...]:
        all_train = self._iteration % self.iteration_gap == 0
        return tuple(name for name, turn in self.turns.items() if all_train or turn.is_going)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this process."""
        return {
            "iteration": self._iteration,
            "turns": {name: turn.state_dict() for name, turn in self.turns.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with `state`.

        Raises:
            ValueError: If it is of other tasks.
        """
        if list(state["turns"]) != list(self.turns):
            raise ValueError(f"the run had the tasks {', '.join(state['turns'])}, now {', '.join(self.turns)}")
        self._iteration = state["iteration"]
        for name, turn in self.turns.items():
            turn.load_state_dict(state["turns"][name])


class MultiTaskLoop(TrainingLoop):
    """A loop whose step is an iteration over the tasks, each with an update of its own; `data` is a `Round`."""

    data: Round

    def take_step(self, batches: Iterator[list[TaskBatches]]) -> tuple[dict[str, Tensor], int]:
        """See `TrainingLoop.take_step`; every task's terms bear its name."""
        terms: dict[str, Tensor] = {}
        examples = 0
        for update in next(batches):
            losses = train_step(
                self.wrapped,
                self.optimizer,
                update.batches,
                self.accelerator,
                mean_loss(update.loss_scale, task=update.task, **update.loss_arguments),
                self.arguments.max_grad_norm,
            )
            terms |= {f"{update.task}/{name}": value for name, value in losses.items()}
            examples += update.batch_size
        mean = torch.stack([value for name, value in terms.items() if name.endswith("/loss")]).mean()
        return {**terms, "loss": mean}, examples

    def is_evaluation_due(self) -> bool:
        """See `TrainingLoop.is_evaluation_due`."""
        return bool(self.tasks_to_evaluate())

    def tasks_to_evaluate(self) -> list[str]:
        """The tasks whose scores are wanted after this step."""
        turns = {name: turn for name, turn in self.data.turns.items() if turn.stop_and_go is not None}
        if super().is_evaluation_due():
            return list(turns)
        if self.arguments.eval_steps is not None:
            return []
        return [name for name in self.data.trained if name in turns and turns[name].has_ended_an_epoch]
