"""The pre-training heads of both models: masked words, masked regions, text-image alignment."""

from __future__ import annotations

from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.configuration_utils import PreTrainedConfig
from transformers.utils import ModelOutput

from configuration_vl.region_targets import REGION_TARGETS

from .dropout import Dropout
from .input_checks import check_ids, check_labelled_places, check_region_input, check_region_values
from .losses import (
    IGNORE_INDEX,
    LossDenominators,
    classification_loss,
    draw_negative_regions,
    labelled_items,
    mean_over_labels,
    region_items,
)
from .outputs import PreTrainingOutput, recorded_fields
from .read_places import ReadPlaces
from .shared_table import share_table

LOSS_TERMS = ("mlm", "region", "alignment")


class RegionInputs(TypedDict, total=False):
    """What the losses of masked regions read, by target.

    Attributes:
        region_class_probs: The detector's class distribution `[B, R, num_region_classes]`, for "kl".
        region_features: Features before masking `[B, R, visual_embedding_dim]`, for "mse", "nce" and "huber".
        object_ids: Object classes `[B, R]`, for "class" and "object".
        object_scores: Their confidences `[B, R]`, for "object".
        attribute_ids: Attribute classes `[B, R]`, for "attribute".
        attribute_scores: Their confidences `[B, R]`, for "attribute".
        region_negative_indices: Flat places b * R + r of the negatives `[B, R, K]`, for "nce"; drawn when not given,
            which cannot be part of a full graph (`torch.compile(fullgraph=True)`).
    """

    region_class_probs: Tensor
    region_features: Tensor
    object_ids: Tensor
    object_scores: Tensor
    attribute_ids: Tensor
    attribute_scores: Tensor
    region_negative_indices: Tensor


class PredictionTransform(nn.Module):
    """Dense, activation and layer norm before a decoder.

    Args:
        hidden_size: Width of the stream.
        hidden_act: Name of the activation.
        layer_norm_eps: Epsilon of the layer norm, None for no layer norm.
    """

    def __init__(self, hidden_size: int, hidden_act: str, layer_norm_eps: float | None) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.activation = ACT2FN[hidden_act]
        self.LayerNorm = nn.Identity() if layer_norm_eps is None else nn.LayerNorm(hidden_size, eps=layer_norm_eps)

    def forward(self, states: Tensor) -> Tensor:
        """`[..., hidden_size]` to `[..., hidden_size]`."""
        return self.LayerNorm(self.activation(self.dense(states)))


