"""Attention over one stream, or from one stream over another, for every backend."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers.configuration_utils import PreTrainedConfig
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .dropout import drop_states
from .input_checks import builds_graph
from .packing import PackedLayout, View, unpack_attention


def eager_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: object,
) -> tuple[Tensor, Tensor]:
    """Attention written out, the only backend that returns its weights.

    Args:
        module: The calling module; its training mode switches dropout.
        query: `[B, heads, Q, head_size]`.
        key: `[B, heads, K, head_size]`.
        value: `[B, heads, K, head_size]`.
        attention_mask: Added to the scores, float32, or True for keys that are looked at; broadcastable to
            `[B, heads, Q, K]`. None to look at all.
        dropout: Probability of dropping a weight.
        scaling: Factor on the scores; 1/sqrt(head_size) when None.
        **kwargs: What other backends understand.

    Returns:
        Context `[B, Q, heads, head_size]` and the weights `[B, heads, Q, K]` before dropout.
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    # float32, because in float16 the mask's lowest number plus a score is minus infinity, and a row of these is NaN.
    scores = (query @ key.transpose(2, 3) * scaling).float()
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(-1).to(query.dtype)
    dropped = drop_states(weights, dropout, module.training)
    return (dropped @ value).transpose(1, 2).contiguous(), weights


class AttentionPlan(NamedTuple):
    """What all attention layers of one kind share in one forward pass.

    Attributes:
        queries: The looking tokens.
        keys: The tokens looked at.
        mask: The backend's mask over key rows, or None.
        backend: Name of the attention function.
        return_weights: Whether the weights are wanted.
    """

    queries: View
    keys: View
    mask: Tensor | None
    backend: str
    return_weights: bool


def takes_sequences_end_to_end(backend: str) -> bool:
    """Whether a backend wants `[1, heads, N, head_size]` with sequence boundaries instead of padded rows.

    transformers' flash helper would un-pad the queries with the keys' mask, which is wrong between two streams; given
    the boundaries of both, it un-pads nothing.

    Args:
        backend: Name of the attention function.

    Returns:
        True for flash attention.
    """
    return "flash" in backend


def plan_attention(
    config: PreTrainedConfig, backend: str, queries: View, keys: View, dtype: torch.dtype, return_weights: bool
) -> AttentionPlan:
    """Prepare the mask that all layers of one kind share.

    Args:
        config: The model's configuration.
        backend: Name of the attention function.
        queries: The looking tokens.
        keys: The tokens looked at.
        dtype: Type of the hidden states.
        return_weights: Whether attention weights are wanted.

    Returns:
        The plan.
    """
    key_mask = keys.layout.key_mask
    if key_mask is None or takes_sequences_end_to_end(backend):
        mask = None
    elif backend == "eager":
        mask = torch.zeros(key_mask.shape, dtype=torch.float32, device=key_mask.device)
        mask = mask.masked_fill(~key_mask.bool(), torch.finfo(mask.dtype).min)[:, None, None, :]
    else:
        query_rows, key_rows = (
            key_mask.new_empty(view.layout.batch_size, view.layout.row_length, 0, dtype=dtype)
            for view in (queries, keys)
        )
        mask = create_bidirectional_mask(
            config, inputs_embeds=query_rows, attention_mask=key_mask, encoder_hidden_states=key_rows
        )
    return AttentionPlan(queries, keys, mask, backend, return_weights)


