"""Masked language modelling with images: task-specific pre-training (VisualBERT paper, section 3.2)."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.configuration_utils import PreTrainedConfig
from transformers.utils import can_return_tuple

from .heads import MaskedTokenHeads, VocabularyHeadMixin
from .input_checks import check_text_labels
from .losses import IGNORE_INDEX
from .model_inputs import ModelInputs
from .outputs import TaskOutput, recorded_fields
from .read_places import ReadPlaces
from .task_models import ViLBertTaskModel, VisualBertTaskModel, evaluate


class MaskedLMMixin(VocabularyHeadMixin):
    """A model with the head for masked words, put in front of `ViLBertTaskModel` or `VisualBertTaskModel`.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)
        self.cls = MaskedTokenHeads(config)
        self.post_init()

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
        labels: Tensor | None = None,
        return_logits: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> TaskOutput:
        """Read texts and images, and predict masked words.

        Args:
            input_ids: Word pieces `[B, T]`, some of them masked.
            visual_embeds, visual_locations, visual_attention_mask, visual_token_type_ids: Regions `[B, R, ...]`.
            attention_mask, token_type_ids, position_ids: `[B, T]`.
            image_text_alignment: `[B, R, A]`, for VisualBERT.
            task_ids: `[B]`, for a ViLBERT with `num_task_tokens`.
            labels: Word pieces to predict `[B, T]`, -100 elsewhere; `[B, T + R]` with -100 over regions is accepted.
            return_logits: Whether to compute the logits of all word pieces; None means only without labels.
            output_attentions, output_hidden_states: Whether to return weights, and the states of every layer.

        Returns:
            Loss, the mean over labelled places, and logits `[B, T, vocab_size]`.

        Raises:
            ValueError: When inputs do not fit the model or each other, or labels lie where nothing is predicted.
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
        wanted = return_logits or (return_logits is None and labels is None)
        read_text = True if wanted or labels is None else labels != IGNORE_INDEX
        reading = self.read(inputs, ReadPlaces(text=read_text, regions=False, pooled=False))
        loss = None
        if labels is not None:
            num_regions = 0 if visual_embeds is None else visual_embeds.shape[1]
            labels = check_text_labels(labels, *reading.tokens.shape[:2], num_regions)
            loss = self.cls.token_loss(reading.tokens, labels, reading.token_mask)
        logits = self.cls.predictions(reading.tokens) if wanted else None
        return TaskOutput(loss=loss, logits=logits, **recorded_fields(reading.states))

    def predict(self, *, mask_token_id: int, top_k: int = 1, **inputs: Any) -> list[list[list[dict[str, Any]]]]:
        """Predict the masked words.

        Args:
            mask_token_id: The word piece that stands for a masked one (`tokenizer.mask_token_id`).
            top_k: Word pieces a place.
            **inputs: Arguments of `forward`.

        Returns:
            For every text, for every masked place in order, the word pieces, best first:
            `{"token_id": word piece, "score": probability}`.
        """
        logits = evaluate(self, {**inputs, "return_logits": True})
        masked = inputs["input_ids"].cpu() == mask_token_id
        return [
            [
                [
                    {"token_id": token, "score": score}
                    for score, token in zip(scores.tolist(), tokens.tolist(), strict=True)
                ]
                for scores, tokens in zip(*row[places].softmax(-1).topk(top_k), strict=True)
            ]
            for row, places in zip(logits, masked, strict=True)
        ]


class ViLBertForMaskedLM(MaskedLMMixin, ViLBertTaskModel):
    """ViLBERT with its head for masked words alone; labels are `[B, T]`, logits `[B, T, vocab_size]`."""

    _tied_weights_keys = {"cls.predictions.decoder.weight": "vilbert.text_embeddings.word_embeddings.weight"}


class VisualBertForMaskedLM(MaskedLMMixin, VisualBertTaskModel):
    """VisualBERT with its head for masked words alone; labels are `[B, T]`, logits `[B, T, vocab_size]`.

    This is the paper's task-specific pre-training, and uclanlp's `vqa_advanced`: answers as masked words.
    """

    _tied_weights_keys = {"cls.predictions.decoder.weight": "visual_bert.embeddings.word_embeddings.weight"}
