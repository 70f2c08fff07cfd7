"""Scoring texts against images: caption-based image retrieval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers.configuration_utils import PreTrainedConfig
from transformers.utils import can_return_tuple

from .input_checks import check_ids
from .losses import IGNORE_INDEX, classification_loss, contrastive_loss
from .model_inputs import ModelInputs, all_pairs
from .outputs import TaskOutput, recorded_fields
from .read_places import POOLED
from .task_models import Read, Task, TaskMixin, ViLBertTaskModel, VisualBertTaskModel, evaluate


class AlignmentHead(nn.Module):
    """The log-odds of a match, from the head of pre-training's text-image alignment.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.seq_relationship = nn.Linear(config.pooler_size, 2)

    def forward(self, fused: Tensor) -> Tensor:
        """`[P, pooler_size]` to `[P, 1]`."""
        match, mismatch = self.seq_relationship(fused).split(1, dim=1)
        return match - mismatch


class ImageTextRetrieval(Task):
    """One score for a text and an image; see `retrieval_head`."""

    extra_inputs = ("pair_index", "owners", "return_loss")
    options = ("top_k",)

    def build_head(self, region_size: int) -> nn.Module:
        """The alignment head, or a linear layer of one output."""
        if self.config.retrieval_head == "alignment":
            return AlignmentHead(self.config)
        return nn.Linear(self.config.pooler_size, 1)

    def run(
        self,
        read: Read,
        head: nn.Module,
        inputs: ModelInputs,
        labels: Tensor | None,
        pair_index: Tensor | None = None,
        owners: Tensor | None = None,
        return_loss: bool | None = None,
    ) -> TaskOutput:
        """Score texts and images.

        Args:
            read: Runs the model.
            head: What `build_head` built.
            inputs: N texts and M images.
            labels: The right candidate of each row `[B]`, -100 to skip; only with `pair_index`.
            pair_index: Rows of candidates `[B, C, 2]`; None for all pairs.
            owners: The image of each text `[N]`.
            return_loss: Whether to compute the loss of all pairs.

        Returns:
            Loss, and logits `[B, C]` or `[N, M]`.
        """
        regions = inputs.visual_embeds
        if regions is None:
            raise ValueError("visual_embeds are missing: texts are scored against images")
        shape = (inputs.input_ids.shape[0], regions.shape[0]) if pair_index is None else tuple(pair_index.shape[:2])
        if pair_index is None:
            pairs = all_pairs(*shape, regions.device)
        elif pair_index.dim() == 3 and pair_index.shape[2] == 2:
            pairs = pair_index.flatten(0, 1)
        else:
            raise ValueError(
                "pair_index must be [examples, candidates, 2] of text row and image row, or left out for "
                f"all pairs, got {list(pair_index.shape)}"
            )
        self._check_loss(pair_index, labels, owners, return_loss)
        reading = read(replace(inputs, pair_index=pairs), POOLED)
        logits = head(self.drop(reading.fused, head)).view(shape)
        loss = None
        if labels is not None:
            check_ids("labels", labels, shape[:1], shape[1], "the candidates of a row", IGNORE_INDEX)
            loss = classification_loss(logits, labels)
        elif return_loss:
            loss = contrastive_loss(logits, self._owners(owners, logits))
        return TaskOutput(loss=loss, logits=logits, **recorded_fields(reading.states))

    @staticmethod
    def _check_loss(
        pair_index: Tensor | None, labels: Tensor | None, owners: Tensor | None, return_loss: bool | None
    ) -> None:
        if labels is not None and pair_index is None:
            raise ValueError(
                "labels name the right candidate of a row, so they need pair_index [examples, candidates, 2]. For the "
                "loss of all pairs of a batch give return_loss=True, and owners where texts and images are not paired "
                "one to one"
            )
        if pair_index is not None and labels is None and return_loss:
            raise ValueError("return_loss=True with pair_index needs labels, the right candidate of each row")
        if owners is not None and (pair_index is not None or not return_loss):
            raise ValueError("owners are read for the loss of all pairs: give return_loss=True and no pair_index")

    @staticmethod
    def _owners(owners: Tensor | None, logits: Tensor) -> Tensor:
        num_texts, num_images = logits.shape
        if owners is None:
            if num_texts != num_images:
                raise ValueError(
                    f"{num_texts} texts and {num_images} images: tell by owners [{num_texts}] which image each text "
                    "belongs to"
                )
            return torch.arange(num_texts, device=logits.device)
        check_ids("owners", owners, (num_texts,), num_images, "the images given")
        return owners.long()

    def decode(
        self, logits: Tensor, inputs: Mapping[str, Any], top_k: int | None = None
    ) -> list[list[dict[str, Any]]]:
        """The images of every text.

        Args:
            logits: `[N, M]`.
            inputs: Must have no `pair_index`.
            top_k: Images a text; None for all.

        Returns:
            For every text its images, best first: `{"image": row, "score": logit}`.

        Raises:
            ValueError: When only some pairs were scored.
        """
        if inputs.get("pair_index") is not None:
            raise ValueError("predict ranks all images for every text: leave pair_index out, or read forward's logits")
        scores, images = logits.sort(dim=1, descending=True, stable=True)
        return [
            [{"image": image, "score": score} for image, score in zip(row, row_scores, strict=True)][:top_k]
            for row, row_scores in zip(images.tolist(), scores.tolist(), strict=True)
        ]


