"""Judging a statement about one image (SNLI-VE) or two (NLVR2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .input_checks import check_ids
from .losses import IGNORE_INDEX, classification_loss
from .model_inputs import IMAGE_INPUTS, LINK, ModelInputs
from .outputs import TaskOutput, recorded_fields
from .read_places import POOLED
from .task_models import Read, Task, TaskMixin, ViLBertTaskModel, VisualBertTaskModel, build_classifier, evaluate

PAIR = "examples, 2 images"


class SequenceClassification(Task):
    """A class for a text with its image, or with its two images; see `num_images` and `image_pair_method`."""

    def build_head(self, region_size: int) -> nn.Module:
        """A classifier of one or two layers on the fused vector, or on those of both images."""
        config = self.config
        input_size = config.pooler_size * (2 if self._pools_pairs else 1)
        return build_classifier(config, input_size, config.classifier_hidden_size, config.num_labels)

    @property
    def _pools_pairs(self) -> bool:
        return self.config.num_images == 2 and self.config.image_pair_method == "pooled"

    def run(self, read: Read, head: nn.Module, inputs: ModelInputs, labels: Tensor | None) -> TaskOutput:
        """Classify.

        Args:
            read: Runs the model.
            head: What `build_head` built.
            inputs: Texts `[B, T]` and images, `[B, R, ...]` or `[B, 2, R, ...]`.
            labels: Classes `[B]`, -100 to skip.

        Returns:
            Loss, and logits `[B, num_labels]`.
        """
        if self.config.num_images == 2:
            inputs = self._both_images(inputs)
        reading = read(inputs, POOLED)
        fused = reading.fused.view(inputs.input_ids.shape[0], -1)
        logits = head(self.drop(fused, head))
        loss = None
        if labels is not None:
            check_ids("labels", labels, logits.shape[:1], logits.shape[1], "num_labels", IGNORE_INDEX)
            loss = classification_loss(logits, labels)
        return TaskOutput(loss=loss, logits=logits, **recorded_fields(reading.states))

    def _both_images(self, inputs: ModelInputs) -> ModelInputs:
        joins, regions = self.config.image_pair_method == "sequence", inputs.visual_embeds
        shape = None if regions is None else list(regions.shape)
        if joins and regions is not None and regions.dim() == 3:
            if inputs.visual_token_type_ids is None:
                raise ValueError(
                    f"visual_embeds {shape} are one sequence, so visual_token_type_ids must tell the two images' "
                    "regions apart; or give both images as [examples, 2, regions, features]"
                )
            return inputs
        if regions is None or regions.dim() != 4 or regions.shape[1] != 2:
            raise ValueError(
                "visual_embeds must be [examples, 2, regions, features] for a model of two images (num_images 2), got "
                f"{shape}"
            )
        leading = regions.shape[:2]
        if joins:
            if inputs.visual_token_type_ids is None:
                types = torch.arange(2, device=regions.device)[:, None].expand(*regions.shape[:3])
                inputs = replace(inputs, visual_token_type_ids=types)
            return inputs.regrouped((*IMAGE_INPUTS, LINK), leading, PAIR, lambda x: x.flatten(1, 2))
        inputs = inputs.regrouped((*IMAGE_INPUTS, LINK), leading, PAIR, lambda x: x.flatten(0, 1))
        images = torch.arange(2 * leading[0], device=regions.device)
        return replace(inputs, pair_index=torch.stack((images // 2, images), 1))

    def decode(self, logits: Tensor, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The class of every text.

        Args:
            logits: `[B, num_labels]`.
            inputs: Not read.

        Returns:
            `{"label": name, "score": probability}` for every text.
        """
        scores, labels = logits.softmax(1).max(1)
        names = self.config.id2label
        return [
            {"label": names[label], "score": score}
            for label, score in zip(labels.tolist(), scores.tolist(), strict=True)
        ]


class SequenceClassificationMixin(TaskMixin):
    """Classes, as `predict` gives them."""

    task_class = SequenceClassification

    def predict(self, **inputs: Any) -> list[dict[str, Any]]:
        """Classify.

        Args:
            **inputs: Arguments of `forward`.

        Returns:
            `{"label": name, "score": probability}` for every text. Names are those of the config's `id2label`.
        """
        return self.task.decode(evaluate(self, inputs), inputs)


class ViLBertForSequenceClassification(SequenceClassificationMixin, ViLBertTaskModel):
    """ViLBERT for statements about one image (SNLI-VE) or two (NLVR2; vilbert-multi-task).

    With `num_images` 2 the image inputs are `[B, 2, R, ...]`. Under `image_pair_method` "pooled" the text layers
    before the first co-attention run once a text, and the two fused vectors are concatenated; under "sequence" the
    regions form one sequence of two visual types, whose first region is the one that is pooled. Labels are `[B]`,
    logits `[B, num_labels]`.
    """


class VisualBertForSequenceClassification(SequenceClassificationMixin, VisualBertTaskModel):
    """VisualBERT for statements about one image (SNLI-VE) or two (NLVR2; section 4.3 of the paper).

    With `num_images` 2 the image inputs are `[B, 2, R, ...]`. Under `image_pair_method` "sequence" (the paper) they
    are joined with visual types 0 and 1, or come joined already with `visual_token_type_ids`; under "pooled" (MMF,
    VOLTA) the text is read with each. Labels are `[B]`, logits `[B, num_labels]`. Parameters are named as in
    transformers' `VisualBertForVisualReasoning`.
    """
