"""What the models return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers.utils import ModelOutput

RECORDED_FIELDS = (
    "hidden_states",
    "visual_hidden_states",
    "attentions",
    "visual_attentions",
    "text_attends_visual",
    "visual_attends_text",
)


def recorded_fields(states: ModelOutput) -> dict[str, Any]:
    """States and weights recorded on the way, for the output of a model with a head.

    Args:
        states: Output of the model without a head.

    Returns:
        What was recorded, by field.
    """
    return {name: states[name] for name in RECORDED_FIELDS if name in states}


@dataclass
class ViLBertModelOutput(ModelOutput):
    """States of both streams.

    Shapes: batch B, text T (one longer with a task token), regions R. States lie at their padded places; under packed
    execution those of padding are zero. A pass that records with gradients on is not packed, so that gradients of what
    is recorded can be asked for (`retain_grad`); under flash attention there are none.

    Args:
        last_hidden_state: Text states `[B, T, hidden_size]`.
        visual_last_hidden_state: Region states `[B, R, visual_hidden_size]`.
        pooler_output: Pooled text `[B, pooler_size]`.
        visual_pooler_output: Pooled image `[B, pooler_size]`; None when `fusion_method` is "text".
        hidden_states: Text embeddings, then the text states after every text and co-attention layer in order of
            execution.
        visual_hidden_states: The same for regions.
        attentions: Weights of each text layer, `[B, heads, T, T]`.
        visual_attentions: Weights of each image layer, `[B, heads, R, R]`.
        text_attends_visual: For each co-attention layer, how much each text token (query) looks at each region (key),
            `[B, heads, T, R]`.
        visual_attends_text: How much each region (query) looks at each text token (key), `[B, heads, R, T]`.
    """

    last_hidden_state: Tensor | None = None
    visual_last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    visual_pooler_output: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    visual_hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    visual_attentions: tuple[Tensor, ...] | None = None
    text_attends_visual: tuple[Tensor, ...] | None = None
    visual_attends_text: tuple[Tensor, ...] | None = None


@dataclass
class VisualBertModelOutput(ModelOutput):
    """States of the one stream, text first.

    Args:
        last_hidden_state: States `[B, T + R, hidden_size]`; `[B, T, hidden_size]` for text alone.
        pooler_output: Pooled text `[B, pooler_size]`.
        visual_pooler_output: Pooled first region `[B, pooler_size]`; None when `fusion_method` is "text".
        hidden_states: Embeddings, then the states after every layer.
        attentions: Weights of each layer, `[B, heads, T + R, T + R]` (with `bypass_transformer`: `[B, heads, T, T]`
            and, for the additional layer, `[B, heads, T + R, T + R]`).
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    visual_pooler_output: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class PreTrainingOutput(ModelOutput):
    """Losses and logits of pre-training, for both models.

    A term whose labels are not given is None; one whose labels ask for nothing is 0.

    Args:
        loss: Sum of the terms below, or None without any label.
        mlm_loss: Masked language modelling.
        region_loss: Masked region modelling, the sum of `region_losses` times their weights in `region_targets`.
        region_losses: Masked region modelling by target, unweighted.
        alignment_loss: Whether text and image match.
        prediction_logits: Vocabulary logits, `[B, T, vocab_size]` (VisualBERT: `[B, T + R, vocab_size]`). With labels
            they are None unless `return_logits=True`.
        region_logits: Region predictions by target, `[B, R, size]`. With labels None unless `return_logits=True`.
        seq_relationship_logits: `[B, 2]`; column 0 means that text and image match.
        hidden_states: As in the model's output.
        visual_hidden_states: As in `ViLBertModelOutput`.
        attentions: As in the model's output.
        visual_attentions: As in `ViLBertModelOutput`.
        text_attends_visual: As in `ViLBertModelOutput`.
        visual_attends_text: As in `ViLBertModelOutput`.
    """

    loss: Tensor | None = None
    mlm_loss: Tensor | None = None
    region_loss: Tensor | None = None
    region_losses: dict[str, Tensor] | None = None
    alignment_loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    region_logits: dict[str, Tensor] | None = None
    seq_relationship_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    visual_hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    visual_attentions: tuple[Tensor, ...] | None = None
    text_attends_visual: tuple[Tensor, ...] | None = None
    visual_attends_text: tuple[Tensor, ...] | None = None


@dataclass
class TaskOutput(ModelOutput):
    """Loss and logits of a task, for all task classes of both models.

    Args:
        loss: The task's loss, or None without labels.
        logits: The task's scores; each class names their shape.
        hidden_states: As in the model's output, a row a text read with an image.
        visual_hidden_states: As in `ViLBertModelOutput`.
        attentions: As in the model's output.
        visual_attentions: As in `ViLBertModelOutput`.
        text_attends_visual: As in `ViLBertModelOutput`.
        visual_attends_text: As in `ViLBertModelOutput`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    visual_hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    visual_attentions: tuple[Tensor, ...] | None = None
    text_attends_visual: tuple[Tensor, ...] | None = None
    visual_attends_text: tuple[Tensor, ...] | None = None
