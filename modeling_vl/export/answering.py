"""An exported file in the place of its model, where scores of a task are measured."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor
from transformers.modeling_utils import PreTrainedModel

from ..outputs import TaskOutput
from ..task_models import Task
from .files import open_exported
from .interface import unread_inputs


class ExportedTask:
    """An exported model of one task that is called as the model is, on the CPU, and returns logits alone.

    Args:
        path: The exported file.
        model: What it was made from; its weights are not read.
        task: What the model does.

    Attributes:
        task: What knows what the logits mean.
        training: Always False.
    """

    training = False

    def __init__(self, path: str | Path, model: PreTrainedModel, task: Task) -> None:
        self.task = task
        self._path = path
        self._exported = open_exported(path)
        self._left_out = {"labels", *unread_inputs(model)}

    def train(self, mode: bool = True) -> None:
        """Nothing to do for a `mode` of False; an exported file cannot be trained."""
        if mode:
            raise ValueError(f"{self._path} is an exported file, which cannot be trained")

    def eval(self) -> None:
        """Nothing to do: it is always in evaluation mode."""

    def __call__(self, **inputs: Tensor) -> TaskOutput:
        """Run the file.

        Args:
            **inputs: Of the model; labels are left out.

        Returns:
            Logits.

        Raises:
            ValueError: When an input is missing, or one is given that the file does not read.
        """
        names = set(self._exported.input_names)
        missing, unread = sorted(names - set(inputs)), sorted(set(inputs) - names - self._left_out)
        if missing or unread:
            raise ValueError(
                f"{self._path} reads {sorted(names)}; missing are {missing}, and it does not read {unread}. Inputs "
                "that a model need not have are named at export (--inputs)"
            )
        return TaskOutput(logits=self._exported(**{name: inputs[name] for name in names})["logits"])