class MultiHeadAttention(nn.Module):
    """Queries, keys and values of one attention layer.

    Args:
        config: The model's configuration.
        query_size: Width of the looking stream.
        key_size: Width of the stream looked at.
        inner_size: Width of the projections, over all heads.
        num_heads: Number of heads.
        dropout: Dropout on the weights.
    """

    def __init__(
        self,
        config: PreTrainedConfig,
        query_size: int,
        key_size: int,
        inner_size: int,
        num_heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.config = config
        self.num_heads = num_heads
        self.scaling = (inner_size // num_heads) ** -0.5
        self.dropout = dropout
        self.is_causal = False
        self.query = nn.Linear(query_size, inner_size)
        self.key = nn.Linear(key_size, inner_size)
        self.value = nn.Linear(key_size, inner_size)

    def project(
        self, states: Tensor, looked_at: Tensor, plan: AttentionPlan, gate_source: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Project both streams, in the token orders of the plan's views.

        Args:
            states: The looking stream, `[..., query_size]`.
            looked_at: The stream looked at, `[..., key_size]`.
            plan: Views, mask and backend.
            gate_source: What `TextGatedAttention` reads, `[B, gate_size]`.

        Returns:
            Queries, keys and values, `[..., inner_size]` each.
        """
        key, value = (plan.keys.project(projection, looked_at) for projection in (self.key, self.value))
        return plan.queries.project(self.query, states), key, value

    def forward(
        self, states: Tensor, looked_at: Tensor, plan: AttentionPlan, gate_source: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            states: The looking stream in its token order, `[..., query_size]`.
            looked_at: The stream looked at in its token order, `[..., key_size]`.
            plan: Views, mask and backend.
            gate_source: What `TextGatedAttention` reads, `[B, gate_size]`.

        Returns:
            Context in the order of `plan.queries`, `[..., inner_size]`, and the weights `[B, heads, L_queries,
            L_keys]` or None when they are not wanted.
        """
        projected = self.project(states, looked_at, plan, gate_source)
        queries, keys = plan.queries.layout, plan.keys.layout
        if takes_sequences_end_to_end(plan.backend):
            rows = [tokens[None] for tokens in projected]
            boundaries = _sequence_boundaries(queries, keys)
        else:
            rows = [layout.to_rows(tokens) for layout, tokens in zip((queries, keys, keys), projected, strict=True)]
            boundaries = {}
        query, key, value = (row.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for row in rows)
        dropout = self.dropout if self.training else 0.0
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(plan.backend, eager_attention_forward)
        if plan.backend == "sdpa" and dropout and query.device.type == "cpu" and not builds_graph():
            # torch has no fused attention with dropout on CPUs: it writes attention out too, with more passes.
            attend = eager_attention_forward
        context, weights = attend(
            self,
            query,
            key,
            value,
            plan.mask,
            dropout=dropout,
            scaling=self.scaling,
            **boundaries,
        )
        context = context.flatten(-2)
        context = context.squeeze(0) if boundaries else queries.from_rows(context)
        return context, unpack_attention(weights, queries, keys) if plan.return_weights else None


def _sequence_boundaries(queries: PackedLayout, keys: PackedLayout) -> dict[str, Tensor | int]:
    return {
        "cu_seq_lens_q": queries.cu_seq_lens,
        "cu_seq_lens_k": keys.cu_seq_lens,
        "max_length_q": queries.row_length,
        "max_length_k": keys.row_length,
    }


class TextGatedAttention(MultiHeadAttention):
    """Image self-attention whose queries and keys the text scales: 12-in-1's dynamic attention.

    gate = 1 + sigmoid(W mean(text)), one factor a query or key channel (`dyLinear_q`, `dyLinear_k` in
    vilbert-multi-task).

    Args:
        config: The model's configuration.
        size: Width of the image stream.
        num_heads: Number of heads.
        dropout: Dropout on the weights.
        gate_size: Width of the text stream.
    """

    def __init__(self, config: PreTrainedConfig, size: int, num_heads: int, dropout: float, gate_size: int) -> None:
        super().__init__(config, size, size, size, num_heads, dropout)
        self.query_gate = nn.Linear(gate_size, size)
        self.key_gate = nn.Linear(gate_size, size)

    def project(
        self, states: Tensor, looked_at: Tensor, plan: AttentionPlan, gate_source: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys scaled by the text's mean state `gate_source` `[B, gate_size]`, values as they are."""
        query, key, value = super().project(states, looked_at, plan, gate_source)
        query_gate, key_gate = (1 + gate(gate_source).sigmoid() for gate in (self.query_gate, self.key_gate))
        query, key = query * plan.queries.layout.per_token(query_gate), key * plan.keys.layout.per_token(key_gate)
        return query, key, value