class MaskedTokenHead(nn.Module):
    """Word-piece logits of text states.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.transform = PredictionTransform(config.hidden_size, config.hidden_act, config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, states: Tensor, word_table: Tensor | None = None) -> Tensor:
        """Predict words.

        Args:
            states: `[..., hidden_size]`.
            word_table: The decoder's weights of `shared_table.share_table`, None for the module's own.

        Returns:
            `[..., vocab_size]`.
        """
        states = self.transform(states)
        if word_table is not None:
            return nn.functional.linear(states, word_table, self.bias)
        # Called, not read for its weight: accelerate loads offloaded weights when a module is called.
        logits = self.decoder(states)
        return logits + self.bias.to(logits.dtype)

    def resize_bias(self, vocab_size: int) -> None:
        """Cut or extend the bias with zeros to `vocab_size` word pieces."""
        kept = self.bias.data[:vocab_size]
        self.bias = nn.Parameter(nn.functional.pad(kept, (0, vocab_size - len(kept))))


class VocabularyHeadMixin:
    """For models whose `cls.predictions` is a `MaskedTokenHead`: access to the decoder, and resizing with its bias."""

    def get_output_embeddings(self) -> nn.Linear:
        """The vocabulary decoder."""
        return self.cls.predictions.decoder

    def set_output_embeddings(self, decoder: nn.Linear) -> None:
        """Replace the vocabulary decoder."""
        self.cls.predictions.decoder = decoder

    def shared_word_table(self, labels: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """The word table for embeddings and decoder of a forward pass that trains both, see `share_table`."""
        trains = labels is not None and torch.is_grad_enabled()
        return share_table(self.get_input_embeddings(), self.get_output_embeddings()) if trains else (None, None)

    def resize_token_embeddings(self, new_num_tokens: int | None = None, *args: Any, **kwargs: Any) -> nn.Embedding:
        """Resize word embeddings, decoder and its bias together; arguments as in `PreTrainedModel`."""
        embeddings = super().resize_token_embeddings(new_num_tokens, *args, **kwargs)
        self.cls.predictions.resize_bias(embeddings.num_embeddings)
        return embeddings


class MaskedRegionHead(nn.Module):
    """Predictions of masked regions, one decoder a target.

    Args:
        config: The model's configuration.
        hidden_size: Width of the region states.
        layer_norm_eps: Epsilon of the stream the states come from.
    """

    def __init__(self, config: PreTrainedConfig, hidden_size: int, layer_norm_eps: float) -> None:
        super().__init__()
        eps = layer_norm_eps if config.region_head_layer_norm else None
        self.transform = PredictionTransform(hidden_size, config.hidden_act, eps)
        self.decoders = nn.ModuleDict(
            {target: nn.Linear(hidden_size, config.region_target_size(target)) for target in config.region_targets}
        )

    def forward(self, states: Tensor) -> dict[str, Tensor]:
        """`[..., hidden_size]` to `[..., size]` for every target."""
        states = self.transform(states)
        return {target: decoder(states) for target, decoder in self.decoders.items()}


def fuse(fusion_method: str, text: Tensor, image: Tensor | None) -> Tensor:
    """The vector that stands for text and image together (ViLBERT paper, section 3.1: the product of both).

    Args:
        fusion_method: "mul", "sum" or "text", as in the config.
        text: Pooled text `[B, pooler_size]`.
        image: Pooled image `[B, pooler_size]`; not read when `fusion_method` is "text".

    Returns:
        `[B, pooler_size]`.

    Raises:
        ValueError: When the image is read and there is none.
    """
    if fusion_method == "text":
        return text
    if image is None:
        raise ValueError(
            f"text and image are judged together (fusion_method {fusion_method!r}), but no image is given: pass "
            "visual_embeds, or read text alone with the base model"
        )
    return text * image if fusion_method == "mul" else text + image


class MaskedTokenHeads(nn.Module):
    """The head of masked language modelling and its loss.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.config = config
        self.predictions = MaskedTokenHead(config)

    def token_loss(
        self,
        states: Tensor,
        labels: Tensor,
        mask: Tensor | None,
        denominator: float | Tensor | None = None,
        word_table: Tensor | None = None,
    ) -> Tensor:
        """Masked language modelling over labelled positions only.

        Args:
            states: `[B, L, hidden_size]`.
            labels: `[B, L]`, `IGNORE_INDEX` where nothing is predicted.
            mask: `[B, L]`, 1 for real places, or None when all are.
            denominator: Number of labelled positions when it is not the one seen here.
            word_table: See `MaskedTokenHead.forward`.

        Returns:
            A scalar.

        Raises:
            ValueError: For labels of another shape, out of range or on padding.
        """
        check_ids("labels", labels, states.shape[:2], self.config.vocab_size, "vocab_size", IGNORE_INDEX)
        check_labelled_places("labels", labels != IGNORE_INDEX, mask, "padding")
        weights, (chosen, wanted) = labelled_items(labels != IGNORE_INDEX, states, labels)
        return classification_loss(self.predictions(chosen, word_table), wanted, weights, denominator)


