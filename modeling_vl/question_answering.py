"""Answering questions about an image: VQA and GQA as classification over a list of answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .input_checks import can_read_values, check_finite, check_floating, check_ids, check_text
from .losses import IGNORE_INDEX, classification_loss, divergence_loss, score_loss
from .model_inputs import ModelInputs
from .outputs import TaskOutput, recorded_fields
from .read_places import POOLED, ReadPlaces
from .task_models import Read, Task, TaskMixin, ViLBertTaskModel, VisualBertTaskModel, build_classifier, evaluate


class QuestionAnswering(Task):
    """Answers from the fused text and image, or from the `[MASK]` behind the question; see `answer_position`."""

    options = ("top_k",)

    def build_head(self, region_size: int) -> nn.Module:
        """A classifier over the answers, of one or two layers."""
        config = self.config
        input_size = config.hidden_size if config.answer_position == "mask" else config.pooler_size
        return build_classifier(config, input_size, config.classifier_hidden_size, config.num_labels)

    def run(self, read: Read, head: nn.Module, inputs: ModelInputs, labels: Tensor | None) -> TaskOutput:
        """Answer.

        Args:
            read: Runs the model.
            head: What `build_head` built.
            inputs: Questions and images.
            labels: Soft scores `[B, num_labels]`, or answers `[B]` with -100 to skip.

        Returns:
            Loss, and logits `[B, num_labels]`.
        """
        if self.config.answer_position == "pooled":
            reading = read(inputs, POOLED)
            state = reading.fused
        else:
            places = self._places_of_mask(inputs)
            read_text = torch.zeros_like(inputs.input_ids, dtype=torch.bool).scatter(1, places[:, None], True)
            reading = read(inputs, ReadPlaces(text=read_text, regions=False, pooled=False))
            state = reading.tokens[torch.arange(places.shape[0], device=places.device), places]
        logits = head(self.drop(state, head))
        loss = None if labels is None else self._loss(logits, labels)
        return TaskOutput(loss=loss, logits=logits, **recorded_fields(reading.states))

    def _places_of_mask(self, inputs: ModelInputs) -> Tensor:
        """The last word piece but one of every text: the `[MASK]` in front of the last `[SEP]`, `[B]`."""
        ids, mask = inputs.input_ids, inputs.attention_mask
        check_text(self.config, ids, mask, inputs.token_type_ids, inputs.position_ids)
        done = torch.ones_like(ids).cumsum(1) if mask is None else mask.long().cumsum(1)
        lengths = done[:, -1:]
        if can_read_values(lengths) and bool((lengths < 2).any()):
            raise ValueError(
                "answer_position 'mask' answers from the [MASK] in front of the last [SEP], but texts "
                f"{(lengths < 2).squeeze(1).nonzero().flatten().tolist()} have fewer than two word pieces"
            )
        return (done == lengths - 1).long().argmax(1)  # the first place where all real ones but one are done

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if labels.dim() == 1:
            check_ids("labels", labels, logits.shape[:1], logits.shape[1], "num_labels", IGNORE_INDEX)
            return classification_loss(logits, labels)
        check_floating("labels (soft answer scores; answer numbers would be [B])", labels, logits.shape)
        check_finite("labels", labels, 0, 1)
        return score_loss(logits, labels) if self.config.answer_loss == "bce" else divergence_loss(logits, labels)

    def decode(self, logits: Tensor, inputs: Mapping[str, Any], top_k: int = 1) -> list[list[dict[str, Any]]]:
        """The best answers of every question.

        Args:
            logits: `[B, num_labels]`.
            inputs: Not read.
            top_k: Answers a question.

        Returns:
            For every question its answers, best first: `{"answer": name, "score": probability}`.
        """
        # Under "bce" answers are judged one by one and several may be right; under "kl" they share a probability of 1.
        scores = logits.sigmoid() if self.config.answer_loss == "bce" else logits.softmax(-1)
        _, best = logits.topk(min(top_k, logits.shape[1]))
        names = self.config.id2label
        return [
            [{"answer": names[answer], "score": row[answer].item()} for answer in answers]
            for row, answers in zip(scores, best.tolist(), strict=True)
        ]


class VisualQuestionAnsweringMixin(TaskMixin):
    """Answers, as `predict` gives them."""

    task_class = QuestionAnswering

    def predict(self, *, top_k: int = 1, **inputs: Any) -> list[list[dict[str, Any]]]:
        """Answer questions.

        Args:
            top_k: Answers a question.
            **inputs: Arguments of `forward`.

        Returns:
            For every question its answers, best first: `{"answer": name, "score": probability}`. Names are those of
            the config's `id2label`.
        """
        return self.task.decode(evaluate(self, inputs), inputs, top_k)


class ViLBertForVisualQuestionAnswering(VisualQuestionAnsweringMixin, ViLBertTaskModel):
    """ViLBERT for VQA and GQA: two layers on the product of pooled text and image (section 3.2 of the paper).

    Labels are soft scores `[B, num_labels]` (binary cross-entropy summed over the answers) or answer numbers `[B]`;
    logits are `[B, num_labels]`.
    """


class VisualBertForVisualQuestionAnswering(VisualQuestionAnsweringMixin, VisualBertTaskModel):
    """VisualBERT for VQA and GQA: a linear layer on the `[MASK]` behind the question (section 4.1 of the paper).

    Labels are soft scores `[B, num_labels]` (divergence from the scores) or answer numbers `[B]`; logits are
    `[B, num_labels]`. Parameters are named as in transformers' `VisualBertForQuestionAnswering`.
    """
