"""ViLBERT's encoder: the order in which the layers of two streams run and meet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from configuration_vl.configuration_vilbert import ViLBertConfig

from .layers import CoAttentionLayer, StreamSizes, TransformerLayer
from .streams import Stream


class ViLBertEncoder(nn.Module):
    """Text layers, image layers and the co-attention layers between them.

    Co-attention layer k runs when `text_coattention_ids[k]` text layers and `visual_coattention_ids[k]` image layers
    have run. Before it the text goes first; behind the last one the image does, as in vilbert-multi-task. Only dynamic
    attention, whose gates read the text, can tell.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: ViLBertConfig) -> None:
        super().__init__()
        self.config = config
        text, regions = StreamSizes.of_text(config), StreamSizes.of_regions(config)
        gate_size = config.hidden_size if config.dynamic_attention else None
        self.text_layers = nn.ModuleList(TransformerLayer(config, text) for _ in range(config.num_hidden_layers))
        self.visual_layers = nn.ModuleList(
            TransformerLayer(config, regions, gate_size) for _ in range(config.visual_num_hidden_layers)
        )
        self.coattention_layers = nn.ModuleList(CoAttentionLayer(config) for _ in config.text_coattention_ids)

    def forward(
        self,
        text: Stream,
        regions: Stream,
        pair_index: Tensor | None = None,
        read_text: Tensor | bool = True,
        read_regions: Tensor | bool = True,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Run all layers; the streams carry states and records along.

        Args:
            text: The text, embedded.
            regions: The regions, embedded.
            pair_index: `[P, 2]` rows of text and image that meet from the first co-attention on, or None when row i
                meets row i.
            read_text: Places of the text whose last state somebody reads, `[P, T]`; True for all, False for none. The
                stream is left with these alone, and with what it had before its last layers for none.
            read_regions: The same for regions, `[P, R]`.

        Returns:
            Recorded weights of text over regions and of regions over text, one `[B, heads, T, R]` and
            `[B, heads, R, T]` a co-attention layer; empty when not wanted.
        """
        config = self.config
        text_over_regions: list[Tensor] = []
        regions_over_text: list[Tensor] = []
        meetings = list(zip(config.text_coattention_ids, config.visual_coattention_ids, strict=True))
        text_done = visual_done = 0
        for number, (text_end, visual_end) in enumerate(meetings):
            _run_block(text, self.text_layers[:text_end], text_done, config.frozen_text_layers)
            gate = _gate(text, regions) if config.dynamic_attention else None
            _run_block(regions, self.visual_layers[:visual_end], visual_done, config.frozen_visual_layers, gate)
            text_done, visual_done = text_end, visual_end
            pairs = pair_index if number == 0 else None
            if not config.use_coattention:
                _pair(text, regions, pairs)
                continue
            last = number == len(meetings) - 1
            text_weights, region_weights = _meet(
                self.coattention_layers[number],
                text,
                regions,
                pairs,
                # A gate of the last image layers reads the whole text.
                _read_behind(read_text, self.text_layers[text_end:]) if last and gate is None else True,
                _read_behind(read_regions, self.visual_layers[visual_end:]) if last else True,
            )
            if text_weights is not None:
                text_over_regions.append(text_weights)
                regions_over_text.append(region_weights)
        if not meetings and pair_index is not None:
            read_text = read_regions = True  # what is read are pairs, which are made of the last states only
        if read_regions is not False:
            gate = _gate(text, regions) if config.dynamic_attention else None
            _run_block(regions, self.visual_layers, visual_done, config.frozen_visual_layers, gate, read_regions)
        if read_text is not False:
            _run_block(text, self.text_layers, text_done, config.frozen_text_layers, None, read_text)
        if not meetings:
            _pair(text, regions, pair_index)
        return text_over_regions, regions_over_text


def _run_block(
    stream: Stream,
    layers: Sequence[nn.Module],
    start: int,
    frozen: int,
    gate: Tensor | None = None,
    read: Tensor | bool = True,
) -> None:
    first_trained = max(start, min(frozen, len(layers)))
    if start < first_trained:
        with torch.no_grad():
            stream.run(layers[start:first_trained], gate, read if first_trained == len(layers) else True)
    if first_trained < len(layers):
        stream.run(layers[first_trained:], gate, read)


def _read_behind(read: Tensor | bool, layers_left: Sequence[nn.Module]) -> Tensor | bool:
    """What is read of the last co-attention: everything, when layers that somebody reads follow."""
    return True if len(layers_left) and read is not False else read


def _meet(
    layer: nn.Module,
    text: Stream,
    regions: Stream,
    pair_index: Tensor | None,
    read_text: Tensor | bool,
    read_regions: Tensor | bool,
) -> tuple[Tensor | None, Tensor | None]:
    """Run one co-attention layer; pairs share the projections of a text or an image that they have in common."""
    text_view, region_view = text.view(), regions.view()
    if pair_index is not None:
        text_view, region_view = text.rearranged(pair_index[:, 0]), regions.rearranged(pair_index[:, 1])
    plans = [
        None if read is False else stream.plan(looking if read is True else looking.narrowed(read), looked_at)
        for stream, looking, read, looked_at in (
            (text, text_view, read_text, region_view),
            (regions, region_view, read_regions, text_view),
        )
    ]
    *states, text_weights, region_weights = layer(text.states, regions.states, *plans)
    for stream, new_states, plan in zip((text, regions), states, plans, strict=True):
        if plan is not None:
            stream.move(new_states, plan.queries.layout)
    return text_weights, region_weights


def _pair(text: Stream, regions: Stream, pair_index: Tensor | None) -> None:
    if pair_index is not None:
        text.rearrange(pair_index[:, 0])
        regions.rearrange(pair_index[:, 1])


def _gate(text: Stream, regions: Stream) -> Tensor:
    mean = text.layout.mean(text.states)
    images = regions.layout.batch_size
    if mean.shape[0] not in (1, images):
        raise ValueError(
            f"dynamic_attention=True lets each text gate its image from the first layer on: {mean.shape[0]} texts "
            f"cannot be paired with {images} images; give one text, or one text an image"
        )
    return mean.expand(images, -1)
