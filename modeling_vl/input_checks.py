"""Refusing inputs that do not fit the model or each other, in the words of whoever made them.

Shapes and types are always checked. Values are read where that costs next to nothing: on the CPU, and not while a
graph is compiled or exported, so that an accelerator never waits for a check.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.configuration_utils import PreTrainedConfig

from configuration_vl.region_conventions import OFFICIAL_FEATURE_SIZES
from processing_vl.ignored_label import IGNORED_LABEL


def builds_graph() -> bool:
    """Whether a graph is being compiled, exported or traced, so that nothing may depend on values."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def can_read_values(tensor: Tensor) -> bool:
    """Whether looking at the values of `tensor` holds nothing up."""
    return tensor.device.type == "cpu" and not builds_graph()


def check_shape(name: str, tensor: Tensor, expected: Sequence[int]) -> None:
    """Refuse a tensor of another shape.

    Args:
        name: What the caller calls it.
        tensor: What was given.
        expected: The shape it should have.

    Raises:
        ValueError: Naming both shapes.
    """
    if list(tensor.shape) != list(expected):
        raise ValueError(f"{name} must be {list(expected)}, got {list(tensor.shape)}")


def check_mask(name: str, mask: Tensor | None, shape: Sequence[int]) -> None:
    """Refuse a mask that is not one number, 1 or 0, for each place.

    A floating mask is read on every device: additive masks are floating, and would be taken the wrong way round.

    Args:
        name: What the caller calls it.
        mask: 1 for real places, 0 for padding; None when nothing is padded.
        shape: `[B, L]` of what it masks.

    Raises:
        ValueError: For another shape, or another value.
    """
    if mask is None:
        return
    check_shape(name, mask, shape)
    readable = can_read_values(mask) or (mask.is_floating_point() and not builds_graph())
    if readable and mask.dtype != torch.bool and not bool(((mask == 0) | (mask == 1)).all()):
        raise ValueError(
            f"{name} must hold 1 for real places and 0 for padding, got values from {mask.min().item()} to "
            f"{mask.max().item()}. An additive mask (0 for real places, a large negative number for padding) means "
            "the opposite: give (mask == 0).long()"
        )


def check_ids(
    name: str, ids: Tensor | None, shape: Sequence[int], end: int, source: str, ignored: int | None = None
) -> None:
    """Refuse ids or labels that no table or class answers to.

    Args:
        name: What the caller calls them.
        ids: What was given; None is accepted.
        shape: The shape they should have.
        end: The ids are 0, 1, ..., `end` - 1.
        source: Where `end` comes from, for the message.
        ignored: A further value that stands for "none here".

    Raises:
        ValueError: For another shape, a type that holds no ids, or an id out of range.
    """
    if ids is None:
        return
    check_shape(name, ids, shape)
    if ids.dtype not in (torch.int64, torch.int32):
        raise ValueError(f"{name} must be int64 (or int32), got {ids.dtype}")
    if not can_read_values(ids):
        return
    wrong = (ids < 0) | (ids >= end)
    if ignored is not None:
        wrong &= ids != ignored
    if bool(wrong.any()):
        others = "" if ignored is None else f", or {ignored}"
        raise ValueError(f"{name} must lie between 0 and {end - 1} ({source}){others}; got {ids[wrong][0].item()}")


def check_floating(name: str, tensor: Tensor, shape: Sequence[int]) -> None:
    """Refuse numbers of another shape or of an integer type.

    Args:
        name: What the caller calls them.
        tensor: What was given.
        shape: The shape they should have.

    Raises:
        ValueError: Naming both shapes, or the type.
    """
    check_shape(name, tensor, shape)
    if not tensor.is_floating_point():
        raise ValueError(f"{name} must be floating-point numbers, got {tensor.dtype}")


