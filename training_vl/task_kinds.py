"""What the kinds of task differ in: the model, the collator, and what a prediction is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoModelForVisualQuestionAnswering,
)

from configuration_vl.configuration_vision_language import VisionLanguageConfig
from modeling_vl import AutoModelForPhraseGrounding, AutoModelForRegionGrounding
from modeling_vl.task_models import Task
from processing_vl.processing_regions import RegionTextProcessor
from processing_vl.task_collators import (
    ClassificationCollator,
    MultipleChoiceCollator,
    PhraseGroundingCollator,
    QuestionAnsweringCollator,
    RegionGroundingCollator,
    TaskCollator,
)

from .training_loop import Batch

Prediction = dict[str, Any]
"""Of one example. question_answering: `answer` and its `score`; multiple_choice: `choice` and the `scores` of all;
classification: `label` and its `score`; referring_expressions: `boxes` `[R, 4]` and `scores` `[R]`; phrase_grounding:
`boxes` `[R, 4]` and `scores` `[P, R]`, for at least as many phrases as there are."""

Predict = Callable[[Task, Tensor, Batch], list[Prediction]]


@dataclass(frozen=True, kw_only=True)
class KindOfTask:
    """How a model does tasks of one kind.

    Attributes:
        auto_class: Finds the model class for a config.
        collator: Makes batches; called with the processor and the settings of `TaskCollator`.
        has_classes: Whether the model, and the collator, must know how many classes there are.
        predict: Makes predictions of a model's logits (float32, on the CPU) for a batch; `Task` knows what they mean.
    """

    auto_class: type
    collator: Callable[..., TaskCollator]
    has_classes: bool
    predict: Predict

    def make_collator(
        self, processor: RegionTextProcessor, config: VisionLanguageConfig, **settings: Any
    ) -> TaskCollator:
        """The collator for a model.

        Args:
            processor: Encodes texts and regions.
            config: Of the model.
            **settings: Of `TaskCollator`.

        Returns:
            The collator.
        """
        if self.has_classes:
            settings["num_labels"] = config.num_labels
        return self.collator(processor, **settings)


def _best_answers(head: Task, logits: Tensor, batch: Batch) -> list[Prediction]:
    return [best for (best,) in head.decode(logits, batch)]


def _decoded(head: Task, logits: Tensor, batch: Batch) -> list[Prediction]:
    return head.decode(logits, batch)


def _scored_boxes(head: Task, logits: Tensor, batch: Batch) -> list[Prediction]:
    """Scores `[B, R]` or `[B, P, R]` of the boxes that may be chosen."""
    boxes, kept = batch["region_boxes"].cpu().numpy(), batch["is_proposal"].cpu().numpy()
    return [
        {"boxes": of_image[keep], "scores": scores[..., keep]}
        for of_image, keep, scores in zip(boxes, kept, logits.numpy(), strict=True)
    ]


def _scored_boxes_of_phrases(head: Task, logits: Tensor, batch: Batch) -> list[Prediction]:
    predictions = _scored_boxes(head, logits, batch)
    for prediction, positions in zip(predictions, batch["phrase_positions"].tolist(), strict=True):
        # A phrase whose words were cut off has no scores: nothing is better than anything else.
        lost = np.array([position < 0 for position in positions])
        prediction["scores"] = np.where(lost[:, None], 0.0, prediction["scores"])
    return predictions


KINDS: dict[str, KindOfTask] = {
    "question_answering": KindOfTask(
        auto_class=AutoModelForVisualQuestionAnswering,
        collator=QuestionAnsweringCollator,
        has_classes=True,
        predict=_best_answers,
    ),
    "multiple_choice": KindOfTask(
        auto_class=AutoModelForMultipleChoice, collator=MultipleChoiceCollator, has_classes=False, predict=_decoded
    ),
    "classification": KindOfTask(
        auto_class=AutoModelForSequenceClassification,
        collator=ClassificationCollator,
        has_classes=True,
        predict=_decoded,
    ),
    "referring_expressions": KindOfTask(
        auto_class=AutoModelForRegionGrounding,
        collator=RegionGroundingCollator,
        has_classes=False,
        predict=_scored_boxes,
    ),
    "phrase_grounding": KindOfTask(
        auto_class=AutoModelForPhraseGrounding,
        collator=PhraseGroundingCollator,
        has_classes=False,
        predict=_scored_boxes_of_phrases,
    ),
}
"""All kinds but retrieval, whose examples are pairs and whose measure is a matrix."""
