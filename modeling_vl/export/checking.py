"""Whether an exported file computes what the model does, at other sizes than those it was traced with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from transformers.modeling_utils import PreTrainedModel

from .files import ExportedModel
from .interface import Input, checked_sizes, random_inputs, text_lengths
from .tracing import NamedOutputs, padded_copy

TOLERANCE = 1e-5
"""Largest difference that float32 excuses, as `largest_differences` measures it."""


@torch.no_grad()
def largest_differences(
    exported: ExportedModel, model: PreTrainedModel, inputs: Mapping[str, Input], task: str | None = None
) -> dict[str, float]:
    """Run an exported file and its model on random inputs of several sizes.

    Args:
        exported: The file, opened.
        model: What it was made from.
        inputs: What `inputs_of` says of it.
        task: A key of `multi_task_heads`, for multi-task models.

    Returns:
        For each output the largest difference: absolute for numbers up to 1, relative to those above. NaN where either
        side gives one.

    Raises:
        ValueError: When the file has other inputs or outputs.
    """
    plain = NamedOutputs(padded_copy(model), task)
    _check_names("inputs", exported.input_names, list(inputs))
    differences: dict[str, float] = {}
    for seed, sizes in enumerate(checked_sizes(text_lengths(model)), start=1):
        batch = random_inputs(inputs, sizes, seed)
        expected, actual = plain(**batch), exported(**batch)
        _check_names("outputs", list(actual), list(expected))
        for name, right in expected.items():
            if actual[name].shape != right.shape:
                raise ValueError(
                    f"output {name} of the file is {list(actual[name].shape)}, of the model {list(right.shape)}, at "
                    f"{sizes}"
                )
            difference = ((actual[name] - right).abs() / right.abs().clamp(min=1)).max()
            differences[name] = torch.tensor([differences.get(name, 0.0), difference]).max().item()  # keeps NaN
    return differences


def _check_names(what: str, of_file: list[str], of_model: list[str]) -> None:
    if set(of_file) != set(of_model):
        raise ValueError(f"the {what} of the file are {of_file}, those of the model {of_model}")
