"""Choosing one of several texts about an image: VCR, answers to a question and rationales of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .input_checks import check_ids
from .losses import IGNORE_INDEX, classification_loss
from .model_inputs import IMAGE_INPUTS, LINK, TEXT_INPUTS, ModelInputs
from .outputs import TaskOutput, recorded_fields
from .read_places import POOLED
from .task_models import Read, Task, TaskMixin, ViLBertTaskModel, VisualBertTaskModel, evaluate


class MultipleChoice(Task):
    """One score a choice, and a softmax over the choices."""

    def build_head(self, region_size: int) -> nn.Module:
        """A linear layer of one output on the fused text and image."""
        return nn.Linear(self.config.pooler_size, 1)

    def run(self, read: Read, head: nn.Module, inputs: ModelInputs, labels: Tensor | None) -> TaskOutput:
        """Score the choices.

        Args:
            read: Runs the model.
            head: What `build_head` built.
            inputs: Texts `[B, C, T]` and images, `[B, R, ...]` or, another for every choice, `[B, C, R, ...]`.
            labels: The right choice `[B]`, -100 to skip.

        Returns:
            Loss, and logits `[B, C]`.
        """
        shape = inputs.input_ids.shape[:2]
        reading = read(one_row_a_choice(inputs), POOLED)
        logits = head(self.drop(reading.fused, head)).view(shape)
        loss = None
        if labels is not None:
            check_ids("labels", labels, shape[:1], shape[1], "the choices given", IGNORE_INDEX)
            loss = classification_loss(logits, labels)
        return TaskOutput(loss=loss, logits=logits, **recorded_fields(reading.states))

    def decode(self, logits: Tensor, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The choice of every example.

        Args:
            logits: `[B, C]`.
            inputs: Not read.

        Returns:
            `{"choice": number, "scores": probabilities of all choices}` for every example.
        """
        choices = logits.argmax(1).tolist()
        scores = logits.softmax(1).tolist()
        return [{"choice": choice, "scores": row} for choice, row in zip(choices, scores, strict=True)]


def one_row_a_choice(inputs: ModelInputs) -> ModelInputs:
    """Texts of all choices as rows, each paired with its image; an image given once is read once where that can be.

    Args:
        inputs: Texts `[B, C, T]`; images `[B, R, ...]` or `[B, C, R, ...]`; `image_text_alignment` `[B, C, R, A]`.

    Returns:
        Texts `[B * C, T]`.

    Raises:
        ValueError: When the shapes do not fit each other.
    """
    ids = inputs.input_ids
    if ids.dim() != 3 or ids.numel() == 0:
        raise ValueError(
            f"input_ids must be [examples, choices, word pieces] for multiple choice, got {list(ids.shape)}"
        )
    shape = ids.shape[:2]
    rows = torch.arange(shape[0] * shape[1], device=ids.device)
    inputs = inputs.regrouped((*TEXT_INPUTS, LINK), shape, "examples, choices", lambda x: x.flatten(0, 1))
    if inputs.task_ids is not None:
        inputs = replace(inputs, task_ids=inputs.task_ids.repeat_interleave(shape[1], 0))
    if inputs.visual_embeds is None:
        return inputs
    if inputs.visual_embeds.dim() == 4:
        return inputs.regrouped(IMAGE_INPUTS, shape, "examples, choices", lambda x: x.flatten(0, 1))
    inputs = inputs.regrouped(IMAGE_INPUTS, shape[:1], "examples", lambda x: x)
    return replace(inputs, pair_index=torch.stack((rows, rows // shape[1]), 1))


class MultipleChoiceMixin(TaskMixin):
    """Choices, as `predict` gives them."""

    task_class = MultipleChoice

    def predict(self, **inputs: Any) -> list[dict[str, Any]]:
        """Choose.

        Args:
            **inputs: Arguments of `forward`.

        Returns:
            `{"choice": number, "scores": probabilities of all choices}` for every example.
        """
        return self.task.decode(evaluate(self, inputs), inputs)


class ViLBertForMultipleChoice(MultipleChoiceMixin, ViLBertTaskModel):
    """ViLBERT for VCR (section 3.2 of the paper): a score for each text, softmax over the choices.

    Texts are `[B, C, T]` with any number C of choices. Images are `[B, R, ...]`, and the image layers before the first
    co-attention then run once an image, or `[B, C, R, ...]`. Labels are `[B]`, logits `[B, C]`.
    """


class VisualBertForMultipleChoice(MultipleChoiceMixin, VisualBertTaskModel):
    """VisualBERT for VCR (section 4.2 of the paper): a score for each text, softmax over the choices.

    Texts are `[B, C, T]` with any number C of choices, `image_text_alignment` is `[B, C, R, A]`. Images are
    `[B, R, ...]`, and region features are then projected once an image, or `[B, C, R, ...]`, as in transformers' class
    of this name. Labels are `[B]`, logits `[B, C]`.
    """
