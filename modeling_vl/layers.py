"""The transformer layers of both models, with BERT's parameter names."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention import AttentionPlan, MultiHeadAttention, TextGatedAttention
from .dropout import Dropout
from .packing import PaddedLayout


class StreamSizes(NamedTuple):
    """What a layer needs to know of its stream.

    Attributes:
        hidden_size: Width of the stream.
        num_heads: Attention heads.
        intermediate_size: Width of the feed-forward layer.
        hidden_act: Activation of the feed-forward layer.
        hidden_dropout: Dropout after output projections.
        attention_dropout: Dropout on attention weights.
        layer_norm_eps: Epsilon of the layer norms.
    """

    hidden_size: int
    num_heads: int
    intermediate_size: int
    hidden_act: str
    hidden_dropout: float
    attention_dropout: float
    layer_norm_eps: float

    @classmethod
    def of_text(cls, config: PreTrainedConfig) -> StreamSizes:
        """The text stream of ViLBERT, or VisualBERT's only stream."""
        return cls(
            config.hidden_size,
            config.num_attention_heads,
            config.intermediate_size,
            config.hidden_act,
            config.hidden_dropout_prob,
            config.attention_probs_dropout_prob,
            config.layer_norm_eps,
        )

    @classmethod
    def of_regions(cls, config: PreTrainedConfig) -> StreamSizes:
        """The image stream of ViLBERT."""
        return cls(
            config.visual_hidden_size,
            config.visual_num_attention_heads,
            config.visual_intermediate_size,
            config.visual_hidden_act,
            config.visual_hidden_dropout_prob,
            config.visual_attention_probs_dropout_prob,
            config.visual_layer_norm_eps,
        )


class ResidualOutput(nn.Module):
    """LayerNorm(residual + dropout(W x)): the post-norm output of every sub-layer.

    Args:
        input_size: Width of x.
        hidden_size: Width of the stream.
        dropout: Dropout before the residual is added.
        layer_norm_eps: Epsilon of the layer norm.
    """

    def __init__(self, input_size: int, hidden_size: int, dropout: float, layer_norm_eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(input_size, hidden_size)
        self.LayerNorm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.dropout = Dropout(dropout)

    def forward(self, states: Tensor, residual: Tensor) -> Tensor:
        """Project `states` `[..., input_size]` and add them to the `residual` stream `[..., hidden_size]`."""
        return self.LayerNorm(self.dropout(self.dense(states)) + residual)


class Intermediate(nn.Module):
    """The widening half of a feed-forward layer.

    Args:
        hidden_size: Width of the stream.
        intermediate_size: Width after it.
        hidden_act: Name of the activation.
    """

    def __init__(self, hidden_size: int, intermediate_size: int, hidden_act: str) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, intermediate_size)
        self.activation = ACT2FN[hidden_act]

    def forward(self, states: Tensor) -> Tensor:
        """`[..., hidden_size]` to `[..., intermediate_size]`."""
        return self.activation(self.dense(states))


