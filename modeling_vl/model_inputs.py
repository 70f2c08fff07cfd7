"""What a task hands to a model, and how texts and images are regrouped on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.utils import ModelOutput

from .heads import fuse
from .packing import take_rows

TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
IMAGE_INPUTS = ("visual_embeds", "visual_locations", "visual_attention_mask", "visual_token_type_ids")
LINK = "image_text_alignment"


def all_pairs(num_texts: int, num_images: int, device: torch.device) -> Tensor:
    """Every text with every image, text by text.

    Args:
        num_texts: N.
        num_images: M.
        device: Where the model lives.

    Returns:
        `[N * M, 2]` of (text row, image row).
    """
    return torch.cartesian_prod(*(torch.arange(size, device=device) for size in (num_texts, num_images)))


@dataclass(frozen=True, kw_only=True)
class ModelInputs:
    """The inputs that both models take, under the names of `ViLBertModel` and `VisualBertModel`.

    Args:
        input_ids: Word pieces.
        visual_embeds: Region features; None for text alone.
        visual_locations: Normalised boxes.
        attention_mask: 1 for real word pieces.
        token_type_ids: Token types.
        position_ids: Positions.
        visual_attention_mask: 1 for real regions.
        visual_token_type_ids: Types of regions.
        image_text_alignment: Word pieces that regions are linked to.
        task_ids: Rows of ViLBERT's task token table.
        pair_index: `[P, 2]` of (text row, image row); None when row i goes with row i.
        output_attentions: Whether to return attention weights.
        output_hidden_states: Whether to return the states of every layer.
    """

    input_ids: Tensor
    visual_embeds: Tensor | None = None
    visual_locations: Tensor | None = None
    attention_mask: Tensor | None = None
    token_type_ids: Tensor | None = None
    position_ids: Tensor | None = None
    visual_attention_mask: Tensor | None = None
    visual_token_type_ids: Tensor | None = None
    image_text_alignment: Tensor | None = None
    task_ids: Tensor | None = None
    pair_index: Tensor | None = None
    output_attentions: bool | None = None
    output_hidden_states: bool | None = None

    def arguments(self) -> dict[str, Any]:
        """All inputs, as arguments of a model's `forward`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def regrouped(
        self, names: Sequence[str], leading: Sequence[int], meaning: str, change: Callable[[Tensor], Tensor]
    ) -> ModelInputs:
        """Change the shape of some inputs after a look at how they begin.

        Args:
            names: Inputs to change; those that are None stay so.
            leading: How their shapes must begin.
            meaning: What these numbers are, for the message.
            change: What to do with each.

        Returns:
            New inputs.

        Raises:
            ValueError: Naming an input that begins otherwise, and both shapes.
        """
        for name, tensor in self._given(names):
            if list(tensor.shape[: len(leading)]) != list(leading):
                raise ValueError(f"{name} must begin with {list(leading)} ({meaning}), got {list(tensor.shape)}")
        return replace(self, **{name: change(tensor) for name, tensor in self._given(names)})

    def paired(self) -> ModelInputs:
        """The same with every pair of `pair_index` written out: row i of the texts goes with row i of the images."""
        if self.pair_index is None:
            return self
        text_rows, image_rows = self.pair_index.unbind(1)
        rows = {**dict.fromkeys((*TEXT_INPUTS, "task_ids"), text_rows), **dict.fromkeys(IMAGE_INPUTS, image_rows)}
        return replace(self, pair_index=None, **{name: take_rows(getattr(self, name), rows[name]) for name in rows})

    def _given(self, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        for name in names:
            tensor = getattr(self, name)
            if tensor is not None:
                yield name, tensor


class Reading(NamedTuple):
    """What a model has read: the common view that task heads have of both models.

    Rows are those of the texts, or with `pair_index` its pairs, P.

    Attributes:
        states: The model's output.
        tokens: States of the word pieces `[P, T, hidden_size]`; zero, or None, where the head reads none.
        regions: States of the regions `[P, R, region size]`; the same, and None without an image.
        token_mask: `[P, T]`, 1 for real word pieces, or None when nothing is padded.
        region_mask: `[P, R]`, 1 for real regions, or None when nothing is padded.
        fusion_method: How pooled text and image become one vector.
    """

    states: ModelOutput
    tokens: Tensor | None
    regions: Tensor | None
    token_mask: Tensor | None
    region_mask: Tensor | None
    fusion_method: str

    @classmethod
    def of(
        cls, inputs: ModelInputs, states: ModelOutput, tokens: Tensor | None, regions: Tensor | None, fusion: str
    ) -> Reading:
        """What was read of `inputs`.

        Args:
            inputs: What the model was given.
            states: The model's output.
            tokens: States of the word pieces.
            regions: States of the regions.
            fusion: The config's `fusion_method`.

        Returns:
            The reading.
        """
        text_rows, image_rows = (None, None) if inputs.pair_index is None else inputs.pair_index.unbind(1)
        token_mask = take_rows(inputs.attention_mask, text_rows)
        return cls(states, tokens, regions, token_mask, take_rows(inputs.visual_attention_mask, image_rows), fusion)

    @property
    def fused(self) -> Tensor:
        """The vector of text and image together, `[P, pooler_size]`."""
        return fuse(self.fusion_method, self.states.pooler_output, self.states.get("visual_pooler_output"))
