"""Finding the regions of every phrase of a sentence: Flickr30k Entities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers.configuration_utils import PreTrainedConfig
from transformers.utils import can_return_tuple

from .input_checks import can_read_values, check_finite, check_floating, check_ids, check_text
from .losses import divergence_loss
from .model_inputs import ModelInputs
from .outputs import TaskOutput, recorded_fields
from .read_places import ReadPlaces
from .region_grounding import Boxes, hide_padding, image_regions, ranked_regions, region_states
from .task_models import Read, Task, TaskMixin, ViLBertTaskModel, VisualBertTaskModel, evaluate

NO_PHRASE = -1
"""Place of a phrase that is not there."""


# Were its name one of attention, transformers would look for its attention functions here, find none, and no longer
# let the model change between them.
class PhraseScores(nn.Module):
    """How much a phrase looks at each region: one attention head without values (VisualBERT paper, section 4.4).

    Args:
        config: The model's configuration.
        region_size: Width of the region states.
    """

    def __init__(self, config: PreTrainedConfig, region_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(config.hidden_size, config.phrase_attention_size)
        self.key = nn.Linear(region_size, config.phrase_attention_size)

    def forward(self, phrases: Tensor, regions: Tensor) -> Tensor:
        """Score regions for phrases.

        Args:
            phrases: `[B, P, hidden_size]`.
            regions: `[B, R, region_size]`.

        Returns:
            `[B, P, R]`.
        """
        queries, keys = self.query(phrases), self.key(regions)
        return queries @ keys.transpose(1, 2) / queries.shape[-1] ** 0.5


class PhraseGrounding(Task):
    """A distribution over the regions for each phrase, from the state of its last word piece."""

    extra_inputs = ("phrase_positions",)
    options = ("top_k", "boxes")

    def build_head(self, region_size: int) -> nn.Module:
        """The attention of phrases over regions."""
        return PhraseScores(self.config, region_size)

    def run(
        self,
        read: Read,
        head: nn.Module,
        inputs: ModelInputs,
        labels: Tensor | None,
        phrase_positions: Tensor | None = None,
    ) -> TaskOutput:
        """Score the regions for each phrase.

        Args:
            read: Runs the model.
            head: What `build_head` built.
            inputs: Sentences and images.
            labels: Wanted distribution of each phrase `[B, P, R]`.
            phrase_positions: Place of each phrase's last word piece `[B, P]`, -1 where there are fewer.

        Returns:
            Loss, and logits `[B, P, R]`.
        """
        if phrase_positions is None or phrase_positions.dim() != 2:
            raise ValueError(
                "phrase_positions must be [sentences, phrases], the places of the phrases' last word pieces, got "
                f"{None if phrase_positions is None else list(phrase_positions.shape)}"
            )
        check_text(self.config, inputs.input_ids, inputs.attention_mask, inputs.token_type_ids, inputs.position_ids)
        batch_size, length = inputs.input_ids.shape
        shape = (batch_size, phrase_positions.shape[1])
        check_ids("phrase_positions", phrase_positions, shape, length, "the word pieces given", NO_PHRASE)
        there = phrase_positions != NO_PHRASE
        places = phrase_positions.where(there, 0).long()
        ends = torch.zeros_like(inputs.input_ids, dtype=torch.bool).scatter(1, places, True)
        reading = read(inputs, ReadPlaces(text=ends, pooled=False))
        self._check_on_text(places, there, reading.token_mask)
        rows = torch.arange(batch_size, device=places.device)[:, None]
        scores = head(reading.tokens[rows, places], region_states(reading))
        logits = hide_padding(scores, reading.region_mask)
        loss = None
        if labels is not None:
            self._check_labels(labels, logits, there, reading.region_mask)
            loss = divergence_loss(logits, labels)
        return TaskOutput(loss=loss, logits=logits, **recorded_fields(reading.states))

    @staticmethod
    def _check_on_text(places: Tensor, there: Tensor, token_mask: Tensor | None) -> None:
        if token_mask is None or not can_read_values(places):
            return
        rows = (there & ~token_mask.bool().gather(1, places)).any(1).nonzero().flatten().tolist()
        if rows:
            raise ValueError(
                f"phrase_positions of rows {rows} lie on padding: give {NO_PHRASE} where there is no phrase"
            )

    @staticmethod
    def _check_labels(labels: Tensor, logits: Tensor, there: Tensor, region_mask: Tensor | None) -> None:
        check_floating("labels (a distribution over regions for each phrase)", labels, logits.shape)
        check_finite("labels", labels, 0)
        if not can_read_values(labels):
            return
        possible = there[..., None] if region_mask is None else there[..., None] & region_mask.bool()[:, None]
        rows = ((labels > 0) & ~possible).flatten(1).any(1).nonzero().flatten().tolist()
        if rows:
            raise ValueError(
                f"labels of rows {rows} are above 0 at padded regions, or for phrases whose position is {NO_PHRASE}: "
                "give these places 0"
            )

    def decode(
        self, logits: Tensor, inputs: Mapping[str, Any], top_k: int = 1, boxes: Boxes | None = None
    ) -> list[list[list[dict[str, Any]]]]:
        """The regions of each phrase.

        Args:
            logits: `[B, P, R]`.
            inputs: `phrase_positions` `[B, P]` is read, and `visual_attention_mask` `[B, R]` where there is one.
            top_k: Regions a phrase.
            boxes: Boxes of every image's regions.

        Returns:
            For every sentence, for every phrase its regions, best first, as `ranked_regions` gives them.
        """
        images = image_regions(inputs.get("visual_attention_mask"), boxes, len(logits))
        return [
            [
                ranked_regions(row, row.softmax(-1), mask, top_k, image_boxes)
                for row, position in zip(rows, positions, strict=True)
                if position != NO_PHRASE
            ]
            for rows, positions, (mask, image_boxes) in zip(
                logits, inputs["phrase_positions"].tolist(), images, strict=True
            )
        ]


class PhraseGroundingMixin(TaskMixin):
    """Phrases and their regions, as `predict` gives them."""

    task_class = PhraseGrounding
    head_name = "attention"

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        visual_embeds: Tensor | None = None,
        visual_locations: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        visual_token_type_ids: Tensor | None = None,
        image_text_alignment: Tensor | None = None,
        task_ids: Tensor | None = None,
        phrase_positions: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> TaskOutput:
        """Score the regions for each phrase, and compute the loss when labels are given.

        Args:
            input_ids: Word pieces of the sentences `[B, T]`.
            visual_embeds, visual_locations, visual_attention_mask, visual_token_type_ids: Regions `[B, R, ...]`.
            attention_mask, token_type_ids, position_ids: `[B, T]`.
            image_text_alignment: `[B, R, A]`, for VisualBERT.
            task_ids: `[B]`, for a ViLBERT with `num_task_tokens`.
            phrase_positions: Place of each phrase's last word piece `[B, P]`, -1 where a sentence has fewer phrases.
            labels: Wanted distribution over the regions `[B, P, R]`, for example uniform over those that overlap the
                phrase's boxes; phrases whose row is all zeros are skipped.
            output_attentions, output_hidden_states: Whether to return weights, and the states of every layer.

        Returns:
            Loss, the divergence summed over phrases and divided by the batch size (uclanlp), and logits `[B, P, R]`,
            at padded regions the lowest number there is.

        Raises:
            ValueError: When inputs or labels do not fit the model or each other; the message says what was expected,
                what came and what to do.
        """
        inputs = ModelInputs(
            input_ids=input_ids,
            visual_embeds=visual_embeds,
            visual_locations=visual_locations,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            visual_attention_mask=visual_attention_mask,
            visual_token_type_ids=visual_token_type_ids,
            image_text_alignment=image_text_alignment,
            task_ids=task_ids,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        return self.task.run(self.read, self.attention, inputs, labels, phrase_positions)

    def predict(
        self, *, top_k: int = 1, boxes: Boxes | None = None, **inputs: Any
    ) -> list[list[list[dict[str, Any]]]]:
        """Find the regions of phrases.

        Args:
            top_k: Regions a phrase.
            boxes: Boxes of every image's regions, for example x1 y1 x2 y2 in pixels, `[B, R, 4]`; the region for the
                whole image that a processor adds has one too.
            **inputs: Arguments of `forward`.

        Returns:
            For every sentence, for every phrase its regions, best first: `{"region": number, "score": share of the
            phrase's attention}`, and with `boxes` also `"box"`.
        """
        return self.task.decode(evaluate(self, inputs), inputs, top_k, boxes)


class ViLBertForPhraseGrounding(PhraseGroundingMixin, ViLBertTaskModel):
    """ViLBERT for Flickr30k Entities with VisualBERT's head: phrases look at region states.

    All phrases of a sentence are found in one pass. vilbert-multi-task reads one phrase at a time instead, as a
    referring expression: that is `ViLBertForRegionGrounding`.
    """


class VisualBertForPhraseGrounding(PhraseGroundingMixin, VisualBertTaskModel):
    """VisualBERT for Flickr30k Entities (section 4.4 of the paper): phrases look at region states.

    Parameters are named as in transformers' `VisualBertForRegionToPhraseAlignment`, whose `cls.*` and
    `attention.value` take no part in the scores and are not loaded.
    """

    _keys_to_ignore_on_load_unexpected = [r"cls\..+", r"attention\.value\.(weight|bias)"]