class AttentionBlock(nn.Module):
    """Attention, output projection, residual and layer norm.

    Args:
        attention: The attention; its context has width `context_size`.
        context_size: Width of the context.
        hidden_size: Width of the looking stream.
        dropout: Dropout before the residual is added.
        layer_norm_eps: Epsilon of the layer norm.
    """

    def __init__(
        self, attention: MultiHeadAttention, context_size: int, hidden_size: int, dropout: float, layer_norm_eps: float
    ) -> None:
        super().__init__()
        self.self = attention
        self.output = ResidualOutput(context_size, hidden_size, dropout, layer_norm_eps)

    def forward(
        self, states: Tensor, looked_at: Tensor, plan: AttentionPlan, gate_source: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Attend, and add the result to the looking stream.

        Args:
            states: The looking stream in its token order, `[..., hidden_size]`.
            looked_at: The stream looked at in its token order.
            plan: Views, mask and backend.
            gate_source: What a gated attention reads, `[B, gate_size]`.

        Returns:
            New states of the looking tokens in the order of `plan.queries`, and the attention weights when the plan
            wants them.
        """
        context, weights = self.self(states, looked_at, plan, gate_source)
        return self.output(context, plan.queries.take(states)), weights


class TransformerLayer(GradientCheckpointingLayer):
    """One post-norm BERT layer (ViLBERT paper, section 2.1), optionally gated by the text.

    Args:
        config: The model's configuration.
        sizes: The stream's sizes.
        gate_size: Width of the text that gates the attention, None for plain attention.
    """

    def __init__(self, config: PreTrainedConfig, sizes: StreamSizes, gate_size: int | None = None) -> None:
        super().__init__()
        hidden, heads, dropout = sizes.hidden_size, sizes.num_heads, sizes.attention_dropout
        if gate_size is None:
            attention = MultiHeadAttention(config, hidden, hidden, hidden, heads, dropout)
        else:
            attention = TextGatedAttention(config, hidden, heads, dropout, gate_size)
        self.attention = AttentionBlock(attention, hidden, hidden, sizes.hidden_dropout, sizes.layer_norm_eps)
        self.intermediate = Intermediate(hidden, sizes.intermediate_size, sizes.hidden_act)
        self.output = ResidualOutput(sizes.intermediate_size, hidden, sizes.hidden_dropout, sizes.layer_norm_eps)

    def forward(self, states: Tensor, gate_source: Tensor | None, plan: AttentionPlan) -> tuple[Tensor, Tensor | None]:
        """Run the layer.

        Args:
            states: Tokens in the stream's order, `[..., hidden_size]`.
            gate_source: Mean text state `[B, gate_size]` of a gated layer, else None.
            plan: Views, mask and backend.

        Returns:
            New states of the plan's queries, and the attention weights `[B, heads, L, L]` when the plan wants them.
        """
        states, weights = self.attention(states, states, plan, gate_source)
        return self.output(self.intermediate(states), states), weights


class CoAttentionLayer(GradientCheckpointingLayer):
    """Two streams look at each other, then each runs a feed-forward layer (ViLBERT paper, figure 2b).

    Both directions read the states from before the layer.

    Args:
        config: A `ViLBertConfig`.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        text, regions = StreamSizes.of_text(config), StreamSizes.of_regions(config)
        self.text_attends_visual = self._direction(config, text, regions)
        self.visual_attends_text = self._direction(config, regions, text)
        self.text_intermediate, self.text_output = self._feed_forward(text)
        self.visual_intermediate, self.visual_output = self._feed_forward(regions)

    @staticmethod
    def _direction(config: PreTrainedConfig, looking: StreamSizes, looked_at: StreamSizes) -> AttentionBlock:
        inner = config.coattention_hidden_size
        dropout_of = {"key": looked_at, "query": looking}[config.coattention_dropout_stream]
        attention = MultiHeadAttention(
            config,
            looking.hidden_size,
            looked_at.hidden_size,
            inner,
            config.coattention_num_attention_heads,
            dropout_of.attention_dropout,
        )
        return AttentionBlock(
            attention, inner, looking.hidden_size, looking.hidden_dropout, config.coattention_layer_norm_eps
        )

    @staticmethod
    def _feed_forward(sizes: StreamSizes) -> tuple[Intermediate, ResidualOutput]:
        return (
            Intermediate(sizes.hidden_size, sizes.intermediate_size, sizes.hidden_act),
            ResidualOutput(sizes.intermediate_size, sizes.hidden_size, sizes.hidden_dropout, sizes.layer_norm_eps),
        )

    def forward(
        self,
        text: Tensor,
        regions: Tensor,
        text_over_regions: AttentionPlan | None,
        regions_over_text: AttentionPlan | None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """Run the layer.

        Args:
            text: Text tokens in their stream's order, `[..., hidden_size]`.
            regions: Regions in their stream's order, `[..., visual_hidden_size]`.
            text_over_regions: Plan of text queries over region keys; None when nobody reads the new text states.
            regions_over_text: Plan of region queries over text keys; None when nobody reads the new region states.

        Returns:
            New text states, new region states, weights of text over regions `[B, heads, T, R]` and of regions over
            text `[B, heads, R, T]`; None for what nobody reads, and for weights that are not wanted.
        """
        new_text = new_regions = text_weights = region_weights = None
        if text_over_regions is not None:
            new_text, text_weights = self.text_attends_visual(text, regions, text_over_regions)
            new_text = self.text_output(self.text_intermediate(new_text), new_text)
        if regions_over_text is not None:
            new_regions, region_weights = self.visual_attends_text(regions, text, regions_over_text)
            new_regions = self.visual_output(self.visual_intermediate(new_regions), new_regions)
        return new_text, new_regions, text_weights, region_weights


class Pooler(nn.Module):
    """Projection of a stream's first state, or of the mean of its states.

    Args:
        hidden_size: Width of the stream.
        pooler_size: Width of the pooled vector.
        pooler_act: Name of the activation: "relu" in ViLBERT, "tanh" in BERT.
        pooling: What is projected: "first" or "mean".
    """

    def __init__(self, hidden_size: int, pooler_size: int, pooler_act: str, pooling: str = "first") -> None:
        super().__init__()
        self.pooling = pooling
        self.dense = nn.Linear(hidden_size, pooler_size)
        self.activation = ACT2FN[pooler_act]

    def forward(self, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool a stream.

        Args:
            states: Padded, `[B, L, hidden_size]`.
            mask: `[B, L]`, 1 for the states that count in a mean; None for all.

        Returns:
            `[B, pooler_size]`.
        """
        pooled = states[:, 0] if self.pooling == "first" else PaddedLayout(mask, *states.shape[:2]).mean(states)
        return self.activation(self.dense(pooled))
