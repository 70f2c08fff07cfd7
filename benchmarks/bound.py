"""How many floating-point operations the mathematics needs: the least that any implementation has to do.

Counted are matrix products, a multiplication and an addition each, over real word pieces and regions, over states that
something reads, and over vocabulary and region logits where a label asks for them. What pairs of texts and images have
in common is counted once. Everything else (layer norms, activations, dropout, moving data) is not counted: it is what
keeps an implementation from reaching the bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn
from transformers.configuration_utils import PreTrainedConfig

Shape = tuple[int, int, int]
"""Rows, inputs and outputs of a linear layer."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a batch asks of a model.

    Attributes:
        text_lengths: Word pieces of each text, int `[N]`.
        region_counts: Regions of each image, int `[M]`.
        pairs: Row of text and row of image of each pair, int `[P, 2]`.
        text_read: Places of each pair's text whose last state is read, int `[P]`.
        regions_read: The same of its regions, int `[P]`.
        heads: Poolers and heads, a shape for each linear layer.
        training: Whether gradients are computed too.
    """

    text_lengths: np.ndarray
    region_counts: np.ndarray
    pairs: np.ndarray
    text_read: np.ndarray
    regions_read: np.ndarray
    heads: Sequence[Shape] = ()
    training: bool = True


def linear_shapes(module: nn.Module, rows: int) -> list[Shape]:
    """The linear layers of a head that is applied to some rows.

    Args:
        module: The head.
        rows: How many rows it is applied to.

    Returns:
        A shape for each layer.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return [(rows, layer.in_features, layer.out_features) for layer in layers]


def needed_flops(config: PreTrainedConfig, work: Work) -> int:
    """Operations that a model and its heads need for a batch.

    Args:
        config: A `ViLBertConfig` without dynamic attention, or a `VisualBertConfig` without `bypass_transformer`.
        work: The batch.

    Returns:
        Floating-point operations.
    """
    count = _Count(work.training)
    (_vilbert if config.model_type == "vilbert" else _visualbert)(count, config, work)
    for shape in work.heads:
        count.linear(*shape)
    return count.total


@dataclass
class _Count:
    training: bool
    total: int = field(default=0)

    def linear(self, rows: int, inputs: int, outputs: int, *, of_data: bool = False) -> None:
        """A linear layer; no gradient goes to inputs that are data. Backward, each of both factors costs as much."""
        passes = (2 if of_data else 3) if self.training else 1
        self.total += 2 * int(rows) * inputs * outputs * passes

    def attend(self, products: int, width: int) -> None:
        """Scores and weighted sums of so many (query, key) pairs over all heads of a `width`."""
        self.total += 4 * int(products) * width * (3 if self.training else 1)

    def layer(self, lengths: np.ndarray, read: np.ndarray, hidden: int, intermediate: int) -> None:
        """A transformer layer over sequences of which `read` places are read behind it."""
        self.linear(lengths.sum(), hidden, 2 * hidden)  # keys and values
        self.linear(read.sum(), hidden, 2 * (hidden + intermediate))  # queries, output, feed-forward
        self.attend((read * lengths).sum(), hidden)


def _visualbert(count: _Count, config: PreTrainedConfig, work: Work) -> None:
    count.linear(work.region_counts.sum(), config.visual_embedding_dim, config.hidden_size, of_data=True)
    text_rows, image_rows = work.pairs.T
    lengths = work.text_lengths[text_rows] + work.region_counts[image_rows]
    last = config.num_hidden_layers - 1
    for number in range(config.num_hidden_layers):
        read = work.text_read + work.regions_read if number == last else lengths
        count.layer(lengths, read, config.hidden_size, config.intermediate_size)


def _vilbert(count: _Count, config: PreTrainedConfig, work: Work) -> None:
    size, visual_size = config.hidden_size, config.visual_hidden_size
    texts, images = work.text_lengths, work.region_counts
    for inputs in (config.visual_embedding_dim, config.visual_location_size):
        count.linear(images.sum(), inputs, visual_size, of_data=True)
    meetings = list(zip(config.text_coattention_ids, config.visual_coattention_ids, strict=True))
    text_done = visual_done = 0
    for number, (text_end, visual_end) in enumerate(meetings):
        for _ in range(text_done, text_end):
            count.layer(texts, texts, size, config.intermediate_size)
        for _ in range(visual_done, visual_end):
            count.layer(images, images, visual_size, config.visual_intermediate_size)
        text_done, visual_done = text_end, visual_end
        alone = texts, images
        if number == 0:
            texts, images = texts[work.pairs[:, 0]], images[work.pairs[:, 1]]
        last = number == len(meetings) - 1
        text_read = work.text_read if last and text_end == config.num_hidden_layers else texts
        regions_read = work.regions_read if last and visual_end == config.visual_num_hidden_layers else images
        inner = config.coattention_hidden_size
        for own, other, read, keys, own_size, other_size, intermediate in (
            (*alone, text_read, images, size, visual_size, config.intermediate_size),
            (*alone[::-1], regions_read, texts, visual_size, size, config.visual_intermediate_size),
        ):
            count.linear(other.sum(), other_size, 2 * inner)  # keys and values
            count.linear(min(own.sum(), read.sum()), own_size, inner)  # queries
            count.linear(read.sum(), own_size, inner + 2 * intermediate)  # output, feed-forward
            count.attend((read * keys).sum(), inner)
    for lengths, read, done, layers, hidden, intermediate in (
        (texts, work.text_read, text_done, config.num_hidden_layers, size, config.intermediate_size),
        (
            images,
            work.regions_read,
            visual_done,
            config.visual_num_hidden_layers,
            visual_size,
            config.visual_intermediate_size,
        ),
    ):
        for number in range(done, layers):
            count.layer(lengths, read if number == layers - 1 else lengths, hidden, intermediate)