class PreTrainingHeads(MaskedTokenHeads):
    """All heads that pre-training trains, and their losses.

    Args:
        config: The model's configuration.
        region_size: Width of the region states.
        region_layer_norm_eps: Epsilon of the stream the region states come from.
    """

    def __init__(self, config: PreTrainedConfig, region_size: int, region_layer_norm_eps: float) -> None:
        super().__init__(config)
        if config.region_targets:
            self.region_predictions = MaskedRegionHead(config, region_size, region_layer_norm_eps)
        self.seq_relationship = nn.Linear(config.pooler_size, 2)
        self.dropout = Dropout(config.fusion_dropout_prob)

    def read_places(
        self,
        labels: Tensor | None,
        sentence_image_labels: Tensor | None,
        region_labels: Tensor | None,
        return_logits: bool | None,
    ) -> ReadPlaces:
        """Which of the last states `forward` reads, given the same arguments.

        Args:
            labels: `[B, L]`, -100 where nothing is predicted.
            sentence_image_labels: `[B]`.
            region_labels: `[B, R]`, 1 for masked regions.
            return_logits: Whether logits of all places are computed; None means only without labels.

        Returns:
            The places.
        """
        labelled = any(x is not None for x in (labels, sentence_image_labels, region_labels))
        if return_logits or (return_logits is None and not labelled):
            return ReadPlaces()
        return ReadPlaces(
            text=labels is not None and labels != IGNORE_INDEX,
            regions=region_labels is not None and region_labels == 1,
        )

    def forward(
        self,
        states: ModelOutput,
        *,
        token_states: Tensor | None,
        region_states: Tensor | None,
        token_mask: Tensor | None,
        region_mask: Tensor | None,
        labels: Tensor | None,
        sentence_image_labels: Tensor | None,
        region_labels: Tensor | None,
        region_inputs: RegionInputs,
        loss_denominators: LossDenominators | None,
        return_logits: bool | None,
        word_table: Tensor | None,
    ) -> PreTrainingOutput:
        """Losses of the labels that are given, and logits.

        Args:
            states: The model's output; pooled vectors and records are taken from it.
            token_states: States the vocabulary head reads, `[B, L, hidden_size]`; None when it reads none.
            region_states: Region states `[B, R, region_size]`, None without an image.
            token_mask: `[B, L]`, 1 for real places, or None when all are.
            region_mask: `[B, R]`, 1 for real regions, or None when all are.
            labels: `[B, L]`, -100 where nothing is predicted.
            sentence_image_labels: `[B]`, 0 for a match.
            region_labels: `[B, R]`, 1 for masked regions.
            region_inputs: What the region targets read.
            loss_denominators: Counts to divide by instead of those seen here, by loss term.
            return_logits: Whether to compute vocabulary and region logits; None means only without labels.
            word_table: See `MaskedTokenHead.forward`; for the loss of masked words.

        Returns:
            The output of a pre-training class.

        Raises:
            TypeError: When `region_inputs` holds an argument that no region target knows.
            ValueError: When labels are given that cannot be predicted, or what belongs to them has another shape than
                the states.
        """
        unknown = sorted(set(region_inputs) - set(RegionInputs.__annotations__))
        if unknown:
            raise TypeError(
                f"unexpected arguments {unknown}; region targets read {list(RegionInputs.__annotations__)}"
            )
        denominators = loss_denominators or {}
        unknown = sorted(set(denominators) - set(LOSS_TERMS))
        if unknown:
            raise ValueError(f"loss_denominators names {unknown}; the loss terms are {list(LOSS_TERMS)}")
        fields: dict[str, Any] = recorded_fields(states)
        alignment = self.alignment_logits(states.pooler_output, states.get("visual_pooler_output"))
        fields["seq_relationship_logits"] = alignment
        if labels is not None:
            fields["mlm_loss"] = self.token_loss(token_states, labels, token_mask, denominators.get("mlm"), word_table)
        if region_labels is not None:
            if region_states is None or not self.config.region_targets:
                raise ValueError(
                    "region_labels are given, but "
                    + ("no image is" if region_states is None else "the config's region_targets are empty")
                )
            losses = self.region_losses(region_states, region_labels, region_mask, region_inputs, denominators)
            fields["region_losses"] = losses
            fields["region_loss"] = sum(self.config.region_targets[target] * loss for target, loss in losses.items())
        if sentence_image_labels is not None:
            rows, classes = alignment.shape[:1], "0 for a match, 1 for a mismatch"
            check_ids("sentence_image_labels", sentence_image_labels, rows, 2, classes, IGNORE_INDEX)
            fields["alignment_loss"] = classification_loss(
                alignment, sentence_image_labels, denominator=denominators.get("alignment")
            )
        terms = [fields[name] for name in ("mlm_loss", "region_loss", "alignment_loss") if name in fields]
        if terms:
            fields["loss"] = sum(terms)
        if return_logits or (return_logits is None and not terms):
            fields["prediction_logits"] = self.predictions(token_states)
            if region_states is not None and self.config.region_targets:
                fields["region_logits"] = self.region_predictions(region_states)
        return PreTrainingOutput(**fields)

    def alignment_logits(self, text: Tensor, image: Tensor | None) -> Tensor:
        """Judge whether text and image match.

        Args:
            text: Pooled text `[B, pooler_size]`.
            image: Pooled image `[B, pooler_size]`; not read when `fusion_method` is "text".

        Returns:
            `[B, 2]`, column 0 for a match.

        Raises:
            ValueError: When the image is read and there is none.
        """
        return self.seq_relationship(self.dropout(fuse(self.config.fusion_method, text, image)))

    def region_losses(
        self,
        states: Tensor,
        labels: Tensor,
        mask: Tensor | None,
        inputs: RegionInputs,
        denominators: LossDenominators,
    ) -> dict[str, Tensor]:
        """Masked region modelling over labelled regions only.

        Args:
            states: Region states `[B, R, region_size]`.
            labels: `[B, R]`, 1 for masked regions, 0 or `IGNORE_INDEX` for others.
            mask: `[B, R]`, 1 for real regions, or None when all are.
            inputs: What the region targets read.
            denominators: Counts to divide by instead of those seen here, by loss term.

        Returns:
            Loss by target, unweighted.

        Raises:
            ValueError: When a target's inputs are not given, or do not fit the regions; when a region is labelled that
                is padding, or a global region that the config does not predict.
        """
        config, places = self.config, states.shape[:2]
        check_ids("region_labels", labels, places, 2, "1 for regions to predict", IGNORE_INDEX)
        real = torch.ones_like(labels, dtype=torch.bool) if mask is None else mask.bool()
        if not config.global_region_loss:
            real = real & ~self._global_region(real)
        check_labelled_places(
            "region_labels",
            labels == 1,
            real,
            f"padding, or on a global region (global_region {config.global_region!r}, global_region_loss "
            f"{config.global_region_loss})",
        )
        predicted = (labels == 1) & real
        read = [(name, target) for target in config.region_targets for name in REGION_TARGETS[target].inputs]
        names = sorted({name for name, _ in read})
        missing = [name for name in names if inputs.get(name) is None]
        if missing:
            raise ValueError(
                f"region_labels are given, and region_targets {list(config.region_targets)} also read {missing}"
            )
        for name, target in read:
            check_region_input(name, inputs[name], places, config.region_target_size(target))
        negatives = self._negatives(real, predicted, inputs) if "nce" in config.region_targets else None
        weights, (chosen, negatives, *chosen_inputs) = labelled_items(
            predicted, states, negatives, *(inputs[name] for name in names)
        )
        values = dict(zip(names, chosen_inputs, strict=True))
        for name, target in read:
            source = REGION_TARGETS[target].size_field
            check_region_values(name, values[name], config.region_target_size(target), source)
        if negatives is not None:
            values["negatives"] = inputs["region_features"].flatten(0, 1)[negatives]
        return {
            target: mean_over_labels(region_items(target, logits, values), weights, denominators.get("region"))
            for target, logits in self.region_predictions(chosen).items()
        }

    def _negatives(self, real: Tensor, predicted: Tensor, inputs: RegionInputs) -> Tensor:
        given = inputs.get("region_negative_indices")
        if given is None:
            return draw_negative_regions(real, predicted, self.config.num_region_negatives)
        shape = (*real.shape, given.shape[-1])
        check_ids("region_negative_indices", given, shape, real.numel(), "flat places of regions")
        return given

    def _global_region(self, real: Tensor) -> Tensor:
        if self.config.global_region is None:
            return torch.zeros_like(real)
        place = torch.zeros_like(real[:, :1], dtype=torch.long)
        if self.config.global_region == "last":
            place = real.long().cumsum(1).argmax(1, keepdim=True)  # the last real one, also behind masked places
        return torch.zeros_like(real).scatter(1, place, True)
