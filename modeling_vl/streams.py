"""A stream of tokens on its way through layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers.configuration_utils import PreTrainedConfig

from .attention import AttentionPlan, plan_attention, takes_sequences_end_to_end
from .packing import Layout, choose_flash_layout, choose_layout


class Pass(NamedTuple):
    """What holds for all streams of one forward pass.

    Attributes:
        config: The model's configuration.
        backend: Name of the attention function.
        record_states: Whether the states after every layer are kept.
        record_weights: Whether attention weights are kept.
    """

    config: PreTrainedConfig
    backend: str
    record_states: bool
    record_weights: bool

    @classmethod
    def of(cls, config: PreTrainedConfig, output_hidden_states: bool | None, output_attentions: bool | None) -> Pass:
        """A pass that records what is asked for, or else what the config says.

        Args:
            config: The model's configuration.
            output_hidden_states: Whether to keep states; None means as configured.
            output_attentions: Whether to keep attention weights, which only the eager backend computes; None means as
                configured.

        Returns:
            The pass.
        """
        states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        weights = config.output_attentions if output_attentions is None else output_attentions
        return cls(config, "eager" if weights else config._attn_implementation, states, weights)

    def layout(
        self,
        mask: Tensor | None,
        batch_size: int,
        length: int,
        device: torch.device,
        read_places: tuple[int, ...] = (0,),
    ) -> Layout:
        """How a stream lies in memory under this pass's backend.

        Args:
            mask: `[B, L]`, or None when nothing is padded.
            batch_size: B.
            length: L.
            device: Where the stream lives.
            read_places: Places that poolers read.

        Returns:
            The layout.
        """
        if takes_sequences_end_to_end(self.backend):
            return choose_flash_layout(mask, batch_size, length, device, read_places)
        return choose_layout(mask, batch_size, length, self.config.packed_execution, read_places)


class Stream:
    """States, where they lie, and what is recorded of them.

    Args:
        forward_pass: What holds for the whole pass.
        states: Tokens in the layout's order, `[..., hidden_size]`.
        layout: Where they lie.
    """

    def __init__(self, forward_pass: Pass, states: Tensor, layout: Layout) -> None:
        self.forward_pass = forward_pass
        self.layout = layout
        self.hidden_states: list[Tensor] = []
        self.attentions: list[Tensor] = []
        self.update(states)

    def update(self, states: Tensor) -> None:
        """Replace the states, and record the new ones when asked to."""
        self.states = states
        if self.forward_pass.record_states:
            self.hidden_states.append(self.padded())

    def padded(self) -> Tensor:
        """The states at their padded places, `[B, L, hidden_size]`."""
        return self.layout.unpack(self.states)

    def looking_at(self, other: Stream) -> AttentionPlan:
        """Plan of this stream's tokens as queries over another stream's, or its own, as keys."""
        config, backend, _, weights = self.forward_pass
        return plan_attention(config, backend, self.layout, other.layout, self.states.dtype, weights)

    def run(self, layers: Iterable[nn.Module], gate_source: Tensor | None = None) -> None:
        """Run self-attention layers.

        Args:
            layers: `TransformerLayer`s.
            gate_source: What gated layers read, `[B, gate_size]`.
        """
        plan = self.looking_at(self)
        for layer in layers:
            states, weights = layer(self.states, gate_source, plan)
            self.update(states)
            if weights is not None:
                self.attentions.append(weights)

    def rearrange(self, rows: Tensor) -> None:
        """Repeat and reorder examples.

        Args:
            rows: `[P]`, the old row of each new one.
        """
        states, mask = self.padded()[rows], self.layout.mask
        mask = None if mask is None else mask[rows]
        self.layout = self.forward_pass.layout(mask, rows.shape[0], self.layout.length, states.device)
        self.states = self.layout.pack(states)