def check_finite(name: str, values: Tensor, lowest: float = -math.inf, highest: float = math.inf) -> None:
    """Refuse values that are NaN, infinite, too low or too high, where they can be read.

    Args:
        name: What the caller calls them.
        values: What was given.
        lowest: Smallest value that makes sense.
        highest: Largest value that makes sense.

    Raises:
        ValueError: Naming the extremes.
    """
    if not can_read_values(values) or values.numel() == 0:
        return
    smallest, largest = (extreme.item() for extreme in values.aminmax())  # NaN where any value is NaN
    if not (lowest <= smallest and largest <= highest and math.isfinite(smallest) and math.isfinite(largest)):
        floor = "" if lowest == -math.inf else f" and at least {lowest:g}"
        ceiling = "" if highest == math.inf else f" and at most {highest:g}"
        raise ValueError(f"{name} must be finite{floor}{ceiling}, got values from {smallest} to {largest}")


def check_text(
    config: PreTrainedConfig,
    input_ids: Tensor,
    attention_mask: Tensor | None,
    token_type_ids: Tensor | None,
    position_ids: Tensor | None,
) -> None:
    """Refuse texts that the model cannot read.

    Args:
        config: The model's configuration.
        input_ids: `[B, T]`.
        attention_mask: `[B, T]` or None.
        token_type_ids: `[B, T]` or None.
        position_ids: `[B, T]` or None.

    Raises:
        ValueError: Naming what was expected and what came.
    """
    shape = input_ids.shape
    if input_ids.dim() != 2 or input_ids.numel() == 0:
        raise ValueError(f"input_ids must be [texts, word pieces] with at least one of each, got {list(shape)}")
    longest = config.max_position_embeddings
    if shape[1] > longest:
        raise ValueError(
            f"the text has {shape[1]} word pieces, the model reads {longest} "
            "(max_position_embeddings): truncate it, for example with processor(..., truncation=True, max_length=...)"
        )
    check_ids("input_ids", input_ids, shape, config.vocab_size, "vocab_size")
    check_mask("attention_mask", attention_mask, shape)
    check_ids("token_type_ids", token_type_ids, shape, config.type_vocab_size, "type_vocab_size")
    check_ids("position_ids", position_ids, shape, longest, "max_position_embeddings")


def check_regions(
    config: PreTrainedConfig, visual_embeds: Tensor, visual_attention_mask: Tensor | None, num_texts: int | None
) -> None:
    """Refuse images that the model cannot read.

    Args:
        config: The model's configuration.
        visual_embeds: `[B, R, D]`.
        visual_attention_mask: `[B, R]` or None.
        num_texts: How many images there must be, or None where pairs are named one by one.

    Raises:
        ValueError: Naming what was expected and what came.
    """
    shape, size = visual_embeds.shape, config.visual_embedding_dim
    if visual_embeds.dim() != 3 or shape[-1] != size:
        raise ValueError(
            f"visual_embeds must be [images, regions, {size}] for this model (visual_embedding_dim), got "
            f"{list(shape)}. Released checkpoints want: {OFFICIAL_FEATURE_SIZES}"
        )
    if visual_embeds.numel() == 0:
        raise ValueError(f"visual_embeds must hold at least one image and one region, got {list(shape)}")
    if num_texts is not None and num_texts != shape[0]:
        raise ValueError(
            f"{num_texts} texts and {shape[0]} images: give as many of both (ViLBERT also pairs them by pair_index)"
        )
    check_floating("visual_embeds", visual_embeds, shape)
    check_finite("visual_embeds", visual_embeds)
    check_mask("visual_attention_mask", visual_attention_mask, shape[:2])


def check_locations(visual_locations: Tensor | None, shape: Sequence[int]) -> None:
    """Refuse boxes that are missing or not finite numbers of the model's kind.

    Args:
        visual_locations: `[B, R, visual_location_size]`.
        shape: The shape they should have.

    Raises:
        ValueError: Naming what was expected and what came.
    """
    if visual_locations is None:
        raise ValueError(f"visual_locations are missing: this model reads boxes, {list(shape)} (visual_location_size)")
    check_floating("visual_locations", visual_locations, shape)
    check_finite("visual_locations", visual_locations)