class ImageTextRetrievalMixin(TaskMixin):
    """Texts against images, and rankings, as `predict` gives them."""

    task_class = ImageTextRetrieval

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
        pair_index: Tensor | None = None,
        labels: Tensor | None = None,
        owners: Tensor | None = None,
        return_loss: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> TaskOutput:
        """Score texts and images, and compute the loss when it is asked for.

        What is read of a text alone, and of an image alone, is computed once.

        Args:
            input_ids: Word pieces of N texts `[N, T]`.
            visual_embeds, visual_locations, visual_attention_mask, visual_token_type_ids: M images `[M, R, ...]`.
            attention_mask, token_type_ids, position_ids: `[N, T]`.
            image_text_alignment: A row a pair `[pairs, R, A]`, for VisualBERT; all pairs lie text by text.
            task_ids: `[N]`, for a ViLBERT with `num_task_tokens`.
            pair_index: Candidates of each row as (text row, image row) `[B, C, 2]`, for example the right pair, a
                random text, a random image and a hard negative (ViLBERT paper, section 3.2). None for all pairs.
            labels: The right candidate of each row `[B]`, -100 to skip; cross-entropy over the candidates.
            owners: The image row that each text belongs to `[N]`, for `return_loss`; None pairs row i with row i.
            return_loss: Whether to compute the loss of all pairs: cross-entropy of each text over the images and of
                each image over the texts. Texts of one image are no negatives of each other.
            output_attentions, output_hidden_states: Whether to return weights, and the states of every layer.

        Returns:
            Loss, and logits: `[N, M]` for all pairs, `[B, C]` with `pair_index`.

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
        return self.task.run(self.read, self.cls, inputs, labels, pair_index, owners, return_loss)

    def predict(self, *, top_k: int | None = None, **inputs: Any) -> list[list[dict[str, Any]]]:
        """Rank all images for every text.

        For more pairs than fit into memory use `modeling_vl.retrieval.score_pairs`.

        Args:
            top_k: Images a text; None for all.
            **inputs: Arguments of `forward`, without `pair_index`.

        Returns:
            For every text its images, best first: `{"image": row, "score": score}`. With `retrieval_head` "alignment"
            the score is the log-odds of a match.

        Raises:
            ValueError: When `pair_index` is given.
        """
        return self.task.decode(evaluate(self, inputs), inputs, top_k)


class ViLBertForImageTextRetrieval(ImageTextRetrievalMixin, ViLBertTaskModel):
    """ViLBERT for caption-based image retrieval (section 3.2 of the paper), zero-shot from pre-training or fine-tuned.

    Layers before the first co-attention run once a text and once an image.
    """


class VisualBertForImageTextRetrieval(ImageTextRetrievalMixin, VisualBertTaskModel):
    """VisualBERT for caption-based image retrieval; region features are projected once an image."""
