"""ViLBERT's encoder: two streams, and the order in which their layers run and meet."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from configuration_vl.configuration_vilbert import ViLBertConfig

from .attention import AttentionPlan, attention_backend, plan_attention, stream_layout
from .layers import CoAttentionLayer, StreamSizes, TransformerLayer
from .packing import Layout


class _Stream:
    """One stream during a forward pass: its states, where they lie, and what is recorded of it."""

    def __init__(self, states: Tensor, layout: Layout, record: bool) -> None:
        self.states, self.layout = states, layout
        self.recorded: list[Tensor] | None = [] if record else None
        self.update(states)

    def update(self, states: Tensor) -> None:
        self.states = states
        if self.recorded is not None:
            self.recorded.append(self.layout.unpack(states))

    def rearrange(self, rows: Tensor, config: ViLBertConfig, backend: str) -> None:
        """Repeat and reorder the examples, `rows` `[P]` naming the old row of each new one."""
        states, mask = self.layout.unpack(self.states)[rows], self.layout.mask
        mask = None if mask is None else mask[rows]
        self.layout = stream_layout(config, backend, mask, len(rows), self.layout.length, states.device)
        self.states = self.layout.pack(states)


class EncoderOutput(NamedTuple):
    """States of both streams at their padded places, and what was recorded on the way.

    Attributes:
        text: `[B, T, hidden_size]`.
        regions: `[B, R, visual_hidden_size]`.
        recorded: The recorded fields of `ViLBertModelOutput`.
    """

    text: Tensor
    regions: Tensor
    recorded: dict[str, tuple[Tensor, ...]]


class ViLBertEncoder(nn.Module):
    """Text layers, image layers and the co-attention layers between them.

    Co-attention layer k runs when `text_coattention_ids[k]` text layers and `visual_coattention_ids[k]` image layers
    have run. Within a block the text goes first, as in vilbert-multi-task; only dynamic attention can tell.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: ViLBertConfig) -> None:
        super().__init__()
        self.config = config
        text, regions = StreamSizes.of_text(config), StreamSizes.of_regions(config)
        gate_size = config.hidden_size if config.dynamic_attention else None
        self.text_layers = nn.ModuleList(TransformerLayer(config, text) for _ in range(config.num_hidden_layers))
        self.visual_layers = nn.ModuleList(
            TransformerLayer(config, regions, gate_size) for _ in range(config.visual_num_hidden_layers)
        )
        self.coattention_layers = nn.ModuleList(CoAttentionLayer(config) for _ in config.text_coattention_ids)

    def forward(
        self,
        text: Tensor,
        regions: Tensor,
        text_layout: Layout,
        visual_layout: Layout,
        pair_index: Tensor | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> EncoderOutput:
        """Run all layers.

        Args:
            text: Text embeddings in their layout's order.
            regions: Region embeddings in their layout's order.
            text_layout: Layout of the text.
            visual_layout: Layout of the regions.
            pair_index: `[P, 2]` rows of text and image that meet from the first co-attention on, or None when row i
                meets row i.
            output_hidden_states: Whether to record the states.
            output_attentions: Whether to record the attention weights.

        Returns:
            Final states and records; P rows when pairs were given.
        """
        config, backend = self.config, attention_backend(self.config, output_attentions)
        text_stream = _Stream(text, text_layout, output_hidden_states)
        visual_stream = _Stream(regions, visual_layout, output_hidden_states)
        names = ("attentions", "visual_attentions", "text_attends_visual", "visual_attends_text")
        weights: dict[str, list[Tensor]] = {name: [] for name in names} if output_attentions else {}

        def plan(queries: _Stream, keys: _Stream) -> AttentionPlan:
            dtype = queries.states.dtype
            return plan_attention(config, backend, queries.layout, keys.layout, dtype, output_attentions)

        def run(
            layers: nn.ModuleList, stream: _Stream, place: range, frozen: int, gate: Tensor | None, name: str
        ) -> None:
            stream_plan = plan(stream, stream)
            for index in place:
                with torch.set_grad_enabled(torch.is_grad_enabled() and index >= frozen):
                    states, layer_weights = layers[index](stream.states, gate, stream_plan)
                stream.update(states)
                if name in weights:
                    weights[name].append(layer_weights)

        meetings = [*zip(config.text_coattention_ids, config.visual_coattention_ids, strict=True)]
        meetings.append((config.num_hidden_layers, config.visual_num_hidden_layers))
        text_done = visual_done = 0
        for meeting, (text_end, visual_end) in enumerate(meetings):
            run(self.text_layers, text_stream, range(text_done, text_end), config.frozen_text_layers, None, names[0])
            gate = self._gate(text_stream, visual_stream) if config.dynamic_attention else None
            places = range(visual_done, visual_end)
            run(self.visual_layers, visual_stream, places, config.frozen_visual_layers, gate, names[1])
            text_done, visual_done = text_end, visual_end
            if meeting == 0 and pair_index is not None:
                text_stream.rearrange(pair_index[:, 0], config, backend)
                visual_stream.rearrange(pair_index[:, 1], config, backend)
            if meeting < len(self.coattention_layers) and config.use_coattention:
                new_text, new_regions, text_weights, visual_weights = self.coattention_layers[meeting](
                    text_stream.states,
                    visual_stream.states,
                    plan(text_stream, visual_stream),
                    plan(visual_stream, text_stream),
                )
                text_stream.update(new_text)
                visual_stream.update(new_regions)
                if weights:
                    weights["text_attends_visual"].append(text_weights)
                    weights["visual_attends_text"].append(visual_weights)

        recorded = {name: tuple(tensors) for name, tensors in weights.items()}
        if output_hidden_states:
            recorded["hidden_states"] = tuple(text_stream.recorded)
            recorded["visual_hidden_states"] = tuple(visual_stream.recorded)
        return EncoderOutput(
            text_stream.layout.unpack(text_stream.states), visual_stream.layout.unpack(visual_stream.states), recorded
        )

    @staticmethod
    def _gate(text: _Stream, visual: _Stream) -> Tensor:
        mean = text.layout.mean(text.states)
        if len(mean) not in (1, visual.layout.batch_size):
            raise ValueError(
                f"dynamic_attention=True lets each text gate its image from the first layer on: {len(mean)} texts "
                f"cannot be paired with {visual.layout.batch_size} images; give one text, or one text an image"
            )
        return mean.expand(visual.layout.batch_size, -1)