def check_pairs(pair_index: Tensor, num_texts: int, num_images: int) -> None:
    """Refuse pairs of texts and images that are not there.

    Args:
        pair_index: `[P, 2]` of (text row, image row).
        num_texts: Texts given.
        num_images: Images given.

    Raises:
        ValueError: Naming what was expected and what came.
    """
    if pair_index.dim() != 2 or pair_index.shape[1] != 2 or pair_index.shape[0] == 0:
        raise ValueError(f"pair_index must be [pairs, 2] with at least one pair, got {list(pair_index.shape)}")
    rows = (pair_index.shape[0],)
    check_ids("pair_index[:, 0]", pair_index[:, 0], rows, num_texts, "the texts given")
    check_ids("pair_index[:, 1]", pair_index[:, 1], rows, num_images, "the images given")


def check_token_labels(labels: Tensor, rows: int, text_length: int, num_regions: int) -> None:
    """Refuse labels of word pieces that cover neither the text nor, as in transformers, text and regions.

    Args:
        labels: What was given.
        rows: Texts, or pairs.
        text_length: T.
        num_regions: R, 0 without an image.

    Raises:
        ValueError: Naming the shapes.
    """
    whole = text_length + num_regions
    if list(labels.shape) not in ([rows, text_length], [rows, whole]):
        raise ValueError(
            f"labels must be {[rows, text_length]} (word pieces) or {[rows, whole]} (word pieces, then regions), got "
            f"{list(labels.shape)}"
        )


def check_text_labels(labels: Tensor, rows: int, text_length: int, num_regions: int) -> Tensor:
    """Labels of the word pieces alone, for heads that predict no words at regions.

    Args:
        labels: `[B, T]`, or `[B, T + R]` with -100 over regions, as in transformers.
        rows: Texts, or pairs.
        text_length: T.
        num_regions: R, 0 without an image.

    Returns:
        `[B, T]`.

    Raises:
        ValueError: Naming the shapes, or the rows with labels over regions.
    """
    check_token_labels(labels, rows, text_length, num_regions)
    over_regions = labels[:, text_length:] != IGNORED_LABEL
    check_labelled_places("labels", over_regions, torch.zeros_like(over_regions), "regions (those are region_labels)")
    return labels[:, :text_length]


def check_region_input(name: str, values: Tensor, places: Sequence[int], size: int) -> None:
    """Refuse what a region target reads when it has another shape or type.

    Args:
        name: One of `heads.RegionInputs`.
        values: What was given.
        places: `[B, R]` of the regions.
        size: Width of the target's prediction.

    Raises:
        ValueError: Naming both shapes, or the type.
    """
    if name.endswith("_ids"):
        check_shape(name, values, places)
    else:
        check_floating(name, values, places if name.endswith("_scores") else [*places, size])


def check_region_values(name: str, values: Tensor, size: int, source: str) -> None:
    """Refuse values that no prediction can be compared with.

    Args:
        name: One of `heads.RegionInputs`.
        values: What it holds at labelled regions, `[N, ...]`.
        size: Width of the target's prediction.
        source: Where `size` comes from, for the message.

    Raises:
        ValueError: Naming what was expected and what came.
    """
    if name.endswith("_ids"):
        check_ids(f"{name} of labelled regions", values, values.shape, size, source)
    else:
        lowest = -math.inf if name == "region_features" else 0
        check_finite(f"{name} of labelled regions", values, lowest)


def check_labelled_places(name: str, labelled: Tensor, real: Tensor | None, excluded: str) -> None:
    """Refuse labels where nothing can be predicted, so that counting labels counts the predictions.

    They are read on every device: the losses wait for the number of labels right afterwards.

    Args:
        name: What the caller calls the labels.
        labelled: `[B, L]`, True for labelled places.
        real: `[B, L]`, 1 where a label may lie; None for everywhere.
        excluded: What the other places are, for the message.

    Raises:
        ValueError: Naming the rows of the batch.
    """
    if real is None or builds_graph():
        return
    rows = (labelled & ~real.bool()).any(1).nonzero().flatten().tolist()
    if rows:
        raise ValueError(f"{name} of rows {rows} lie on {excluded}: give these places -100")
