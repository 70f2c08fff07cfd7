"""A stream of tokens on its way through layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers.configuration_utils import PreTrainedConfig

from .attention import AttentionPlan, plan_attention, takes_sequences_end_to_end
from .input_checks import builds_graph
from .packing import Layout, View, choose_flash_layout, choose_layout, take_rows
from .read_places import ReadPlaces


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

    def to_compute(self, read: ReadPlaces | None) -> ReadPlaces:
        """What of the last states is computed, when a caller reads some of it.

        Args:
            read: What is read; None for everything.

        Returns:
            The same, where packing is wanted and nothing is recorded; everything otherwise.
        """
        records = self.record_states or self.record_weights
        if read is None or records or not self.config.packed_execution or builds_graph():
            return ReadPlaces()
        pools_all_words = read.pooled and self.config.text_pooling == "mean"
        return read._replace(text=True) if pools_all_words else read

    def layout(
        self,
        mask: Tensor | None,
        batch_size: int,
        length: int,
        device: torch.device,
        pooled_places: tuple[int, ...] = (0,),
    ) -> Layout:
        """How a stream lies in memory under this pass's backend.

        Args:
            mask: `[B, L]`, or None when nothing is padded.
            batch_size: B.
            length: L.
            device: Where the stream lives.
            pooled_places: Places that poolers read.

        Returns:
            The layout.
        """
        if takes_sequences_end_to_end(self.backend):
            return choose_flash_layout(mask, batch_size, length, device, pooled_places)
        # What is recorded of a packed stream is a copy, which no gradient passes through: with gradients on, it may be
        # wanted (`retain_grad`), and the stream stays padded.
        traces = torch.is_grad_enabled() and (self.record_states or self.record_weights)
        return choose_layout(mask, batch_size, length, self.config.packed_execution and not traces, pooled_places)


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

    def view(self) -> View:
        """All tokens as they lie."""
        return View(self.layout)

    def rearranged(self, rows: Tensor) -> View:
        """The tokens of repeated and reordered examples.

        Args:
            rows: `[P]`, the present row of each new one.

        Returns:
            The view; the stream stays as it is.
        """
        mask = take_rows(self.layout.mask, rows)
        layout = self.forward_pass.layout(mask, rows.shape[0], self.layout.length, rows.device)
        return self.view().rearranged(rows, layout)

    def plan(self, queries: View, keys: View) -> AttentionPlan:
        """What attention layers over some tokens share.

        Args:
            queries: The looking tokens.
            keys: The tokens looked at, of this stream or another.

        Returns:
            The plan.
        """
        config, backend, _, weights = self.forward_pass
        return plan_attention(config, backend, queries, keys, self.states.dtype, weights)

    def looking_at(self, other: Stream) -> AttentionPlan:
        """Plan of all tokens of this stream as queries over those of another, or its own, as keys."""
        return self.plan(self.view(), other.view())

    def run(self, layers: Sequence[nn.Module], gate_source: Tensor | None = None, read: Tensor | bool = True) -> None:
        """Run self-attention layers.

        Args:
            layers: `TransformerLayer`s.
            gate_source: What gated layers read, `[B, gate_size]`.
            read: `[B, L]`, True at places whose state somebody reads behind the last of the layers: it computes no
                others. True for all places.
        """
        plan = self.looking_at(self)
        for number, layer in enumerate(layers, start=1):
            if read is not True and number == len(layers):
                plan = self.plan(self.view().narrowed(read), self.view())
            states, weights = layer(self.states, gate_source, plan)
            self.move(states, plan.queries.layout)
            if weights is not None:
                self.attentions.append(weights)

    def move(self, states: Tensor, layout: Layout) -> None:
        """Replace the states by others that lie otherwise, and record them when asked to.

        Args:
            states: Tokens in the order of `layout`.
            layout: Where they lie.
        """
        self.layout = layout
        self.update(states)

    def rearrange(self, rows: Tensor) -> None:
        """Repeat and reorder examples.

        Args:
            rows: `[P]`, the old row of each new one.
        """
        view = self.rearranged(rows)
        self.states, self.layout = view.take(self.states), view.layout
