"""From a model to a graph whose batch, text length and number of regions are free."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import ModelOutput

from .interface import TRACED_SIZES, Axes, Input, random_inputs, text_lengths


def named_tensors(output: ModelOutput) -> dict[str, Tensor]:
    """The tensors of a model's output, those in dicts and tuples as `field.key` and `field.number`.

    Args:
        output: What a model returned.

    Returns:
        Tensors by name.
    """
    tensors = {}
    for field, value in output.items():
        if isinstance(value, Tensor):
            tensors[field] = value
        else:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            tensors |= {f"{field}.{key}": tensor for key, tensor in items}
    return tensors


class NamedOutputs(nn.Module):
    """A model whose result is a plain dict of tensors, so that running its graph needs none of our classes.

    Args:
        model: Any class of this package.
        task: A key of `multi_task_heads`, for multi-task models.
    """

    def __init__(self, model: PreTrainedModel, task: str | None = None) -> None:
        super().__init__()
        self.model = model
        self.fixed: dict[str, Any] = {"return_dict": True} if task is None else {"return_dict": True, "task": task}

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        visual_embeds: Tensor,
        visual_attention_mask: Tensor,
        visual_locations: Tensor | None = None,
        phrase_positions: Tensor | None = None,
        task_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        visual_token_type_ids: Tensor | None = None,
        image_text_alignment: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Run the model.

        Args:
            input_ids: As in the model, and so are the others; those that are None are left out.
            attention_mask: Of the texts.
            token_type_ids: Of the texts.
            visual_embeds: Region features.
            visual_attention_mask: Of the regions.
            visual_locations: Normalised boxes.
            phrase_positions: For phrase grounding.
            task_ids: For models with task tokens.
            position_ids: Of the texts.
            visual_token_type_ids: Of the regions.
            image_text_alignment: Word pieces that regions are linked to.

        Returns:
            What `named_tensors` makes of the model's output.
        """
        given = {
            "visual_locations": visual_locations,
            "phrase_positions": phrase_positions,
            "task_ids": task_ids,
            "position_ids": position_ids,
            "visual_token_type_ids": visual_token_type_ids,
            "image_text_alignment": image_text_alignment,
        }
        output = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            visual_embeds=visual_embeds,
            visual_attention_mask=visual_attention_mask,
            **{name: tensor for name, tensor in given.items() if tensor is not None},
            **self.fixed,
        )
        return named_tensors(output)


def padded_copy(model: PreTrainedModel) -> PreTrainedModel:
    """A model with the same weights that never packs: what stands at padding is then comparable too.

    Args:
        model: Any class of this package.

    Returns:
        The copy, in evaluation mode.
    """
    config = copy.deepcopy(model.config)
    config.packed_execution = False
    with torch.device("meta"):
        padded = type(model)(config)
    padded.load_state_dict(model.state_dict(), assign=True)
    padded.tie_weights()
    return padded.eval()


def trace(
    model: PreTrainedModel, inputs: Mapping[str, Input], task: str | None = None
) -> tuple[ExportedProgram, dict[str, Axes]]:
    """Trace a model.

    Args:
        model: Any class of this package, in evaluation mode.
        inputs: What `inputs_of` says of it.
        task: A key of `multi_task_heads`, for multi-task models.

    Returns:
        The graph, with its weights, which takes the inputs by name and returns a dict of tensors; and the axes of
        these outputs by name. A size that follows from several of the inputs' is an expression.
    """
    lengths = text_lengths(model)
    limits = {"text": {"min": lengths[0], "max": lengths[-1]}}
    dims = {axis: Dim(axis, **limits.get(axis, {"min": 1})) for axis in TRACED_SIZES}
    shapes = {
        name: {place: dims.get(axis, Dim.STATIC) for place, axis in enumerate(axes)}
        for name, (axes, _) in inputs.items()
    }
    sizes = {**TRACED_SIZES, "text": min(TRACED_SIZES["text"], lengths[-1])}
    examples = random_inputs(inputs, sizes)
    named = NamedOutputs(model, task)
    with torch.no_grad():
        output_names = list(named(**examples))
        program = torch.export.export(named, (), kwargs=examples, dynamic_shapes=shapes, strict=False)
    return program, _output_axes(program, inputs, output_names)


def _output_axes(program: ExportedProgram, inputs: Mapping[str, Input], names: list[str]) -> dict[str, Axes]:
    shapes = {
        node.name: node.meta["val"].shape for node in program.graph.nodes if isinstance(node.meta.get("val"), Tensor)
    }
    axes = {str(size): axis for name in inputs for size, axis in zip(shapes[name], inputs[name].axes, strict=True)}
    results = [shapes[name] for name in program.graph_signature.user_outputs]
    return {
        name: tuple(size if isinstance(size, int) else _expression(str(size), axes) for size in shape)
        for name, shape in zip(names, results, strict=True)
    }


def _expression(size: str, axes: Mapping[str, str | int]) -> str:
    return " ".join(str(axes.get(part, part)) for part in size.split(" "))
